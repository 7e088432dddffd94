//! Where threads are known, and the question that is asked there.

use super::record::ThreadRecord;
use crate::{
    id::{Env, TenantId, ThreadId},
    rejection::BoxError,
};
use std::{future::Future, sync::Arc};

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
