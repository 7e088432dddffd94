//! The registry of threads.

use super::record::ThreadRecord;
use crate::{
    id::{Env, TenantId, ThreadId},
    rejection::BoxError,
};
use std::{fmt, future::Future, pin::Pin, sync::Arc};

/// A registry of threads. It is usually the application's database.
///
/// If the application chooses the registry at run time, use a [`DynThreadRegistry`].
///
/// ```
/// use tower_tenancy::{BoxError, Env, TenantId, ThreadId, ThreadRecord, ThreadRegistry};
///
/// struct Database;
///
/// impl ThreadRegistry for Database {
///     async fn find(
///         &self,
///         tenant: &TenantId,
///         env: &Env,
///         thread: &ThreadId,
///     ) -> Result<Option<ThreadRecord>, BoxError> {
///         // SELECT tenant, env, id FROM threads WHERE tenant = $1 AND env = $2 AND id = $3
///         Ok(Some(ThreadRecord::new(tenant.clone(), env.clone(), thread.clone())))
///     }
/// }
/// ```
pub trait ThreadRegistry: Send + Sync {
    /// Finds the thread of this tenant and env. Returns `None` if there is no such thread.
    ///
    /// The record must have the tenant and env that the registry stores. The crate compares them with
    /// the arguments, so a registry with globally unique thread ids is safe, too. Such a registry may
    /// return a thread of another tenant. Then the log line names the owner, and shows that the client
    /// asked for another tenant's thread. The client gets the same refusal as for an unknown thread.
    ///
    /// The crate sets no time limit. Set one in the registry.
    ///
    /// # Errors
    ///
    /// Any error of the registry. The crate then refuses the request with `registry.unavailable`, and not
    /// as if there were no such thread.
    fn find(
        &self,
        tenant: &TenantId,
        env: &Env,
        thread: &ThreadId,
    ) -> impl Future<Output = Result<Option<ThreadRecord>, BoxError>> + Send;
}

/// A registry that the application chooses at run time. Clones share it.
///
/// It costs one allocation for each call. Use the registry's own type where you know it.
///
/// ```
/// use tower_tenancy::{DynThreadRegistry, MemoryRegistry, ThreadRegistry};
///
/// fn registry(database: Option<impl ThreadRegistry + 'static>) -> DynThreadRegistry {
///     match database {
///         Some(database) => DynThreadRegistry::new(database),
///         None => DynThreadRegistry::new(MemoryRegistry::new()),
///     }
/// }
/// ```
#[derive(Clone)]
pub struct DynThreadRegistry(Arc<dyn ErasedRegistry>);

impl DynThreadRegistry {
    /// Hides the type of `registry`.
    #[must_use]
    pub fn new(registry: impl ThreadRegistry + 'static) -> Self {
        Self(Arc::new(registry))
    }
}

impl fmt::Debug for DynThreadRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynThreadRegistry").finish_non_exhaustive()
    }
}

impl ThreadRegistry for DynThreadRegistry {
    async fn find(
        &self,
        tenant: &TenantId,
        env: &Env,
        thread: &ThreadId,
    ) -> Result<Option<ThreadRecord>, BoxError> {
        self.0.find_boxed(tenant, env, thread).await
    }
}

type Answer<'a> = Pin<Box<dyn Future<Output = Result<Option<ThreadRecord>, BoxError>> + Send + 'a>>;

/// [`ThreadRegistry`] as a trait object, with boxed futures.
trait ErasedRegistry: Send + Sync {
    fn find_boxed<'a>(
        &'a self,
        tenant: &'a TenantId,
        env: &'a Env,
        thread: &'a ThreadId,
    ) -> Answer<'a>;
}

impl<R: ThreadRegistry> ErasedRegistry for R {
    fn find_boxed<'a>(
        &'a self,
        tenant: &'a TenantId,
        env: &'a Env,
        thread: &'a ThreadId,
    ) -> Answer<'a> {
        Box::pin(self.find(tenant, env, thread))
    }
}

impl<R: ThreadRegistry> ThreadRegistry for Arc<R> {
    async fn find(
        &self,
        tenant: &TenantId,
        env: &Env,
        thread: &ThreadId,
    ) -> Result<Option<ThreadRecord>, BoxError> {
        (**self).find(tenant, env, thread).await
    }
}

/// A value that names a thread, such as a path parameter.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not name a thread",
    note = "`ThreadId`, `String` and `str` do; implement `NamesThread` for your path parameters"
)]
pub trait NamesThread {
    /// The thread's id, as the client wrote it.
    fn thread_id(&self) -> &str;
}

impl NamesThread for str {
    fn thread_id(&self) -> &str {
        self
    }
}

impl NamesThread for String {
    fn thread_id(&self) -> &str {
        self
    }
}

impl NamesThread for ThreadId {
    fn thread_id(&self) -> &str {
        self.as_str()
    }
}
