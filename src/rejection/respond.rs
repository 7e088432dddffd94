//! A rejection as a response, for any kind of body.

use super::{Rejection, RejectionKind};
use crate::{
    ending::Ending,
    framing::{Block, jittered, members},
};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header,
};
use http_body::{Body, Frame, SizeHint};
use std::{
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll},
};

/// The stable code, in gRPC metadata.
pub(crate) const TENANCY_CODE: &str = "tenancy-code";
/// How long a gRPC client should wait before it tries again ([gRFC A6]).
///
/// [gRFC A6]: https://github.com/grpc/proposal/blob/master/A6-client-retries.md#pushback
pub(crate) const RETRY_PUSHBACK: &str = "grpc-retry-pushback-ms";

/// How the client of a request reads a refusal.
///
/// The layers find it out by themselves. A host without layers asks [`Dialect::of`], or
/// [`Dialect::of_stream`] on a route that opens an event stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dialect {
    /// Reads HTTP statuses and bodies.
    Http,
    /// Reads gRPC statuses. The request is a `POST` over HTTP/2 or later, and its one content type
    /// is `application/grpc`, with or without a `+` suffix or parameters, but not
    /// `application/grpc-web` ([gRPC protocol]). Nothing less will do: the HTTP status of such a
    /// refusal is 200, which a proxy or a cache that speaks only HTTP takes for consent.
    ///
    /// [gRPC protocol]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests
    Grpc,
    /// A browser's `EventSource` on a route that opens a stream: a `GET` that names
    /// `text/event-stream` in `Accept` and bears no `Authorization` header. It gives up for good on
    /// anything but a 200 ([WHATWG HTML section 9.2.3]).
    ///
    /// [WHATWG HTML section 9.2.3]: https://html.spec.whatwg.org/multipage/server-sent-events.html
    EventSource,
}

impl Dialect {
    /// The dialect of a request on a route that opens no event stream: [`Http`](Self::Http) or
    /// [`Grpc`](Self::Grpc).
    #[must_use]
    pub fn of<B>(request: &Request<B>) -> Self {
        Self::on(request, false)
    }

    /// The dialect of a request on a route that opens an event stream: may be
    /// [`EventSource`](Self::EventSource), too.
    #[must_use]
    pub fn of_stream<B>(request: &Request<B>) -> Self {
        Self::on(request, true)
    }

    pub(crate) fn on<B>(request: &Request<B>, opens_streams: bool) -> Self {
        let headers = request.headers();
        if request.method() == Method::POST
            && request.version() >= Version::HTTP_2
            && is_grpc(headers)
        {
            return Self::Grpc;
        }
        if opens_streams
            && request.method() == Method::GET
            && !headers.contains_key(header::AUTHORIZATION)
            && accepts_event_stream(headers)
        {
            return Self::EventSource;
        }
        Self::Http
    }
}

/// Whether the one `Content-Type` is gRPC's.
fn is_grpc(headers: &HeaderMap) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let (essence, _) = essence(value.as_bytes());
    essence.split_at_checked(GRPC.len()).is_some_and(|(start, rest)| {
        start.eq_ignore_ascii_case(GRPC) && (rest.is_empty() || rest.starts_with(b"+"))
    })
}

/// Refuses a body that does not say that it is JSON: 415 unless the one `Content-Type` is
/// `application/json` or `application/<something>+json`, with parameters or without.
///
/// A page of another site can send `text/plain` or a form without being asked first, and JSON not
/// ([WHATWG Fetch section 2.2.2]). axum's `Json` and the extractor [`JsonText`](crate::JsonText) check
/// it by themselves.
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
    Err(Rejection::new(RejectionKind::UnsupportedMediaType)
        .with_detail("The body must be JSON. Send one 'Content-Type: application/json' with it."))
}

