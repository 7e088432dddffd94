//! Helpers for the test vectors.

use crate::auth::jwt::{JwtVerifier, token::Token, token_error::TokenError};
use serde_json::Value;

pub(super) fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().unwrap()
}

/// Whether the header of the token is strict and its signature verifies, with any payload.
///
/// The payload of most vectors is a few bytes, not claims. `check` reads the payload last. So an error about
/// the payload means that the header and the signature are good.
pub(super) fn opens(verifier: &JwtVerifier, token: &str) -> bool {
    match verifier.check(token) {
        Ok(_)
        | Err(
            TokenError::Claim(_)
            | TokenError::Unexpected(..)
            | TokenError::BadClaim { .. }
            | TokenError::OutOfBounds { .. }
            | TokenError::KeyBound
            | TokenError::Expired,
        ) => true,
        Err(TokenError::Json(_)) => {
            // If the header is good, the error is about the claims, which are read after the signature.
            Token::parse(token).and_then(|token| token.header()).is_ok()
        }
        Err(
            TokenError::TooLong { .. }
            | TokenError::Malformed(_)
            | TokenError::Header(_)
            | TokenError::NoSuchKey(_)
            | TokenError::KeysUnavailable { .. }
            | TokenError::Signature
            | TokenError::TooManyKeys,
        ) => false,
    }
}
