//! Bearer JWTs, checked strictly ([RFC 8725]).
//!
//! Only the signature itself is left to a crypto backend. What surrounds it is decided here: the
//! algorithm is the key's, never the token's; both JSON objects are free of duplicate members;
//! `crit` is refused; `exp` is required, and so are `iss` and `aud` as soon as they are configured.
//!
//! [RFC 8725]: https://www.rfc-editor.org/rfc/rfc8725

#[cfg(feature = "aws-lc-rs")]
mod aws_lc;
#[cfg(feature = "token-cache")]
mod cache;
mod claims;
mod issuers;
mod json;
mod jwk;
mod key;
#[cfg(feature = "jwks")]
mod key_set;
#[cfg(test)]
#[cfg(not(any(feature = "aws-lc-rs", feature = "rust-crypto")))]
#[path = "tests/no_backend.rs"]
mod no_backend;
mod secret;
#[cfg(test)]
#[cfg(any(feature = "aws-lc-rs", feature = "rust-crypto"))]
mod tests;
mod token;
mod verifier;

#[cfg(feature = "token-cache")]
pub use cache::TokenCache;
pub use claims::{ClaimNames, ClaimPlace};
pub use issuers::TrustedIssuers;
pub use jsonwebtoken::Algorithm;
pub use key::{Backend, JwtConfigError, JwtKey};
#[cfg(feature = "jwks-client")]
pub use key_set::HttpClient;
#[cfg(feature = "jwks")]
pub use key_set::{
    Discovery, Fetched, HttpFuture, HttpGet, JwksUrl, KeyFile, KeyFuture, KeyHealth, KeySet,
    KeySetBuilder, KeySource,
};
pub use verifier::{JwtVerifier, JwtVerifierBuilder};

use crate::{
    json::Fault,
    rejection::{Rejection, RejectionKind},
};
use claims::Kind;
use key::MAX_TRIES;
use std::time::Duration;

/// Longest `kid` that is looked up, in bytes.
const MAX_KID: usize = 128;

/// How much of an unexpected claim a log line shows, in characters.
const MAX_SHOWN: usize = 200;

/// Why a token is refused. For logs: clients learn only whether it expired.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum TokenError {
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
    fn unexpected(rule: &'static str, found: &str) -> Self {
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
