//! Bearer JWTs, checked strictly ([RFC 8725]).
//!
//! A crypto backend verifies only the signature. This module checks everything else. The key determines the
//! algorithm, never the token. Neither JSON object may have duplicate members. `crit` is refused. `exp` is
//! required. `iss` and `aud` are required if they are configured.
//!
//! [RFC 8725]: https://www.rfc-editor.org/rfc/rfc8725

mod algorithm;
#[cfg(feature = "aws-lc-rs")]
mod aws_lc;
mod backend;
mod bounds;
#[cfg(feature = "token-cache")]
mod cache;
mod claim_names;
mod claim_place;
mod claim_values;
mod config_error;
mod header;
mod issuers;
mod json;
mod jwk;
mod jwk_set;
mod key;
#[cfg(feature = "jwks")]
mod key_set;
mod limits;
mod material;
mod ready_key;
mod rules;
mod secret;
#[cfg(test)]
#[cfg(any(feature = "aws-lc-rs", feature = "rust-crypto"))]
mod tests;
mod token;
mod token_error;
mod verifier;
mod verifier_builder;

pub use algorithm::Algorithm;
pub use backend::Backend;
#[cfg(feature = "token-cache")]
pub use cache::TokenCache;
pub use claim_names::ClaimNames;
pub use claim_place::ClaimPlace;
pub use config_error::JwtConfigError;
pub use issuers::TrustedIssuers;
pub use key::JwtKey;
#[cfg(feature = "jwks-client")]
pub use key_set::HttpClient;
#[cfg(feature = "jwks")]
pub use key_set::{
    Discovery, HttpFuture, HttpGet, HttpResponse, JwksUrl, KeyFile, KeyFuture, KeyHealth, KeySet,
    KeySetBuilder, KeySource,
};
pub use verifier::JwtVerifier;
pub use verifier_builder::JwtVerifierBuilder;
