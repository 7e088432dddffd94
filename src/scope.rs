//! Where request and token agree: the rule of the tenant guard, and what it makes.

use crate::{
    auth::AuthContext,
    context::RequestContext,
    id::{Env, RequestId, Subject, TenantId, few},
    rejection::{Rejection, RejectionKind},
};
use http::Extensions;
use std::mem;

/// Proof that the token speaks for the tenant and env that the request names.
///
/// Only [`TenantEnvGuard`](crate::TenantEnvGuard) and
/// [`RequireTenantScope`](crate::RequireTenantScope) make one. It is proof of a moment: a stream
/// that is opened with it still ends when the token does.
#[derive(Clone, Debug)]
pub struct TenantScope {
    request: RequestContext,
    auth: AuthContext,
}

impl TenantScope {
    /// The rule: the token names the request's tenant, and its env.
    fn agrees(request: &RequestContext, auth: &AuthContext) -> Result<(), Rejection> {
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

/// How the request was authenticated.
#[derive(Clone, Debug)]
enum Authenticated {
    As(AuthContext),
    /// Optional authentication was asked for, and the request bears no token.
    Anonymous,
}

/// What the layers found out about a request: one entry in its extensions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contexts {
    found: Found,
    /// What the ticket on the request proves, or why it proves nothing. Until a layer asks for it,
    /// it is neither context nor token.
    redeemed: Option<Box<Result<AuthContext, Rejection>>>,
}

#[derive(Clone, Debug)]
enum Found {
    /// Not held against each other, or not again since a layer ran that takes its answer back.
    Apart {
        request: Option<RequestContext>,
        auth: Option<Authenticated>,
    },
    Agreed(TenantScope),
}

impl Default for Found {
    fn default() -> Self {
        Self::Apart { request: None, auth: None }
    }
}

impl Found {
    fn request(&self) -> Option<&RequestContext> {
        match self {
            Self::Apart { request, .. } => request.as_ref(),
            Self::Agreed(scope) => Some(&scope.request),
        }
    }

    /// Takes back what was concluded.
    fn apart(self) -> (Option<RequestContext>, Option<Authenticated>) {
        match self {
            Self::Apart { request, auth } => (request, auth),
            Self::Agreed(TenantScope { request, auth }) => {
                (Some(request), Some(Authenticated::As(auth)))
            }
        }
    }
}

impl Contexts {
    fn of(extensions: &mut Extensions) -> &mut Self {
        extensions.get_or_insert_default()
    }

    pub(crate) fn set_request(extensions: &mut Extensions, request: RequestContext) {
        let contexts = Self::of(extensions);
        let (_, auth) = mem::take(&mut contexts.found).apart();
        contexts.found = Found::Apart { request: Some(request), auth };
    }

    /// `None` where authentication is optional and the request bears no token.
    pub(crate) fn set_auth(extensions: &mut Extensions, auth: Option<AuthContext>) {
        let contexts = Self::of(extensions);
        let (request, _) = mem::take(&mut contexts.found).apart();
        let auth = auth.map_or(Authenticated::Anonymous, Authenticated::As);
        contexts.found = Found::Apart { request, auth: Some(auth) };
    }

    #[cfg(feature = "tickets")]
    pub(crate) fn set_redeemed(
        extensions: &mut Extensions,
        answer: Result<AuthContext, Rejection>,
    ) {
        *Self::of(extensions) = Self { redeemed: Some(Box::new(answer)), ..Self::default() };
    }

    pub(crate) fn redeemed(extensions: &Extensions) -> Option<Result<AuthContext, Rejection>> {
        extensions.get::<Self>()?.redeemed.as_deref().cloned()
    }

    /// Holds what is known against the rule, and keeps the scope.
    pub(crate) fn conclude(extensions: &mut Extensions) -> Result<(), Rejection> {
        let request = RequestContext::from_extensions(extensions)?;
        let auth = AuthContext::optional(extensions)?.ok_or(RejectionKind::AuthMissing)?;
        TenantScope::agrees(request, auth)?;
        let found = &mut Self::of(extensions).found;
        // Moved, not cloned: both were there a moment ago.
        if let (Some(request), Some(Authenticated::As(auth))) = mem::take(found).apart() {
            *found = Found::Agreed(TenantScope { request, auth });
        }
        Ok(())
    }
}

impl RequestContext {
    /// What the layers left on the request, for hosts without extractors.
    ///
    /// # Errors
    ///
    /// `server.misconfigured` if no [`RequireRequestContext`](crate::RequireRequestContext) stands
    /// in front.
    pub fn from_extensions(extensions: &Extensions) -> Result<&Self, Rejection> {
        extensions
            .get::<Contexts>()
            .and_then(|contexts| contexts.found.request())
            .ok_or_else(|| Rejection::layer_missing("request context", "RequireRequestContext"))
    }
}

impl AuthContext {
    /// What the layers left on the request, for hosts without extractors.
    ///
    /// # Errors
    ///
    /// `server.misconfigured` if no [`RequireAuth`](crate::RequireAuth) stands in front;
    /// `auth.missing` if authentication was optional and the request bears no token.
    pub fn from_extensions(extensions: &Extensions) -> Result<&Self, Rejection> {
        Self::optional(extensions)?.ok_or_else(|| RejectionKind::AuthMissing.into())
    }

