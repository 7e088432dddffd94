//! A refusal as a gRPC status.

use super::{headers::forbid_storing, value::Rejection};
use crate::clock::millis;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, header};

/// The metadata key of the stable code.
pub(crate) const TENANCY_CODE: &str = "tenancy-code";
/// The metadata key of the delay before a gRPC client tries again ([gRFC A6]).
///
/// [gRFC A6]: https://github.com/grpc/proposal/blob/master/A6-client-retries.md#pushback
pub(crate) const RETRY_PUSHBACK: &str = "grpc-retry-pushback-ms";

pub(super) fn trailers_only(rejection: &Rejection) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    forbid_storing(headers);
    let status = u16::from(rejection.kind().grpc_code());
    headers.insert(HeaderName::from_static("grpc-status"), HeaderValue::from(status));
    if let Ok(message) = HeaderValue::try_from(percent_encoded(rejection.detail())) {
        headers.insert(HeaderName::from_static("grpc-message"), message);
    }
    let code = HeaderValue::from_static(rejection.code());
    headers.insert(HeaderName::from_static(TENANCY_CODE), code);
    if let Some(delay) = rejection.retry_after() {
        let millis = millis(delay);
        headers.insert(HeaderName::from_static(RETRY_PUSHBACK), HeaderValue::from(millis));
    }
    rejection.attach_to(response)
}

/// Encodes a text as the gRPC protocol's `Percent-Encoded`: only printable ASCII characters except `%`
/// stay as they are.
pub(super) fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