/// Whether `Accept`, in one header or several, names `text/event-stream` (RFC 9110 section 12.5.1).
/// A range such as `*/*` does not: everybody sends that. A weight of 0 means "not acceptable".
fn accepts_event_stream(headers: &HeaderMap) -> bool {
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

/// Type and subtype of a media type, and its parameters.
fn essence(value: &[u8]) -> (&[u8], &[u8]) {
    let end = value.iter().position(|byte| *byte == b';').unwrap_or(value.len());
    let (essence, parameters) = value.split_at_checked(end).unwrap_or((value, &[]));
    (essence.trim_ascii(), parameters)
}

/// Makes the response that refuses a request, for services whose responses have body `B`.
///
/// [`ByContentType`] is what the layers use unless told otherwise; [`GrpcStatus`] and [`WrapBody`]
/// serve bodies that cannot be made from bytes; a closure `Fn(&Rejection) -> Response<B>` makes
/// the application's own.
///
/// ```
/// use bytes::Bytes;
/// use http::Request;
/// use tower_tenancy::{Rejection, RejectionKind, rejection::{ByContentType, Dialect, RejectWith as _}};
///
/// // By hand, in a host without layers of this crate in front:
/// let request = Request::new(());
/// let dialect = Dialect::of(&request); // `of_stream` on a route that opens an event stream
/// let rejection = Rejection::new(RejectionKind::ThreadForbidden);
/// let response: http::Response<Bytes> = ByContentType.reject(&rejection, dialect);
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

    /// Refuses. A layer adds `cache-control: no-store`, unless the response says that by itself.
    fn reject(&self, rejection: &Rejection, dialect: Dialect) -> Response<Self::Body>;
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

    fn reject(&self, rejection: &Rejection, dialect: Dialect) -> Response<B> {
        told_in_dialect(rejection, dialect).map(B::from)
    }
}

