//! The media types of a request.

use super::{kind::RejectionKind, value::Rejection};
use http::{HeaderMap, header};

/// Whether the request has exactly one `Content-Type`, and it is a gRPC type.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let (essence, _) = essence(value.as_bytes());
    essence.split_at_checked(GRPC.len()).is_some_and(|(start, rest)| {
        start.eq_ignore_ascii_case(GRPC) && (rest.is_empty() || rest.starts_with(b"+"))
    })
}

/// Refuses a body that is not declared as JSON, with 415. The request must have one `Content-Type`:
/// `application/json` or `application/<something>+json`, with or without parameters.
///
/// A page of another site can send `text/plain` or a form without a CORS preflight, but not JSON ([WHATWG
/// Fetch section 2.2.2]). axum's `Json` and the extractor [`JsonText`](crate::JsonText) check the type by
/// themselves.
///
/// ```
/// use http::{HeaderMap, HeaderValue};
/// use tower_tenancy::rejection::require_json;
///
/// let mut headers = HeaderMap::new();
/// headers.insert("content-type", HeaderValue::from_static("text/plain"));
/// assert_eq!(require_json(&headers).unwrap_err().status(), 415);
/// ```
///
/// # Errors
///
/// `request.unsupported_media_type`.
///
/// [WHATWG Fetch section 2.2.2]: https://fetch.spec.whatwg.org/#cors-safelisted-request-header
pub fn require_json(headers: &HeaderMap) -> Result<(), Rejection> {
    const APPLICATION: &[u8] = b"application/";
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let (essence, _) = match (values.next(), values.next()) {
        (Some(value), None) => essence(value.as_bytes()),
        (None, _) | (Some(_), Some(_)) => Default::default(),
    };
    // RFC 6838 section 4.2.
    let in_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(byte);
    let is_json = essence.split_at_checked(APPLICATION.len()).is_some_and(|(start, subtype)| {
        let suffix = subtype.rsplit(|byte| *byte == b'+').next().unwrap_or_default();
        start.eq_ignore_ascii_case(APPLICATION)
            && subtype.iter().all(in_name)
            && suffix.eq_ignore_ascii_case(b"json")
    });
    if is_json {
        return Ok(());
    }
    Err(Rejection::new(RejectionKind::UnsupportedMediaType).with_detail(
        "The body must be JSON. Send exactly one 'Content-Type: application/json' header with it.",
    ))
}

/// Whether `Accept`, in one header or several, names `text/event-stream` (RFC 9110 section 12.5.1). A
/// range such as `*/*` does not count, because most clients send it. A weight of 0 means "not
/// acceptable".
pub(super) fn accepts_event_stream(headers: &HeaderMap) -> bool {
    let ranges = headers
        .get_all(header::ACCEPT)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    ranges.into_iter().any(|range| {
        let (essence, parameters) = essence(range);
        let refused = parameters.split(|byte| *byte == b';').any(|parameter| {
            let mut pair = parameter.splitn(2, |byte| *byte == b'=').map(<[u8]>::trim_ascii);
            pair.next().is_some_and(|name| name.eq_ignore_ascii_case(b"q"))
                && pair
                    .next()
                    .is_none_or(|weight| weight.iter().all(|byte| matches!(byte, b'0' | b'.')))
        });
        essence.eq_ignore_ascii_case(b"text/event-stream") && !refused
    })
}

/// Splits a media type into its type with the subtype, and its parameters.
fn essence(value: &[u8]) -> (&[u8], &[u8]) {
    let end = value.iter().position(|byte| *byte == b';').unwrap_or(value.len());
    let (essence, parameters) = value.split_at_checked(end).unwrap_or((value, &[]));
    (essence.trim_ascii(), parameters)
}
