//! The parts of a token. Code can read the claims only after a key has verified the signature. The one
//! exception is [`ClaimedIssuer`].

use super::{header::Header, ready_key::ReadyKey, token_error::TokenError};
use crate::json::{Fault, Object};
use base64::Engine as _;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
use base64::engine::general_purpose::GeneralPurpose as Base64;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use base64::engine::{Simd as Base64, general_purpose::NO_PAD};
use std::{mem, sync::LazyLock};

/// Strict base64url without padding (RFC 7515 section 2). It uses SIMD instructions if the CPU has them.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
static BASE64URL: LazyLock<Base64> = LazyLock::new(|| Base64::url_safe(NO_PAD));
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
static BASE64URL: LazyLock<Base64> =
    LazyLock::new(|| base64::engine::general_purpose::URL_SAFE_NO_PAD);

/// The longest token that is accepted by default, in bytes. This is enough for a user in about 200 groups.
pub(super) const MAX_TOKEN: usize = 16 * 1024;

/// Refuses a token that is longer than `most` bytes. This is the first check of each token.
pub(super) fn check_length(token: &str, most: usize) -> Result<(), TokenError> {
    match token.len() {
        bytes if bytes > most => Err(TokenError::TooLong { bytes, most }),
        _ => Ok(()),
    }
}

/// The parts of a token in the compact serialization (RFC 7515 section 7.1). Nothing in them is verified yet.
/// Only [`verified_by`](Self::verified_by) gives access to the claims.
pub(super) struct Token<'a> {
    /// The JWS signing input: the encoded header, a dot, and the encoded claims.
    message: &'a str,
    header: &'a str,
    claims: &'a str,
    signature: Vec<u8>,
}

impl<'a> Token<'a> {
    pub(super) fn parse(token: &'a str) -> Result<Self, TokenError> {
        let (message, header, claims, signature) = parts(token)?;
        // If there are four parts, the claims contain a dot. Then they cannot be decoded, so the token is
        // refused.
        let signature = decode(signature, Vec::with_capacity(claims.len()))?;
        Ok(Self { message, header, claims, signature })
    }

    /// The encoded header.
    pub(super) fn header_text(&self) -> &'a str {
        self.header
    }

    pub(super) fn header(&self) -> Result<Header, TokenError> {
        Header::read(&object(&decode(self.header, Vec::new())?)?)
    }

    /// Whether the signature has the right length for `key`.
    pub(super) fn may_be_signed_by(&self, key: &ReadyKey) -> bool {
        key.can_have_signed(&self.signature)
    }

    /// The verified token, if `key` verifies its signature. `header` is the header of this token.
    pub(super) fn verified_by(&mut self, key: &ReadyKey, header: &Header) -> Option<Verified<'a>> {
        let verifies = key.verifies(self.message.as_bytes(), &self.signature);
        verifies.then(|| Verified {
            claims: self.claims,
            room: mem::take(&mut self.signature),
            is_access_token: header.is_access_token,
        })
    }
}

/// A token with a verified signature. Only this type gives access to the claims.
pub(super) struct Verified<'a> {
    claims: &'a str,
    /// The buffer of the signature. The claims are decoded into it.
    room: Vec<u8>,
    is_access_token: bool,
}

impl Verified<'_> {
    /// Whether the `typ` of the header is `at+jwt` (RFC 9068 section 2.1).
    pub(super) fn is_access_token(&self) -> bool {
        self.is_access_token
    }

    /// The text of the claims. [`object`] parses it.
    pub(super) fn into_claims(self) -> Result<Vec<u8>, TokenError> {
        decode(self.claims, self.room)
    }
}

/// The issuer that a token names, before any key has verified the token. It only selects the verifier, which
/// checks `iss` again.
pub(super) struct ClaimedIssuer(Option<String>);

impl ClaimedIssuer {
    pub(super) fn of(token: &str) -> Result<Self, TokenError> {
        let (_, _, claims, _) = parts(token)?;
        let claims = decode(claims, Vec::new())?;
        let Some(issuer) = object(&claims)?.claim("iss") else { return Ok(Self(None)) };
        let name = issuer.string().ok_or_else(|| TokenError::BadClaim {
            claim: "/iss".to_owned(),
            found: issuer.kind(),
        })?;
        Ok(Self(Some(name.into_owned())))
    }

    /// The issuer to look up. `None`: the token names no issuer.
    pub(super) fn hint(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

fn parts(token: &str) -> Result<(&str, &str, &str, &str), TokenError> {
    let not_three = TokenError::Malformed("it does not have three parts");
    let Some((message, signature)) = token.rsplit_once('.') else { return Err(not_three) };
    let Some((header, claims)) = message.split_once('.') else { return Err(not_three) };
    Ok((message, header, claims, signature))
}

/// Decodes a part into the memory of `room`.
fn decode(part: &str, mut room: Vec<u8>) -> Result<Vec<u8>, TokenError> {
    room.clear();
    let decoded = BASE64URL.decode_vec(part, &mut room);
    decoded.map_err(|_| TokenError::Malformed("a part is not base64url"))?;
    Ok(room)
}

/// Parses a decoded part.
pub(super) fn object(text: &[u8]) -> Result<Object<'_>, TokenError> {
    // JSON must be UTF-8 (RFC 8259 section 8.1).
    let text = std::str::from_utf8(text).map_err(|_| TokenError::Json(Fault::Grammar))?;
    Object::parse(text).map_err(TokenError::Json)
}
