//! Where the documents with the keys come from.

use crate::rejection::BoxError;
use std::{future::Future, pin::Pin};

/// The longest document that is read, in bytes.
pub(super) const MAX_DOCUMENT: usize = 512 * 1024;

/// What a [`KeySource`] answers.
pub type KeyFuture = Pin<Box<dyn Future<Output = Result<String, BoxError>> + Send>>;

/// Where the keys of an issuer are published: a URL, a file, a secret store.
///
/// A closure is one, too: `|| async { Ok(json) }`. How often it is asked, for how long, and what
/// happens while it fails, is the [`KeySet`](crate::auth::KeySet)'s matter. It is asked on a thread of its own,
/// in the context of the tokio runtime: a source that blocks or panics stops nothing else. Still, give
/// whatever blocks a limit in time: a source that keeps two threads is not asked until one of them ends.
pub trait KeySource: Send + Sync + 'static {
    /// The JWK set (RFC 7517 section 5) as it is now, as JSON text.
    fn fetch(&self) -> KeyFuture;

    /// What log lines call it, such as its URL, without a secret. Default: `a key source`.
    fn name(&self) -> String {
        "a key source".to_owned()
    }
}

impl<F, T> KeySource for F
where
    F: Fn() -> T + Send + Sync + 'static,
    T: Future<Output = Result<String, BoxError>> + Send + 'static,
{
    fn fetch(&self) -> KeyFuture {
        Box::pin(self())
    }
}
