//! What the vectors share.

use crate::auth::jwt::{JwtVerifier, TokenError, token::Token};
use serde_json::Value;

pub(super) fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().unwrap()
}

/// Whether the token's parts are strict and its signature verifies, whatever its payload says.
///
/// The payload of most vectors is a few bytes, no claims. `check` reads it last: whoever hears
/// that it is no JSON object, though header and signature are fine, has a good one.
pub(super) fn opens(verifier: &JwtVerifier, token: &str) -> bool {
    match verifier.check(token) {
        Ok(_)
        | Err(
            TokenError::Claim(_)
            | TokenError::Unexpected(..)
            | TokenError::BadClaim { .. }
            | TokenError::Beyond { .. }
            | TokenError::KeyBound
            | TokenError::Expired,
        ) => true,
        Err(TokenError::Json(_)) => {
            // The header was read, so it is the claims, which are read once the signature verified.
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
