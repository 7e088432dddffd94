//! Where threads are known, and the question that is asked there.

use super::record::ThreadRecord;
use crate::{
    id::{Env, TenantId, ThreadId},
    rejection::BoxError,
};
use std::{fmt, future::Future, pin::Pin, sync::Arc};

/// Where threads are known: the application's database, behind one question.
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
    /// The thread of this tenant and env, or `None` if they have no such thread.
    ///
    /// The record tells to whom the thread really belongs, as the registry stores it. It is compared
    /// with what was asked for, so a registry with global ids is safe too. A registry that finds a
    /// thread by its id alone and returns its owner lets the log tell an attempt on another tenant
    /// from a stale link. To the client both are the same.
    ///
    /// Nothing here limits how long the answer may take.
    ///
    /// # Errors
    ///
    /// The registry cannot tell right now. That is never an answer of "no": the request is refused
    /// with `registry.unavailable`.
    fn find(
        &self,
        tenant: &TenantId,
        env: &Env,
        thread: &ThreadId,
    ) -> impl Future<Output = Result<Option<ThreadRecord>, BoxError>> + Send;
}

/// A registry that was chosen at runtime. Clones are one registry.
///
/// It costs one allocation for each question. Name the registry's own type where it is known.
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

/// [`ThreadRegistry`], as an object.
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

/// Something that names a thread, such as a path parameter.
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
