//! The scope of a request.

use crate::{
    auth::AuthContext,
    context::RequestContext,
    id::{Env, RequestId, Subject, TenantId, few},
    rejection::{Rejection, RejectionKind},
};

/// Proof that the token allows the tenant and env that the request names.
///
/// Only [`TenantEnvGuard`](crate::TenantEnvGuard) and
/// [`RequireTenantScope`](crate::RequireTenantScope) make one. It is valid for a limited time: a stream
/// that is opened with it ends when the token expires or is revoked.
#[derive(Clone, Debug)]
pub struct TenantScope {
    pub(super) request: RequestContext,
    pub(super) auth: AuthContext,
}

impl TenantScope {
    /// Checks that the token names the tenant and the env of the request.
    pub(super) fn agrees(request: &RequestContext, auth: &AuthContext) -> Result<(), Rejection> {
        let disagree = |kind, speaks_for: Option<String>| {
            let subject = auth.subject();
            let (tenant, env) = (request.tenant(), request.env());
            let asks = format!("subject {subject:?} asks for {tenant}/{env}, but its token");
            Err(Rejection::new(kind).with_source(match speaks_for {
                None => format!("{asks} names none; are the claim names right?"),
                Some(names) => format!("{asks} names {names}"),
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

    /// The tenant that the request names and the token proves.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        self.request.tenant()
    }

    /// The env that the request names and the token proves.
    #[must_use]
    pub fn env(&self) -> &Env {
        self.request.env()
    }

    /// The request context, which includes the origin of the page that made the request.
    #[must_use]
    pub fn request(&self) -> &RequestContext {
        &self.request
    }

    /// The id of the request: `meta.trace_id` of every event that its stream delivers.
    #[must_use]
    pub fn request_id(&self) -> &RequestId {
        self.request.request_id()
    }

    /// The subject of the token.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        self.auth.subject()
    }

    /// The auth context, with the roles (for the application's own checks) and the expiry.
    #[must_use]
    pub fn auth(&self) -> &AuthContext {
        &self.auth
    }
}
