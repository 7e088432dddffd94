//! A refusal for services with any kind of response body.

use super::{
    dialect::Dialect, event_source::reconnect_later, grpc_status::trailers_only,
    headers::challenge_or_delay, problem::problem, value::Rejection, wrapped_body::WrappedBody,
};
use bytes::Bytes;
use http::Response;

/// Makes the response that refuses a request, for services whose responses have body `B`.
///
/// The layers use [`ByContentType`] by default. [`GrpcStatus`] and [`WrapBody`] are for bodies that
/// cannot be made from bytes. A closure `Fn(&Rejection) -> Response<B>` makes the application's own
/// response.
///
/// ```
/// use bytes::Bytes;
/// use http::Request;
/// use tower_tenancy::{Rejection, RejectionKind, rejection::{ByContentType, Dialect, RejectWith as _}};
///
/// // In a service without the layers of this crate:
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
    /// The body of every response that leaves the layer.
    type Body;

    /// Passes on a response of the inner service.
    fn pass(&self, response: Response<B>) -> Response<Self::Body>;

    /// Makes the response that refuses. The layer adds `cache-control: no-store`, unless the response has
    /// it already.
    fn reject(&self, rejection: &Rejection, dialect: Dialect) -> Response<Self::Body>;
}

/// Refuses in the dialect of the request: problem+json, a gRPC status, or an event stream that asks a
/// browser to reconnect. It is for bodies that can be made from bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct ByContentType;

#[diagnostic::do_not_recommend]
impl<B: From<Bytes>> RejectWith<B> for ByContentType {
    type Body = B;

    fn pass(&self, response: Response<B>) -> Response<B> {
        response
    }

    fn reject(&self, rejection: &Rejection, dialect: Dialect) -> Response<B> {
        rendered(rejection, dialect).map(B::from)
    }
}

/// Refuses with a gRPC status and no body ("Trailers-Only" of the [gRPC protocol]), for every content
/// type of the request. It is for bodies that only have a [`Default`], such as tonic's.
///
/// The HTTP status is 200 only for a request in the dialect [`Grpc`](Dialect::Grpc), as the protocol
/// requires. Any other request, such as a plain `GET` over HTTP/1.1, does not come from a gRPC client. It
/// also gets the HTTP status of the rejection, so that no client reads the refusal as a success.
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
        let mut response = trailers_only(rejection);
        if dialect != Dialect::Grpc {
            *response.status_mut() = rejection.status();
            challenge_or_delay(response.headers_mut(), rejection);
        }
        response.map(|_| B::default())
    }
}

/// Refuses like [`ByContentType`], for services with any body. It wraps the body of every response into a
/// [`WrappedBody`].
#[derive(Clone, Copy, Debug, Default)]
pub struct WrapBody;

#[diagnostic::do_not_recommend]
impl<B> RejectWith<B> for WrapBody {
    type Body = WrappedBody<B>;

    fn pass(&self, response: Response<B>) -> Response<Self::Body> {
        response.map(|inner| WrappedBody::inner(inner))
    }

    fn reject(&self, rejection: &Rejection, dialect: Dialect) -> Response<Self::Body> {
        rendered(rejection, dialect).map(|bytes| WrappedBody::refusal(bytes))
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

fn rendered(rejection: &Rejection, dialect: Dialect) -> Response<Bytes> {
    match dialect {
        Dialect::Grpc => trailers_only(rejection),
        Dialect::EventSource if rejection.kind().is_retryable() => reconnect_later(rejection),
        Dialect::EventSource | Dialect::Http => problem(rejection),
    }
}