/// Refuses with a gRPC status and no body ("Trailers-Only" of the [gRPC protocol]), whatever the
/// request's content type. For bodies that only have a [`Default`], such as tonic's.
///
/// The HTTP status is 200 only for a request in the dialect [`Grpc`](Dialect::Grpc), as the protocol
/// wants it. Any other request, such as a plain `GET` over HTTP/1.1, did not come from a gRPC client:
/// it gets the HTTP status of the rejection as well, so that nobody takes a refusal for consent.
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

    fn reject(&self, rejection: &Rejection, dialect: Dialect) -> Response<B> {
        let mut response = grpc_trailers_only(rejection);
        if dialect != Dialect::Grpc {
            *response.status_mut() = rejection.status();
            challenge_or_delay(response.headers_mut(), rejection);
        }
        response.map(|_| B::default())
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

    fn reject(&self, rejection: &Rejection, dialect: Dialect) -> Response<Self::Body> {
        told_in_dialect(rejection, dialect)
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

    fn reject(&self, rejection: &Rejection, _: Dialect) -> Response<B> {
        self(rejection)
    }
}

fn told_in_dialect(rejection: &Rejection, dialect: Dialect) -> Response<Bytes> {
    match dialect {
        Dialect::Grpc => grpc_trailers_only(rejection),
        Dialect::EventSource if rejection.kind().is_retryable() => come_back_later(rejection),
        Dialect::EventSource | Dialect::Http => problem(rejection),
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

const PROBLEM_JSON: &str = "application/problem+json";

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
    let document: Arc<[u8]> = serde_json::to_vec(&problem).unwrap_or_default().into();
    let plain = Plain {
        rejection: rejection.clone(),
        length: document.len(),
        document: Arc::downgrade(&document),
    };
    let mut response = Response::new(Bytes::from_owner(document));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    nobody_stores(response.headers_mut());
    nobody_sniffs(response.headers_mut());
    challenge_or_delay(response.headers_mut(), rejection);
    response.extensions_mut().insert(plain);
    keeping(response, rejection)
}

/// Left in the extensions by [`problem`] alone: the response is a rejection in the crate's own plain
/// words, so that the nearest layer outside may tell it anew, in the dialect of the request and in
/// the application's style.
#[derive(Clone, Debug)]
pub(crate) struct Plain {
    rejection: Rejection,
    length: usize,
    /// The body owns the document: whoever puts another body in its place drops it.
    document: Weak<[u8]>,
}

impl Plain {
    /// The rejection, if `response` still is what [`problem`] made of it: no handler and no layer
    /// has put an answer of its own in its place. To compress the document, or to wrap its body in
    /// another way, changes nothing about what it says.
    ///
    /// Hosts drop the body of an answer to a `HEAD`, so that its absence tells nothing there.
    pub(crate) fn still<B>(self, response: &Response<B>, to_head: bool) -> Option<Rejection> {
        let headers = response.headers();
        let mut types = headers.get_all(header::CONTENT_TYPE).iter();
        let same_type = types.next().is_some_and(|value| value == PROBLEM_JSON);
        let same_length = headers.contains_key(header::CONTENT_ENCODING)
            || headers.get(header::CONTENT_LENGTH).is_none_or(|value| {
                value.to_str().is_ok_and(|value| value.parse() == Ok(self.length))
            });
        let is_still = response.status() == self.rejection.status()
            && same_type
            && types.next().is_none()
            && same_length
            && (to_head || self.document.strong_count() > 0);
        is_still.then_some(self.rejection)
    }
}

/// Whether a header says something about the body that it came with, its freshness, or the refusal
/// in plain words, and so must not outlive the body.
pub(crate) fn belongs_to_body(name: &HeaderName) -> bool {
    let name = name.as_str();
    // `Content-Encoding`, `-Language`, `-Length`, `-Range`, `-Type`, `-Digest`, ... of RFC 9110 and
    // RFC 9530. A security policy is about the page and not its bytes.
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

/// A cache must not keep a refusal, whatever it looks like (RFC 9111 section 5.2.2.5). What says so
/// by itself is left as it is.
pub(crate) fn nobody_stores(headers: &mut HeaderMap) {
    let says_so = headers.get_all(header::CACHE_CONTROL).iter().any(|value| {
        let mut directives = value.as_bytes().split(|byte| *byte == b',');
        directives.any(|directive| directive.trim_ascii().eq_ignore_ascii_case(b"no-store"))
    });
    if !says_so {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// A browser takes a refusal for what its `Content-Type` says, and for nothing else: it may repeat what
/// somebody sent ([WHATWG Fetch section 3.6]).
///
/// [WHATWG Fetch section 3.6]: https://fetch.spec.whatwg.org/#x-content-type-options-header
pub(crate) fn nobody_sniffs(headers: &mut HeaderMap) {
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

/// The challenge (RFC 6750 section 3) or the delay (RFC 9110 section 10.2.3), where there is one.
fn challenge_or_delay(headers: &mut HeaderMap, rejection: &Rejection) {
    if let Some(challenge) = challenge(rejection) {
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
    if let Some(delay) = rejection.retry_after() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(delay.as_secs().max(1)));
    }
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
    nobody_stores(headers);
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
    let members = members([("code", rejection.code()), ("detail", rejection.detail())]);
    let delay = jittered(rejection.retry_after().unwrap_or(super::RETRY_AFTER));
    let mut body = String::new();
    let block = Block::new(&mut body).event(name).retry(Some(delay));
    block.notice(members, rejection.request_id()).end();
    let mut response = Response::new(Bytes::from(body));
    stream_headers(response.headers_mut());
    nobody_sniffs(response.headers_mut());
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
    use super::{ByContentType, Dialect, GrpcStatus, Plain, RejectWith, percent_encoded};
    use crate::rejection::{Rejection, RejectionKind};
    use bytes::Bytes;
    use http::{HeaderValue, Method, Request, Response, Version, header};
    use std::time::Duration;

    fn request(method: Method, version: Version, pairs: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().method(method).version(version);
        for (name, value) in pairs {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    #[test]
    fn grpc_is_a_post_over_http_2_with_that_content_type_and_nothing_less() {
        let on = |method, version, types: &[&str]| {
            let pairs: Vec<_> = types.iter().map(|value| ("content-type", *value)).collect();
            let request = request(method, version, &pairs);
            assert_eq!(Dialect::of(&request), Dialect::of_stream(&request));
            Dialect::of(&request)
        };
        for good in [
            "application/grpc",
            "application/grpc+proto",
            "Application/GRPC",
            "application/grpc;x=y",
            "application/grpc ; x=y",
        ] {
            assert_eq!(on(Method::POST, Version::HTTP_2, &[good]), Dialect::Grpc, "{good}");
            assert_eq!(on(Method::POST, Version::HTTP_3, &[good]), Dialect::Grpc, "{good}");
            assert_eq!(on(Method::POST, Version::HTTP_11, &[good]), Dialect::Http, "{good}");
            assert_eq!(on(Method::POST, Version::HTTP_10, &[good]), Dialect::Http, "{good}");
            for method in [Method::GET, Method::HEAD, Method::PUT, Method::OPTIONS] {
                assert_eq!(on(method, Version::HTTP_2, &[good]), Dialect::Http, "{good}");
            }
        }
        for bad in [
            "application/grpc-web",
            "application/grpc-web+proto",
            "application/grpcx",
            "text/plain; application/grpc",
            "",
        ] {
            assert_eq!(on(Method::POST, Version::HTTP_2, &[bad]), Dialect::Http, "{bad}");
        }
        let twice = ["application/grpc", "application/grpc"];
        assert_eq!(on(Method::POST, Version::HTTP_2, &twice), Dialect::Http);
        assert_eq!(on(Method::POST, Version::HTTP_2, &[]), Dialect::Http);
    }

    #[test]
    fn an_event_source_is_known_by_accept_and_only_where_a_route_opens_streams() {
        let on = |method, accepts: &[&str]| {
            let pairs: Vec<_> = accepts.iter().map(|value| ("accept", *value)).collect();
            let request = request(method, Version::HTTP_11, &pairs);
            assert_eq!(Dialect::of(&request), Dialect::Http, "{accepts:?}");
            Dialect::of_stream(&request)
        };
        for good in [
            &["text/event-stream"][..],
            &["Text/Event-Stream"],
            &["text/event-stream;q=1"],
            &["text/event-stream ; charset=utf-8; q=0.1"],
            &["application/json, text/event-stream"],
            &["text/event-stream", "text/event-stream"],
            &["application/json", "*/*, text/event-stream"],
        ] {
            assert_eq!(on(Method::GET, good), Dialect::EventSource, "{good:?}");
            assert_eq!(on(Method::POST, good), Dialect::Http, "{good:?}");
            assert_eq!(on(Method::HEAD, good), Dialect::Http, "{good:?}");
        }
        for bad in [
            &[][..],
            &["*/*"],
            &["text/*"],
            &["text/event-streams"],
            &["text/event-stream;q=0"],
            &["text/event-stream; Q=0.000"],
            &["application/json; x=text/event-stream"],
        ] {
            assert_eq!(on(Method::GET, bad), Dialect::Http, "{bad:?}");
        }
        let fetch = [("accept", "text/event-stream"), ("authorization", "Bearer x")];
        let fetch = request(Method::GET, Version::HTTP_11, &fetch);
        assert_eq!(Dialect::of_stream(&fetch), Dialect::Http);
    }

    fn refused(kind: RejectionKind, dialect: Dialect) -> Response<Bytes> {
        ByContentType.reject(&Rejection::new(kind), dialect)
    }

    #[test]
    fn every_refusal_in_every_dialect_is_stored_nowhere() {
        for kind in RejectionKind::ALL {
            for dialect in [Dialect::Http, Dialect::Grpc, Dialect::EventSource] {
                let grpc: Response<()> = GrpcStatus.reject(&Rejection::new(kind), dialect);
                let by_content_type = refused(kind, dialect);
                for headers in [grpc.headers(), by_content_type.headers()] {
                    let value = headers[header::CACHE_CONTROL].to_str().unwrap();
                    assert!(value.starts_with("no-store"), "{kind:?} {dialect:?}: {value}");
                }
            }
        }
    }

    #[test]
    fn every_error_body_is_taken_for_what_it_says_it_is() {
        for kind in RejectionKind::ALL {
            for dialect in [Dialect::Http, Dialect::EventSource] {
                let headers = refused(kind, dialect).headers().clone();
                assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{kind:?}");
            }
        }
    }

    #[test]
    fn json_is_what_says_so_and_nothing_else() {
        let status = |types: &[&str]| {
            let pairs: Vec<_> = types.iter().map(|value| ("content-type", *value)).collect();
            let request = request(Method::POST, Version::HTTP_11, &pairs);
            let refused = super::require_json(request.headers()).err();
            refused.map(|rejection| rejection.status().as_u16())
        };
        for good in [
            "application/json",
            "Application/JSON",
            "application/json; charset=utf-8",
            "application/json;charset=utf-8",
            "application/merge-patch+json",
            "application/vnd.api+JSON ; v=1",
        ] {
            assert_eq!(status(&[good]), None, "{good}");
        }
        for bad in [
            "",
            "json",
            "text/json",
            "text/plain",
            "text/plain; application/json",
            "text/plain, application/json",
            "application/json, text/plain",
            "application/x, text/plain+json",
            "application/jsonp",
            "application/json-seq",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=application/json",
            "application/",
            "application/ json",
            "+json",
        ] {
            assert_eq!(status(&[bad]), Some(415), "{bad}");
        }
        assert_eq!(status(&[]), Some(415));
        assert_eq!(status(&["application/json", "application/json"]), Some(415));
        assert_eq!(status(&["application/json", "text/plain"]), Some(415));
    }

    #[test]
    fn a_plain_refusal_is_known_until_somebody_changes_what_it_says() {
        let plain = || {
            let mut response = refused(RejectionKind::ThreadForbidden, Dialect::Http);
            let plain = response.extensions_mut().remove::<Plain>().unwrap();
            (response, plain)
        };
        let still = |change: &dyn Fn(&mut Response<Bytes>), to_head| {
            let (mut response, plain) = plain();
            change(&mut response);
            plain.still(&response, to_head).is_some()
        };
        let set = |name, value: &str| {
            let value = HeaderValue::try_from(value).unwrap();
            move |response: &mut Response<Bytes>| {
                response.headers_mut().insert(&name, value.clone());
            }
        };
        let length = plain().0.body().len().to_string();
        assert!(still(&|_| {}, false));
        assert!(still(&set(header::CONTENT_LENGTH, &length), false));
        assert!(still(&set(header::CONTENT_ENCODING, "gzip"), false), "wrapped, not replaced");
        assert!(!still(&set(header::CONTENT_LENGTH, "7"), false));
        assert!(!still(&set(header::CONTENT_TYPE, "text/html"), false));
        assert!(!still(&|r| *r.status_mut() = http::StatusCode::NOT_FOUND, false));
        let replaced = |response: &mut Response<Bytes>| {
            let same = Bytes::copy_from_slice(response.body());
            *response.body_mut() = same;
        };
        assert!(!still(&replaced, false));
        assert!(still(&replaced, true), "hosts drop the body of an answer to HEAD");
    }

    #[test]
    fn http_clients_get_a_problem_with_challenge_or_delay() {
        for kind in RejectionKind::ALL {
            let response = refused(kind, Dialect::Http);
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
        let missing = refused(RejectionKind::AuthMissing, Dialect::Http);
        assert!(!missing.headers()[header::WWW_AUTHENTICATE].to_str().unwrap().contains("error"));
    }

    #[test]
    fn grpc_clients_get_trailers_only() {
        let response = refused(RejectionKind::EnvMismatch, Dialect::Grpc);
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["grpc-status"], "7");
        assert_eq!(response.headers()["tenancy-code"], "env.mismatch");
        assert!(response.body().is_empty());
        let rejection = Rejection::new(RejectionKind::AuthMissing);
        let same: Response<()> = GrpcStatus.reject(&rejection, Dialect::Http);
        assert_eq!(same.headers()["grpc-status"], "16");
        assert_eq!(same.status(), 401, "who reads no gRPC reads the HTTP status");
        assert!(same.headers().contains_key(header::WWW_AUTHENTICATE));
        let called: Response<()> = GrpcStatus.reject(&rejection, Dialect::Grpc);
        assert_eq!(called.status(), 200);
        assert_eq!(percent_encoded("50% ü\n"), "50%25 %C3%BC%0A");
        assert!(!same.headers().contains_key("grpc-retry-pushback-ms"));
        let later = refused(RejectionKind::LogUnavailable, Dialect::Grpc);
        assert_eq!(later.headers()["grpc-retry-pushback-ms"], "5000");
    }

    #[test]
    fn event_source_is_asked_back_only_for_trouble_worth_retrying() {
        for kind in RejectionKind::ALL {
            let response = refused(kind, Dialect::EventSource);
            if !kind.is_retryable() {
                assert_eq!(response.status(), kind.status());
                continue;
            }
            assert_eq!(response.status(), 200);
            assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
            let text = std::str::from_utf8(response.body()).unwrap();
            assert!(text.starts_with("event: ") && text.contains(kind.code()), "{text}");
            assert!(!text.contains("\nid:"), "a notice moves no cursor");
        }
    }

    #[test]
    fn a_delay_under_a_second_is_told_as_one() {
        let rejection =
            Rejection::new(RejectionKind::StreamLimit).with_retry_after(Duration::from_millis(10));
        let response: Response<Bytes> = ByContentType.reject(&rejection, Dialect::Http);
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
    }
}
