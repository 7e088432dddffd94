//! A rejection as a response, for any kind of body.

use super::{Rejection, RejectionKind};
use crate::{
    ending::Ending,
    framing::{Block, jittered},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use std::{
    pin::Pin,
    task::{Context, Poll},
};

/// The stable code, in gRPC metadata.
pub(crate) const TENANCY_CODE: &str = "tenancy-code";
/// How long a gRPC client should wait before it tries again ([gRFC A6]).
///
/// [gRFC A6]: https://github.com/grpc/proposal/blob/master/A6-client-retries.md#pushback
pub(crate) const RETRY_PUSHBACK: &str = "grpc-retry-pushback-ms";

/// What the request tells about how its client reads a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Client {
    /// Reads HTTP statuses and bodies.
    Http,
    /// Reads gRPC statuses: the request's content type is `application/grpc`, with or without a
    /// `+` suffix, but not `application/grpc-web`.
    Grpc,
    /// A browser's `EventSource`: a `GET` that accepts `text/event-stream` and nothing else, and
    /// bears no `Authorization` header. It gives up for good on anything but a 200.
    EventSource,
}

impl Client {
    /// Reads it off the head of a request.
    #[must_use]
    pub fn of(method: &Method, headers: &HeaderMap) -> Self {
        let starts = |name: HeaderName, prefix: &str| {
            headers.get(name).and_then(|value| value.to_str().ok()?.strip_prefix(prefix))
        };
        if let Some(rest) = starts(header::CONTENT_TYPE, "application/grpc")
            && (rest.is_empty() || rest.starts_with(['+', ';']))
        {
            return Self::Grpc;
        }
        // WHATWG HTML section 9.2.3 sets just this one value.
        let asks_for_stream = method == Method::GET
            && headers.get(header::ACCEPT).is_some_and(|value| value == "text/event-stream");
        if asks_for_stream && !headers.contains_key(header::AUTHORIZATION) {
            return Self::EventSource;
        }
        Self::Http
    }
}

/// Makes the response that refuses a request, for services whose responses have body `B`.
///
/// [`ByContentType`] is what the layers use unless told otherwise; [`GrpcStatus`] and [`WrapBody`]
/// serve bodies that cannot be made from bytes; a closure `Fn(&Rejection) -> Response<B>` makes
/// the application's own.
///
/// ```
/// use bytes::Bytes;
/// use http::{Method, HeaderMap};
/// use tower_tenancy::{Rejection, RejectionKind, rejection::{ByContentType, Client, RejectWith as _}};
///
/// // By hand, in a host without layers of this crate in front:
/// let client = Client::of(&Method::GET, &HeaderMap::new());
/// let rejection = Rejection::new(RejectionKind::ThreadForbidden);
/// let response: http::Response<Bytes> = ByContentType.reject(&rejection, client);
/// assert_eq!(response.status(), 403);
/// assert_eq!(response.headers()["content-type"], "application/problem+json");
/// ```
#[diagnostic::on_unimplemented(
    message = "this layer cannot refuse a request with a `{B}` body",
    label = "no way to make a refusal with this body",
    note = "by default the body must be `From<Bytes>`, as axum's and `http_body_util::Full` are",
    note = "tonic: call `.reject_with(GrpcStatus)`; any other body: `.reject_with(WrapBody)`, \
            or a closure `|rejection: &Rejection| -> Response<_>`"
)]
pub trait RejectWith<B> {
    /// The body of every response behind the layer.
    type Body;

    /// Passes a response of the inner service on.
    fn pass(&self, response: Response<B>) -> Response<Self::Body>;

    /// Refuses.
    fn reject(&self, rejection: &Rejection, client: Client) -> Response<Self::Body>;
}

/// Refuses in the dialect of the request: problem+json, gRPC status, or an event stream that asks
/// a browser to come back. For bodies that can be made from bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct ByContentType;

#[diagnostic::do_not_recommend]
impl<B: From<Bytes>> RejectWith<B> for ByContentType {
    type Body = B;

    fn pass(&self, response: Response<B>) -> Response<B> {
        response
    }

    fn reject(&self, rejection: &Rejection, client: Client) -> Response<B> {
        told_in_dialect(rejection, client).map(B::from)
    }
}

/// Refuses with a gRPC status and no body ("Trailers-Only" of the [gRPC protocol]), whatever the
/// request's content type. For bodies that only have a [`Default`], such as tonic's.
///
/// [gRPC protocol]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses
#[derive(Clone, Copy, Debug, Default)]
pub struct GrpcStatus;

#[diagnostic::do_not_recommend]
impl<B: Default> RejectWith<B> for GrpcStatus {
    type Body = B;

    fn pass(&self, response: Response<B>) -> Response<B> {
        response
    }

    fn reject(&self, rejection: &Rejection, _: Client) -> Response<B> {
        grpc_trailers_only(rejection).map(|_| B::default())
    }
}

