//! Single values of a token's payload.

use super::{
    json::{NoParent, Pointer},
    token_error::TokenError,
};
use crate::{
    clock::{LAST_SECOND, from_unix},
    json::{Json, Object},
};
use std::{borrow::Cow, time::SystemTime};

/// What was found in place of what a claim must be. It names a kind of value, and repeats no value.
pub(super) type Found = &'static str;

/// What the claims have there. `None`: there is no such claim. A parent of the wrong type is no absent
/// claim, but one that is malformed.
pub(super) fn find<'a>(claims: &Object<'a>, pointer: &Pointer) -> Result<Option<Json<'a>>, Found> {
    claims.find(pointer).map_err(|NoParent| "a value above it that cannot hold it")
}

pub(super) fn string<'a>(
    claims: &Object<'a>,
    pointer: &Pointer,
) -> Result<Option<Cow<'a, str>>, Found> {
    let Some(value) = find(claims, pointer)? else { return Ok(None) };
    value.string().map(Some).ok_or_else(|| value.kind())
}

/// A string that a rule asks for.
pub(super) fn needed<'a>(
    claims: &Object<'a>,
    pointer: &Pointer,
) -> Result<Option<Cow<'a, str>>, TokenError> {
    string(claims, pointer).map_err(|found| bad_claim(pointer.as_str(), found))
}

/// RFC 7519 section 2: seconds since 1970, fractions allowed and cut off. What is no date up to the end of
/// the year 9999 is no date at all: a token that never ends would open streams that never do.
pub(super) fn numeric_date(
    claims: &Object<'_>,
    name: &'static str,
) -> Result<Option<SystemTime>, TokenError> {
    let Some(value) = claims.claim(name) else { return Ok(None) };
    // A number of JSON is one of Rust, and no other value of JSON is. All seconds in range are exact.
    let number = value.text().parse::<f64>();
    let seconds = match number {
        Ok(seconds) if (0.0..=LAST_SECOND as f64).contains(&seconds) => Ok(seconds as u64),
        Ok(_) => Err("a number that is no date of the years 1970 to 9999"),
        Err(_) => Err(value.kind()),
    };
    let seconds = seconds.map_err(|found| bad_claim(&format!("/{name}"), found))?;
    Ok(Some(from_unix(seconds)))
}

/// A claim that is needed is malformed.
pub(super) fn bad_claim(claim: &str, found: Found) -> TokenError {
    TokenError::BadClaim { claim: claim.to_owned(), found }
}

/// Logs that a claim that can be done without is malformed.
pub(super) fn told(claim: &str, found: Found) {
    tracing::debug!(claim, found, "a claim is malformed: the token is taken to say nothing there");
}
