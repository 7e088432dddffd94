//! The check of a thread, which makes a grant.

use super::{
    grant::ThreadGrant,
    registry::{NamesThread, ThreadRegistry},
};
use crate::{
    id::{ThreadId, ThreadKey},
    rejection::{Chain, Rejection, RejectionKind, TARGET},
    scope::TenantScope,
};

/// Checks that the scope may use the thread now.
///
/// It asks the registry for a thread of the scope's tenant and env, and checks the tenant, env and thread
/// of the record that the registry returns.
///
/// ```
/// use tower_tenancy::{MemoryRegistry, Rejection, TenantScope, ThreadGrant, verify_thread_access};
///
/// async fn grant(threads: &MemoryRegistry, scope: &TenantScope) -> Result<ThreadGrant, Rejection> {
///     verify_thread_access(threads, scope, "th-1").await
/// }
/// ```
///
/// # Errors
///
/// `thread.forbidden` if there is no such thread, if it belongs to another tenant or env, or if the
/// caller is not a member. The client gets the same response for all of these; the log line names the
/// reason. `auth.expired` or `access.revoked` if the scope's proof has ended. `registry.unavailable` if
/// the registry fails.
pub async fn verify_thread_access<R, T>(
    registry: &R,
    scope: &TenantScope,
    thread: &T,
) -> Result<ThreadGrant, Rejection>
where
    R: ThreadRegistry + ?Sized,
    T: NamesThread + ?Sized,
{
    let refuse = |thread: &str, reason: &'static str, owner: Option<&ThreadKey>| {
        tracing::warn!(
            target: TARGET,
            code = RejectionKind::ThreadForbidden.code(),
            reason,
            tenant = scope.tenant().as_str(),
            env = scope.env().as_str(),
            thread,
            owner = owner.map(ThreadKey::to_path),
            subject = scope.subject().as_str(),
            request_id = scope.request_id().as_str(),
            "request refused"
        );
        Err(Rejection::new(RejectionKind::ThreadForbidden).with_source(reason).already_logged())
    };

    // The handler may have kept the scope, and its proof may have ended since then.
    scope.auth().remaining()?;
    // A malformed id is refused like an unknown one.
    let Ok(id) = ThreadId::new(thread.thread_id()) else {
        return refuse("", "the thread id is malformed", None);
    };
    if scope.auth().ticket().is_some_and(|bound| bound.thread != id) {
        return refuse(id.as_str(), "the ticket is for another thread", None);
    }
    let found = registry.find(scope.tenant(), scope.env(), &id).await.map_err(|error| {
        let cause = Chain(&*error).to_string();
        tracing::error!(
            tenant = scope.tenant().as_str(),
            env = scope.env().as_str(),
            thread = id.as_str(),
            request_id = scope.request_id().as_str(),
            error = cause.as_str(),
            "the thread registry failed"
        );
        Rejection::new(RejectionKind::RegistryUnavailable).with_source(error).already_logged()
    })?;
    let Some(record) = found else {
        return refuse(id.as_str(), "the thread is unknown", None);
    };
    let asked = ThreadKey::new(scope.tenant().clone(), scope.env().clone(), id);
    if *record.key() != asked {
        return refuse(
            asked.thread().as_str(),
            "the registry returned another thread",
            Some(record.key()),
        );
    }
    if !record.admits(scope.auth()) {
        return refuse(asked.thread().as_str(), "the caller is not a member", None);
    }
    let grant = ThreadGrant::new(scope.clone(), record);
    // The proof may have ended while the registry answered.
    grant.proof().check()?;
    Ok(grant)
}
