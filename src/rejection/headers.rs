//! The headers of a refusal.

use super::{kind::RejectionKind, value::Rejection};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

/// Whether a header describes the body, its freshness, or the refusal. Such a header must be removed when
/// another body replaces the body.
pub(crate) fn belongs_to_body(name: &HeaderName) -> bool {
    let name = name.as_str();
    // `Content-Encoding`, `-Language`, `-Length`, `-Range`, `-Type`, `-Digest`, ... of RFC 9110 and RFC
    // 9530. `Content-Security-Policy` does not describe the body, so it stays.
    (name.starts_with("content-") && !name.starts_with("content-security-policy"))
        || matches!(
            name,
            "accept-ranges"
                | "age"
                | "cache-control"
                | "digest"
                | "etag"
                | "expires"
                | "last-modified"
                | "repr-digest"
                | "retry-after"
                | "signature"
                | "signature-input"
                | "trailer"
                | "transfer-encoding"
                | "www-authenticate"
                | "x-content-type-options"
        )
}

/// Adds `no-store`, unless the response has it: no cache may store a refusal, in any style (RFC 9111
/// section 5.2.2.5).
pub(crate) fn forbid_storing(headers: &mut HeaderMap) {
    let says_so = headers.get_all(header::CACHE_CONTROL).iter().any(|value| {
        let mut directives = value.as_bytes().split(|byte| *byte == b',');
        directives.any(|directive| directive.trim_ascii().eq_ignore_ascii_case(b"no-store"))
    });
    if !says_so {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// Adds `nosniff`: a browser must not guess the type of a refusal, which may contain text from outside
/// ([WHATWG Fetch section 3.6]).
///
/// [WHATWG Fetch section 3.6]: https://fetch.spec.whatwg.org/#x-content-type-options-header
pub(crate) fn forbid_sniffing(headers: &mut HeaderMap) {
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

/// Adds the challenge (RFC 6750 section 3) or the delay (RFC 9110 section 10.2.3), if there is one.
pub(super) fn challenge_or_delay(headers: &mut HeaderMap, rejection: &Rejection) {
    if let Some(challenge) = challenge(rejection) {
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
    if let Some(delay) = rejection.retry_after() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(delay.as_secs().max(1)));
    }
}

/// The challenge of RFC 6750 section 3. It has no error code if the client sent no token, and no text
/// from the request.
fn challenge(rejection: &Rejection) -> Option<HeaderValue> {
    let kind = rejection.kind();
    let challenge = match (kind, kind.status()) {
        (RejectionKind::AuthMissing, _) => r#"Bearer realm="tenancy""#,
        (RejectionKind::AuthExpired, _) => {
            r#"Bearer realm="tenancy", error="invalid_token", error_description="The access token expired""#
        }
        (_, StatusCode::UNAUTHORIZED) => r#"Bearer realm="tenancy", error="invalid_token""#,
        (_, StatusCode::FORBIDDEN) => r#"Bearer realm="tenancy", error="insufficient_scope""#,
        _ => return None,
    };
    // A `scope` with other characters is not valid in the header, so it is left out.
    let writable = |byte: u8| matches!(byte, 0x20 | 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    match rejection.required_scopes().filter(|scope| scope.bytes().all(writable)) {
        Some(scope) => HeaderValue::try_from(format!(r#"{challenge}, scope="{scope}""#)).ok(),
        None => Some(HeaderValue::from_static(challenge)),
    }
}
