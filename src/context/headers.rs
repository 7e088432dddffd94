//! The headers that name the tenant, the env and the request.

use crate::rejection::{Rejection, RejectionKind};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::fmt::Display;

/// Names the tenant. A request has exactly one, unless the application reads the tenant from elsewhere.
pub const X_TENANT_ID: HeaderName = HeaderName::from_static("x-tenant-id");
/// Names the env. A request has exactly one, unless the application reads the env from elsewhere, or
/// serves [one env only](crate::Envs::only).
pub const X_ENV: HeaderName = HeaderName::from_static("x-env");
/// Names the request. The response has it, too. The layer replaces an invalid id with a generated one,
/// and never refuses a request because of it.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The value of the header, or else the value from the query or a ticket.
pub(super) fn claimed<'a>(
    headers: &'a HeaderMap,
    header: &HeaderName,
    elsewhere: Option<&'a str>,
    name: &str,
) -> Result<Option<&'a str>, Rejection> {
    match (single(headers, header, name)?, elsewhere) {
        (Some(_), Some(_)) => {
            Err(invalid(name, "is also in the query or in a ticket. Send it once"))
        }
        (Some(value), None) => visible(value, name).map(Some),
        (None, elsewhere) => Ok(elsewhere),
    }
}
pub(super) fn missing(name: &str) -> Rejection {
    Rejection::new(RejectionKind::ContextMissing)
        .with_detail(format!("{name} is missing. Send one X-Tenant-Id and one X-Env header."))
}

/// The single value of a header. Two values are an error.
fn single<'a>(
    headers: &'a HeaderMap,
    header: &HeaderName,
    name: &str,
) -> Result<Option<&'a HeaderValue>, Rejection> {
    let mut values = headers.get_all(header).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(invalid(name, "was sent more than once. Send it once"));
    }
    Ok(Some(value))
}

fn visible<'a>(value: &'a HeaderValue, name: &str) -> Result<&'a str, Rejection> {
    value.to_str().map_err(|_| invalid(name, "is not visible ASCII"))
}

pub(super) fn invalid(name: &str, why: impl Display) -> Rejection {
    Rejection::new(RejectionKind::ContextInvalid).with_detail(format!("{name} {why}."))
}
