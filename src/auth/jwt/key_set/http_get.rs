//! What key sources need of an HTTP client.

use crate::rejection::BoxError;
use bytes::Bytes;
use http::{StatusCode, Uri};
use std::{fmt, future::Future, pin::Pin, sync::Arc};

/// What an [`HttpGet`] answers.
pub type HttpFuture = Pin<Box<dyn Future<Output = Result<Fetched, BoxError>> + Send>>;

/// The answer to a `GET`.
#[derive(Clone)]
pub struct Fetched {
    /// Its status. Anything but 200 is taken for a failure.
    pub status: StatusCode,
    /// Its body.
    pub body: Bytes,
}

/// An HTTP client, as small as key sources need it: [`HttpClient`](crate::auth::HttpClient), behind the
/// feature `jwks-client`, or one's own.
pub trait HttpGet: Send + Sync + 'static {
    /// Gets a document. Follows no redirect unless its owner wants it to, and may stop reading after
    /// `max_bytes`: a longer body is refused.
    fn get(&self, uri: &Uri, max_bytes: usize) -> HttpFuture;
}

impl<H: HttpGet + ?Sized> HttpGet for Arc<H> {
    fn get(&self, uri: &Uri, max_bytes: usize) -> HttpFuture {
        (**self).get(uri, max_bytes)
    }
}

impl fmt::Debug for Fetched {
    /// Without the body: whose document it is, is not known here.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fetched = f.debug_struct("Fetched");
        fetched.field("status", &self.status).field("bytes", &self.body.len()).finish()
    }
}
