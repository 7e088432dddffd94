//! Why a token is refused.

use super::limits::{MAX_SHOWN, MAX_TRIES};
use crate::{
    json::Fault,
    rejection::{Rejection, RejectionKind},
};
use std::{fmt, time::Duration};

/// Why a token is refused. For logs: clients learn only whether it expired.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TokenError {
    #[error("the token has {bytes} bytes, and `max_token_bytes` allows {most}")]
    TooLong { bytes: usize, most: usize },
    #[error("the token is malformed: {0}")]
    Malformed(&'static str),
    #[error("a part of the token is no strict JSON object: {0}")]
    Json(Fault),
    #[error("the token's header is refused: {0}")]
    Header(&'static str),
    #[error("no key has the token's `kid` and algorithm: {0:?}")]
    NoSuchKey(Option<String>),
    #[error("the signature does not verify")]
    Signature,
    #[error(
        "the token's `kid` names no key, and more than {MAX_TRIES} keys that have no name of their \
         own would have to be tried: its issuer has to name its keys by `kid`"
    )]
    TooManyKeys,
    #[error("{0}")]
    Claim(&'static str),
    /// What it says instead stands in no answer, and is not to be believed.
    #[error("{0}: {1:?}")]
    Unexpected(&'static str, String),
    /// A claim that a rule needs, by its pointer, and what kind of value it is instead.
    #[error("the claim {claim:?} is malformed: found {found}")]
    BadClaim { claim: String, found: &'static str },
    /// The names are in quotes already.
    #[error(
        "the issuer {issuer:?} is bound to none of the {kind} that the token claims: {claimed}"
    )]
    Beyond { kind: Kind, issuer: Option<String>, claimed: String },
    #[error(
        "the token is bound to a key (`cnf`), and nobody here checks that its sender has the key: \
         `accept_key_bound_tokens` is for applications that do"
    )]
    KeyBound,
    #[error("the token has expired")]
    Expired,
    #[error("the keys of the issuer cannot be had: {why}")]
    KeysUnavailable { wait: Duration, why: String },
}

impl TokenError {
    pub(super) fn unexpected(rule: &'static str, found: &str) -> Self {
        Self::Unexpected(rule, found.chars().take(MAX_SHOWN).collect())
    }
}

impl From<TokenError> for Rejection {
    fn from(error: TokenError) -> Self {
        let kind = match &error {
            TokenError::Expired => RejectionKind::AuthExpired,
            TokenError::KeysUnavailable { wait, .. } => {
                let wait = (*wait).max(Duration::from_secs(1));
                let rejection = Self::new(RejectionKind::KeysUnavailable);
                return rejection.with_retry_after(wait).with_source(error);
            }
            TokenError::KeyBound => {
                let rejection = Self::new(RejectionKind::AuthInvalid).with_detail(
                    "The token is bound to a key (DPoP or mutual TLS), which this service does not check. \
                     Send a token that is not bound to a key.",
                );
                return rejection.with_source(error);
            }
            TokenError::Beyond { kind: Kind::Tenants, .. } => RejectionKind::TenantMismatch,
            TokenError::Beyond { kind: Kind::Envs, .. } => RejectionKind::EnvMismatch,
            TokenError::TooLong { .. }
            | TokenError::Malformed(_)
            | TokenError::Json(_)
            | TokenError::Header(_)
            | TokenError::NoSuchKey(_)
            | TokenError::Signature
            | TokenError::TooManyKeys
            | TokenError::Claim(_)
            | TokenError::Unexpected(..)
            | TokenError::BadClaim { .. } => RejectionKind::AuthInvalid,
        };
        Self::new(kind).with_source(error)
    }
}

/// What an issuer was bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Tenants,
    Envs,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tenants => "tenants",
            Self::Envs => "envs",
        })
    }
}
