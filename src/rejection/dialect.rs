//! How the client of a request reads a refusal.

use super::media_type::{accepts_event_stream, is_grpc};
use http::{Method, Request, Version, header};

/// How the client of a request reads a refusal.
///
/// The layers find the dialect by themselves. In a host without the layers of this crate, call
/// [`Dialect::of`], or [`Dialect::of_stream`] on a route that opens an event stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dialect {
    /// The client reads HTTP statuses and bodies.
    Http,
    /// The client reads gRPC statuses. The request is a `POST` over HTTP/2 or later. It has one content
    /// type: `application/grpc`, with or without a `+` suffix or parameters, but not
    /// `application/grpc-web` ([gRPC protocol]). All of this is required, because the HTTP status of such
    /// a refusal is 200, and a proxy or a cache that knows only HTTP reads a 200 as success.
    ///
    /// [gRPC protocol]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests
    Grpc,
    /// The client is a browser's `EventSource`, on a route that opens a stream. The request is a `GET`
    /// that names `text/event-stream` in `Accept` and has no `Authorization` header. An `EventSource`
    /// never reconnects after a status other than 200 ([WHATWG HTML section 9.2.3]).
    ///
    /// [WHATWG HTML section 9.2.3]: https://html.spec.whatwg.org/multipage/server-sent-events.html
    EventSource,
}

impl Dialect {
    /// The dialect of a request on a route that does not open an event stream: [`Http`](Self::Http) or
    /// [`Grpc`](Self::Grpc).
    #[must_use]
    pub fn of<B>(request: &Request<B>) -> Self {
        Self::on(request, false)
    }

    /// The dialect of a request on a route that opens an event stream. It can also be
    /// [`EventSource`](Self::EventSource).
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
