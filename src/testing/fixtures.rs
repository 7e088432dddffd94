//! Scopes, grants and threads for the unit tests of many modules.

use super::ManualClock;
use crate::{
    access::{MemoryRegistry, ThreadGrant, ThreadRecord, verify_thread_access},
    auth::AuthContext,
    clock::{Clock, Sleep, from_unix},
    context::{ContextParts, Envs, RequestContext, X_ENV, X_TENANT_ID},
    event::Routing,
    id::{RequestId, Subject, ThreadId},
    rejection::Rejection,
    request::RequestHead,
    scope::{Contexts, TenantScope},
};
use futures_util::FutureExt as _;
use http::{Extensions, Request};
use std::{
    sync::Arc,
    task::Poll,
    time::{Duration, SystemTime},
};

/// The context of a request that names this tenant and env.
pub(crate) fn request(tenant: &str, env: &str) -> RequestContext {
    let request = Request::builder().header(X_TENANT_ID, tenant).header(X_ENV, env);
    let request = request.body(()).unwrap();
    let id = RequestId::new("req-1").unwrap();
    let none = ContextParts::new();
    RequestContext::read(RequestHead::of(&request), &none, &none, id, &Envs::default()).unwrap()
}

/// What a token of the user `ada` proves, for these tenants and envs. It never expires.
pub(crate) fn auth(tenants: &[&str], envs: &[&str]) -> AuthContext {
    AuthContext::new(Subject::new("ada").unwrap(), from_unix(u64::MAX))
        .with_tenants(tenants.iter().copied())
        .with_envs(envs.iter().copied())
}

impl TenantScope {
    /// The scope that the layers make of this request context and this auth context.
    pub(crate) fn agree(request: &RequestContext, auth: &AuthContext) -> Result<Self, Rejection> {
        let mut extensions = Extensions::new();
        Contexts::set_request(&mut extensions, request.clone());
        Contexts::set_auth(&mut extensions, Some(auth.clone()));
        Contexts::conclude(&mut extensions)?;
        Self::from_extensions(&extensions).cloned()
    }
}

/// The scope of a request of `ada` to the env `prod` of this tenant.
pub(crate) fn scope(tenant: &str) -> TenantScope {
    TenantScope::agree(&request(tenant, "prod"), &auth(&[tenant], &["prod"])).unwrap()
}

/// The routing of a thread in `prod`.
pub(crate) fn routing(tenant: &str, thread: &str) -> Arc<Routing> {
    Arc::new(format!("{tenant}/prod/{thread}").parse().unwrap())
}

/// The record of a thread in `prod`. The thread is open to its tenant.
pub(crate) fn record(tenant: &str, thread: &str) -> ThreadRecord {
    (&*routing(tenant, thread)).into()
}

/// A grant for a thread that is open to its tenant.
pub(crate) fn grant(scope: TenantScope, thread: &str) -> ThreadGrant {
    let (tenant, env) = (scope.tenant().clone(), scope.env().clone());
    let registry = MemoryRegistry::new();
    registry.register(ThreadRecord::new(tenant, env, ThreadId::new(thread).unwrap()));
    verify_thread_access(&registry, &scope, thread).now_or_never().unwrap().unwrap()
}

/// A clock whose sleeps end at a time of day. The clock of an application may do that.
#[derive(Debug)]
pub(crate) struct ByTimeOfDay(pub(crate) ManualClock);

impl Clock for ByTimeOfDay {
    fn now(&self) -> SystemTime {
        self.0.now()
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        let (clock, until) = (self.0.clone(), self.0.now() + duration);
        Box::pin(std::future::poll_fn(move |cx| {
            if clock.now() >= until {
                return Poll::Ready(());
            }
            // The sleep does not end before that time, even if it is polled earlier.
            clock.wake(cx);
            Poll::Pending
        }))
    }
}
