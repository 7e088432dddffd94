//! The trait of key sources.

use crate::rejection::BoxError;
use std::{future::Future, pin::Pin, sync::Arc};

/// The longest document that a key source reads, in bytes.
pub(super) const MAX_DOCUMENT: usize = 512 * 1024;

/// The boxed future that [`KeySource::fetch`] returns. `Box::pin(async move { .. })` makes one. It is
/// `'static`, so it must not borrow the source.
pub type KeyFuture = Pin<Box<dyn Future<Output = Result<String, BoxError>> + Send>>;

/// A place where the keys of an issuer are published: a URL, a file, a secret store.
///
/// A closure that returns a future can be a key source: `|| async { Ok(json) }`.
///
/// The [`KeySet`](crate::auth::KeySet) decides when it calls the source, how long it waits, and what happens
/// while the source fails. It calls the source on a separate thread, in the context of the tokio runtime. So
/// a source that blocks or panics does not stop other tasks. But limit how long your source can block: while
/// it blocks two threads, the set does not call it again.
pub trait KeySource: Send + Sync + 'static {
    /// Returns the current JWK set (RFC 7517 section 5) as JSON text.
    fn fetch(&self) -> KeyFuture;

    /// The name of the source in log lines, such as its URL. It must not contain secrets. Default: `a key
    /// source`.
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

impl<S: KeySource + ?Sized> KeySource for Arc<S> {
    fn fetch(&self) -> KeyFuture {
        (**self).fetch()
    }

    fn name(&self) -> String {
        (**self).name()
    }
}
