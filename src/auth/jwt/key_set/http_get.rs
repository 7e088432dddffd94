//! The trait for HTTP clients of key sources.

use crate::rejection::BoxError;
use bytes::Bytes;
use http::{StatusCode, Uri};
use std::{fmt, future::Future, pin::Pin, sync::Arc};

/// The boxed future that [`HttpGet::get`] returns. `Box::pin(async move { .. })` makes one. It is `'static`,
/// so it must not borrow the client.
pub type HttpFuture = Pin<Box<dyn Future<Output = Result<HttpResponse, BoxError>> + Send>>;

/// The response to a `GET`.
#[derive(Clone)]
#[non_exhaustive]
pub struct HttpResponse {
    /// The status. For a key source, every status except 200 is a failure.
    pub status: StatusCode,
    /// The body.
    pub body: Bytes,
}

impl HttpResponse {
    /// A response with this status and this body.
    pub fn new(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self { status, body: body.into() }
    }
}

/// An HTTP client: the built-in `HttpClient` (feature `jwks-client`), or your own.
///
/// ```
/// use http::{StatusCode, Uri};
/// use tower_tenancy::auth::{HttpFuture, HttpGet, HttpResponse};
///
/// /// Answers each request with the same key set.
/// struct Canned;
///
/// impl HttpGet for Canned {
///     fn get(&self, _: &Uri, _: usize) -> HttpFuture {
///         Box::pin(async move { Ok(HttpResponse::new(StatusCode::OK, r#"{"keys":[]}"#)) })
///     }
/// }
/// ```
pub trait HttpGet: Send + Sync + 'static {
    /// Gets the document at `uri`.
    ///
    /// A client should not follow redirects unless the application needs them. It may stop reading after
    /// `max_bytes`, because the key source refuses a longer body.
    fn get(&self, uri: &Uri, max_bytes: usize) -> HttpFuture;
}

impl<H: HttpGet + ?Sized> HttpGet for Arc<H> {
    fn get(&self, uri: &Uri, max_bytes: usize) -> HttpFuture {
        (**self).get(uri, max_bytes)
    }
}

impl fmt::Debug for HttpResponse {
    /// Does not show the body, because it may be any document.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut response = f.debug_struct("HttpResponse");
        response.field("status", &self.status).field("bytes", &self.body.len()).finish()
    }
}
