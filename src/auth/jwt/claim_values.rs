//! Functions that read single claims.

use super::{
    json::{NoParent, Pointer},
    token_error::TokenError,
};
use crate::{
    clock::{LAST_SECOND, from_unix},
    json::{Json, Object},
};
use std::{borrow::Cow, time::SystemTime};

/// The kind of value that a malformed claim has. It never contains the value itself.
pub(super) type FoundKind = &'static str;

/// The value at the pointer, or `None` if the claim is absent. If a parent has the wrong type, the claim is
/// malformed, not absent.
pub(super) fn find<'a>(
    claims: &Object<'a>,
    pointer: &Pointer,
) -> Result<Option<Json<'a>>, FoundKind> {
    claims.find(pointer).map_err(|NoParent| "a parent value that cannot contain it")
}

pub(super) fn string<'a>(
    claims: &Object<'a>,
    pointer: &Pointer,
) -> Result<Option<Cow<'a, str>>, FoundKind> {
    let Some(value) = find(claims, pointer)? else { return Ok(None) };
    value.string().map(Some).ok_or_else(|| value.kind())
}

/// A string that a rule needs.
pub(super) fn needed<'a>(
    claims: &Object<'a>,
    pointer: &Pointer,
) -> Result<Option<Cow<'a, str>>, TokenError> {
    string(claims, pointer).map_err(|found| bad_claim(pointer.as_str(), found))
}

/// A `NumericDate` (RFC 7519 section 2): seconds since 1970. A fraction is cut off. A date after the year
/// 9999 is refused, because a token that never expires would open streams that never end.
pub(super) fn numeric_date(
    claims: &Object<'_>,
    name: &'static str,
) -> Result<Option<SystemTime>, TokenError> {
    let Some(value) = claims.claim(name) else { return Ok(None) };
    // Rust parses every JSON number as `f64`, and no other JSON value. An `f64` is exact for all seconds in
    // the range.
    let number = value.text().parse::<f64>();
    let seconds = match number {
        Ok(seconds) if (0.0..=LAST_SECOND as f64).contains(&seconds) => Ok(seconds as u64),
        Ok(_) => Err("a number that is not a date of the years 1970 to 9999"),
        Err(_) => Err(value.kind()),
    };
    let seconds = seconds.map_err(|found| bad_claim(&format!("/{name}"), found))?;
    Ok(Some(from_unix(seconds)))
}

/// The error for a malformed claim that a rule needs.
pub(super) fn bad_claim(claim: &str, found: FoundKind) -> TokenError {
    TokenError::BadClaim { claim: claim.to_owned(), found }
}

/// Logs that a claim is malformed. No rule needs the claim.
pub(super) fn log_malformed(claim: &str, found: FoundKind) {
    tracing::debug!(
        claim,
        found,
        "a claim is malformed; the token is treated as if the claim were absent"
    );
}