    /// `None` only where optional authentication was asked for.
    pub(crate) fn optional(extensions: &Extensions) -> Result<Option<&Self>, Rejection> {
        match extensions.get::<Contexts>().map(|contexts| &contexts.found) {
            Some(Found::Agreed(TenantScope { auth, .. })) => Ok(Some(auth)),
            Some(Found::Apart { auth: Some(Authenticated::As(auth)), .. }) => Ok(Some(auth)),
            Some(Found::Apart { auth: Some(Authenticated::Anonymous), .. }) => Ok(None),
            Some(Found::Apart { auth: None, .. }) | None => {
                Err(Rejection::layer_missing("auth context", "RequireAuth"))
            }
        }
    }
}

impl TenantScope {
    /// What the layers left on the request, for hosts without extractors.
    ///
    /// # Errors
    ///
    /// `server.misconfigured` if no [`TenantEnvGuard`](crate::TenantEnvGuard) stands in front.
    pub fn from_extensions(extensions: &Extensions) -> Result<&Self, Rejection> {
        match extensions.get::<Contexts>().map(|contexts| &contexts.found) {
            Some(Found::Agreed(scope)) => Ok(scope),
            Some(Found::Apart { .. }) | None => {
                Err(Rejection::layer_missing("tenant scope", "TenantEnvGuard"))
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{Contexts, TenantScope};
    use crate::{
        auth::AuthContext,
        clock::from_unix,
        context::{Envs, Named, RequestContext, X_ENV, X_TENANT_ID},
        head::RequestHead,
        id::{RequestId, Subject},
        rejection::Rejection,
    };
    use http::{Extensions, Request};

    pub(crate) fn request(tenant: &str, env: &str) -> RequestContext {
        let request = Request::builder().header(X_TENANT_ID, tenant).header(X_ENV, env);
        let request = request.body(()).unwrap();
        let id = RequestId::new("req-1").unwrap();
        let none = Named::new();
        RequestContext::read(RequestHead::of(&request), &none, &none, id, &Envs::default()).unwrap()
    }

    pub(crate) fn auth(tenants: &[&str], envs: &[&str]) -> AuthContext {
        AuthContext::new(Subject::new("ada").unwrap(), from_unix(u64::MAX))
            .with_tenants(tenants.iter().copied())
            .with_envs(envs.iter().copied())
    }

    impl TenantScope {
        /// The scope, come by without layers.
        pub(crate) fn agree(
            request: &RequestContext,
            auth: &AuthContext,
        ) -> Result<Self, Rejection> {
            Self::agrees(request, auth)?;
            Ok(Self { request: request.clone(), auth: auth.clone() })
        }
    }

    pub(crate) fn scope(tenant: &str) -> TenantScope {
        TenantScope::agree(&request(tenant, "prod"), &auth(&[tenant], &["prod"])).unwrap()
    }

    #[test]
    fn request_and_token_must_agree_on_tenant_and_env() {
        let asks = request("t_a", "prod");
        for (tenants, envs, code) in [
            (vec!["t_a"], vec!["prod"], None),
            (vec!["t_b", "t_a"], vec!["dev", "production"], None),
            (vec!["t_b"], vec!["prod"], Some("tenant.mismatch")),
            (vec!["T_A"], vec!["prod"], Some("tenant.mismatch")),
            (vec!["t_a "], vec!["prod"], Some("tenant.mismatch")),
            (vec![], vec!["prod"], Some("tenant.mismatch")),
            (vec![], vec![], Some("tenant.mismatch")),
            (vec!["t_a"], vec!["dev"], Some("env.mismatch")),
            (vec!["t_a"], vec![], Some("env.mismatch")),
        ] {
            let result = TenantScope::agree(&asks, &auth(&tenants, &envs));
            assert_eq!(result.err().map(|r| r.code()), code, "{tenants:?} {envs:?}");
        }
    }

    #[test]
    fn a_refusal_does_not_tell_the_client_what_the_token_says() {
        let rejection = TenantScope::agree(&request("t_a", "prod"), &auth(&["t_secret"], &[]));
        let rejection = rejection.unwrap_err();
        assert!(!rejection.to_string().contains("t_secret"));
        assert!(std::error::Error::source(&rejection).unwrap().to_string().contains("t_secret"));
    }

    #[test]
    fn a_refusal_is_a_bounded_line_whatever_the_token_says() {
        let long: Vec<String> = (0..512).map(|i| format!("t_{i}{}", "x".repeat(400))).collect();
        let long: Vec<&str> = long.iter().map(String::as_str).collect();
        for auth in [auth(&long, &["prod"]), auth(&["t_a"], &long)] {
            let rejection = TenantScope::agree(&request("t_a", "prod"), &auth).unwrap_err();
            let cause = std::error::Error::source(&rejection).unwrap().to_string();
            assert!(cause.contains("\"t_0") && cause.ends_with("511 more"), "{cause}");
            assert!(cause.len() < 300, "{cause}");
        }
    }

    #[test]
    fn what_was_concluded_is_taken_back_when_a_layer_runs_again() {
        let mut extensions = Extensions::new();
        assert!(Contexts::conclude(&mut extensions).is_err());
        Contexts::set_request(&mut extensions, request("t_a", "prod"));
        assert!(Contexts::conclude(&mut extensions).is_err());
        Contexts::set_auth(&mut extensions, Some(auth(&["t_a"], &["prod"])));
        assert!(TenantScope::from_extensions(&extensions).is_err());
        Contexts::conclude(&mut extensions).unwrap();
        assert!(TenantScope::from_extensions(&extensions).is_ok());
        Contexts::set_request(&mut extensions, request("t_b", "prod"));
        assert!(TenantScope::from_extensions(&extensions).is_err());
        Contexts::set_auth(&mut extensions, None);
        assert_eq!(Contexts::conclude(&mut extensions).unwrap_err().code(), "auth.missing");
    }
}