/// Refuses like [`ByContentType`], in front of services with any body: wraps every response's
/// body into a [`WrappedBody`].
#[derive(Clone, Copy, Debug, Default)]
pub struct WrapBody;

#[diagnostic::do_not_recommend]
impl<B> RejectWith<B> for WrapBody {
    type Body = WrappedBody<B>;

    fn pass(&self, response: Response<B>) -> Response<Self::Body> {
        response.map(|inner| WrappedBody { body: Either::Inner { inner } })
    }

    fn reject(&self, rejection: &Rejection, client: Client) -> Response<Self::Body> {
        told_in_dialect(rejection, client)
            .map(|bytes| WrappedBody { body: Either::Refusal { bytes: Some(bytes) } })
    }
}

#[diagnostic::do_not_recommend]
impl<B, F> RejectWith<B> for F
where
    F: Fn(&Rejection) -> Response<B>,
{
    type Body = B;

    fn pass(&self, response: Response<B>) -> Response<B> {
        response
    }

    fn reject(&self, rejection: &Rejection, _: Client) -> Response<B> {
        self(rejection)
    }
}

fn told_in_dialect(rejection: &Rejection, client: Client) -> Response<Bytes> {
    match client {
        Client::Grpc => grpc_trailers_only(rejection),
        Client::EventSource if rejection.kind().is_retryable() => come_back_later(rejection),
        Client::EventSource | Client::Http => problem(rejection),
    }
}

/// RFC 9457. `type` is left out: it means `about:blank`, and `code` tells the kinds apart.
#[derive(serde::Serialize)]
struct Problem<'a> {
    title: &'a str,
    status: u16,
    code: &'a str,
    detail: &'a str,
}

/// `application/problem+json`, and the challenge or the delay that belongs to the status.
pub(crate) fn problem(rejection: &Rejection) -> Response<Bytes> {
    let status = rejection.status();
    let problem = Problem {
        title: status.canonical_reason().unwrap_or_default(),
        status: status.as_u16(),
        code: rejection.code(),
        detail: rejection.detail(),
    };
    // Four strings and a number always serialise; were it otherwise, the status still tells.
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(challenge) = challenge(rejection) {
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
    if let Some(delay) = rejection.retry_after() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(delay.as_secs().max(1)));
    }
    keeping(response, rejection)
}

