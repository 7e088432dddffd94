//! Why a token is refused.

use super::limits::{MAX_SHOWN, MAX_TRIES};
use crate::{
    json::Fault,
    rejection::{Rejection, RejectionKind},
};
use std::{fmt, time::Duration};

/// Why a token is refused. Only the log contains this text. The client gets the code of the rejection and a
/// general text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TokenError {
    #[error("the token has {bytes} bytes, and `max_token_bytes` allows {most}")]
    TooLong { bytes: usize, most: usize },
    #[error("the token is malformed: {0}")]
    Malformed(&'static str),
    #[error("a part of the token is not a strict JSON object: {0}")]
    Json(Fault),
    #[error("the header of the token is refused: {0}")]
    Header(&'static str),
    #[error("no key has the `kid` and the algorithm of the token; the `kid` is {0:?}")]
    NoSuchKey(Option<String>),
    #[error("the signature does not verify")]
    Signature,
    #[error(
        "no key has the `kid` of the token, and more than {MAX_TRIES} keys without a `kid` would have to \
         be tried: the issuer has to give each key a `kid`"
    )]
    TooManyKeys,
    #[error("{0}")]
    Claim(&'static str),
    /// A claim does not have the value that a rule needs. Only the log shows the value.
    #[error("{0}: {1:?}")]
    Unexpected(&'static str, String),
    /// A claim that a rule needs is malformed. `claim` is its pointer, and `found` is the kind of its value.
    #[error("the claim {claim:?} is malformed: found {found}")]
    BadClaim { claim: String, found: &'static str },
    /// `claimed` is a list of quoted names.
    #[error("the issuer {issuer:?} may not speak for the {kind} that the token claims: {claimed}")]
    OutOfBounds { kind: NameKind, issuer: Option<String>, claimed: String },
    #[error(
        "the token is bound to a key (`cnf`), and this service does not check that the sender has the key: \
         call `accept_key_bound_tokens` if the application checks it"
    )]
    KeyBound,
    #[error("the token has expired")]
    Expired,
    #[error("the keys of the issuer are not available: {why}")]
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
            TokenError::OutOfBounds { kind: NameKind::Tenants, .. } => {
                RejectionKind::TenantMismatch
            }
            TokenError::OutOfBounds { kind: NameKind::Envs, .. } => RejectionKind::EnvMismatch,
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

/// A kind of names that an issuer may speak for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameKind {
    Tenants,
    Envs,
}

impl fmt::Display for NameKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tenants => "tenants",
            Self::Envs => "envs",
        })
    }
}
