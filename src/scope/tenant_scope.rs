//! The scope of a request.

use crate::{
    auth::AuthContext,
    context::RequestContext,
    id::{Env, RequestId, Subject, TenantId, few},
    rejection::{Rejection, RejectionKind},
};

/// Proof that the token speaks for the tenant and env that the request names.
///
/// Only [`TenantEnvGuard`](crate::TenantEnvGuard) and
/// [`RequireTenantScope`](crate::RequireTenantScope) make one. It is proof of a moment: a stream
/// that is opened with it still ends when the token does.
#[derive(Clone, Debug)]
pub struct TenantScope {
    pub(super) request: RequestContext,
    pub(super) auth: AuthContext,
}

impl TenantScope {
    /// The rule: the token names the request's tenant, and its env.
    pub(super) fn agrees(request: &RequestContext, auth: &AuthContext) -> Result<(), Rejection> {
        let disagree = |kind, speaks_for: Option<String>| {
            let subject = auth.subject();
            let (tenant, env) = (request.tenant(), request.env());
            let asks = format!("subject {subject:?} asks for {tenant}/{env}, but its token");
            Err(Rejection::new(kind).with_source(match speaks_for {
                None => format!("{asks} names none; are the claim names right?"),
                Some(names) => format!("{asks} speaks for {names}"),
            }))
        };
        if !auth.tenants().any(|tenant| tenant == request.tenant().as_str()) {
            return disagree(
                RejectionKind::TenantMismatch,
                auth.tenants().next().map(|_| few(auth.tenants())),
            );
        }
        if !auth.envs().any(|env| request.is_env(env)) {
            return disagree(
                RejectionKind::EnvMismatch,
                auth.envs().next().map(|_| few(auth.envs())),
            );
        }
        Ok(())
    }

    /// The tenant that request and token agree on.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        self.request.tenant()
    }

    /// The env that request and token agree on.
    #[must_use]
    pub fn env(&self) -> &Env {
        self.request.env()
    }

    /// What the request claims, among it the origin of the page that made it.
    #[must_use]
    pub fn request(&self) -> &RequestContext {
        &self.request
    }

    /// The id of the request: `meta.trace_id` of every event that its stream delivers.
    #[must_use]
    pub fn request_id(&self) -> &RequestId {
        self.request.request_id()
    }

    /// Who the caller is.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        self.auth.subject()
    }

    /// What the token proves: roles for the application's own checks, and its expiry.
    #[must_use]
    pub fn auth(&self) -> &AuthContext {
        &self.auth
    }
}