/// RFC 6750 section 3: no error code where no token was sent, and no word of the request.
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
    // What no scope can be written with is left out.
    let writable = |byte: u8| matches!(byte, 0x20 | 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    match rejection.scope().filter(|scope| scope.bytes().all(writable)) {
        Some(scope) => HeaderValue::try_from(format!(r#"{challenge}, scope="{scope}""#)).ok(),
        None => Some(HeaderValue::from_static(challenge)),
    }
}

fn grpc_trailers_only(rejection: &Rejection) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    let status = u16::from(rejection.kind().grpc_code());
    headers.insert(HeaderName::from_static("grpc-status"), HeaderValue::from(status));
    if let Ok(message) = HeaderValue::try_from(percent_encoded(rejection.detail())) {
        headers.insert(HeaderName::from_static("grpc-message"), message);
    }
    let code = HeaderValue::from_static(rejection.code());
    headers.insert(HeaderName::from_static(TENANCY_CODE), code);
    if let Some(delay) = rejection.retry_after() {
        let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        headers.insert(HeaderName::from_static(RETRY_PUSHBACK), HeaderValue::from(millis));
    }
    keeping(response, rejection)
}

/// Layers outside log, count and restyle by the rejection in the extensions.
fn keeping(mut response: Response<Bytes>, rejection: &Rejection) -> Response<Bytes> {
    response.extensions_mut().insert(rejection.clone());
    response
}

/// The gRPC protocol's `Percent-Encoded`: printable ASCII without `%` stays.
fn percent_encoded(text: &str) -> String {
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

/// WHATWG HTML section 9.2.3: an `EventSource` never reconnects after anything but a 200, and
/// `retry` is the only way to tell it when.
fn come_back_later(rejection: &Rejection) -> Response<Bytes> {
    let limited = rejection.kind() == RejectionKind::StreamLimit;
    let name = if limited { Ending::Limit } else { Ending::SourceFailed }.code();
    let notice = serde_json::json!({ "code": rejection.code(), "detail": rejection.detail() });
    let mut body = String::new();
    Block::new(&mut body)
        .retry(jittered(rejection.retry_after().unwrap_or(super::RETRY_AFTER)))
        .event(name)
        .data(&notice.to_string())
        .end();
    let mut response = Response::new(Bytes::from(body));
    stream_headers(response.headers_mut());
    keeping(response, rejection)
}

/// What every event stream says about itself: its type, and that nobody may store, transform or
/// buffer it.
pub(crate) fn stream_headers(headers: &mut HeaderMap) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
}

pin_project_lite::pin_project! {
    /// The inner service's body, or a refusal. Made by [`WrapBody`].
    #[derive(Debug)]
    pub struct WrappedBody<B> {
        #[pin]
        body: Either<B>,
    }
}

pin_project_lite::pin_project! {
    #[derive(Debug)]
    #[project = EitherProj]
    enum Either<B> {
        Inner { #[pin] inner: B },
        Refusal { bytes: Option<Bytes> },
    }
}

impl<B: Body<Data = Bytes>> Body for WrappedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().body.project() {
            EitherProj::Inner { inner } => inner.poll_frame(cx),
            EitherProj::Refusal { bytes } => Poll::Ready(bytes.take().map(Frame::data).map(Ok)),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Either::Inner { inner } => inner.is_end_stream(),
            Either::Refusal { bytes } => bytes.as_ref().is_none_or(Bytes::is_empty),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Either::Inner { inner } => inner.size_hint(),
            Either::Refusal { bytes } => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ByContentType, Client, GrpcStatus, RejectWith, percent_encoded};
    use crate::rejection::{Rejection, RejectionKind};
    use bytes::Bytes;
    use http::{HeaderMap, Method, Response, header};
    use std::time::Duration;

    fn client(pairs: &[(header::HeaderName, &'static str)]) -> Client {
        let pairs = pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap()));
        Client::of(&Method::GET, &pairs.collect::<HeaderMap>())
    }

    #[test]
    fn client_is_told_by_content_type_and_accept() {
        use header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
        assert_eq!(client(&[(CONTENT_TYPE, "application/grpc")]), Client::Grpc);
        assert_eq!(client(&[(CONTENT_TYPE, "application/grpc+proto")]), Client::Grpc);
        assert_eq!(client(&[(CONTENT_TYPE, "application/grpc-web")]), Client::Http);
        assert_eq!(client(&[(ACCEPT, "text/event-stream")]), Client::EventSource);
        let fetch = [(ACCEPT, "text/event-stream"), (AUTHORIZATION, "Bearer x")];
        assert_eq!(client(&fetch), Client::Http);
        assert_eq!(client(&[]), Client::Http);
        let mixed = [(ACCEPT, "application/json, text/event-stream")];
        assert_eq!(client(&mixed), Client::Http, "no browser sends that");
    }

    fn refused(kind: RejectionKind, client: Client) -> Response<Bytes> {
        ByContentType.reject(&Rejection::new(kind), client)
    }

    #[test]
    fn http_clients_get_a_problem_with_challenge_or_delay() {
        for kind in RejectionKind::ALL {
            let response = refused(kind, Client::Http);
            assert_eq!(response.status(), kind.status());
            let headers = response.headers();
            assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json");
            assert_eq!(headers[header::CACHE_CONTROL], "no-store");
            let problem: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
            assert_eq!(problem["code"], kind.code());
            assert_eq!(problem["status"], kind.status().as_u16());
            assert!(!problem["detail"].as_str().unwrap().is_empty());
            let challenged = matches!(kind.status().as_u16(), 401 | 403);
            assert_eq!(headers.contains_key(header::WWW_AUTHENTICATE), challenged);
            assert_eq!(headers.contains_key(header::RETRY_AFTER), kind.is_retryable());
        }
        let missing = refused(RejectionKind::AuthMissing, Client::Http);
        assert!(!missing.headers()[header::WWW_AUTHENTICATE].to_str().unwrap().contains("error"));
    }

    #[test]
    fn grpc_clients_get_trailers_only() {
        let response = refused(RejectionKind::EnvMismatch, Client::Grpc);
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["grpc-status"], "7");
        assert_eq!(response.headers()["tenancy-code"], "env.mismatch");
        assert!(response.body().is_empty());
        let rejection = Rejection::new(RejectionKind::AuthMissing);
        let same: Response<()> = GrpcStatus.reject(&rejection, Client::Http);
        assert_eq!(same.headers()["grpc-status"], "16");
        assert_eq!(percent_encoded("50% ü\n"), "50%25 %C3%BC%0A");
        assert!(!same.headers().contains_key("grpc-retry-pushback-ms"));
        let later = refused(RejectionKind::LogUnavailable, Client::Grpc);
        assert_eq!(later.headers()["grpc-retry-pushback-ms"], "5000");
    }

    #[test]
    fn event_source_is_asked_back_only_for_trouble_worth_retrying() {
        for kind in RejectionKind::ALL {
            let response = refused(kind, Client::EventSource);
            if !kind.is_retryable() {
                assert_eq!(response.status(), kind.status());
                continue;
            }
            assert_eq!(response.status(), 200);
            assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
            let text = std::str::from_utf8(response.body()).unwrap();
            assert!(text.starts_with("retry: ") && text.contains(kind.code()), "{text}");
            assert!(!text.contains("\nid:"), "a notice moves no cursor");
        }
    }

    #[test]
    fn a_delay_under_a_second_is_told_as_one() {
        let rejection =
            Rejection::new(RejectionKind::StreamLimit).with_retry_after(Duration::from_millis(10));
        let response: Response<Bytes> = ByContentType.reject(&rejection, Client::Http);
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
    }
}
