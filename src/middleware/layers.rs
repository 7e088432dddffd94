//! The layers, with their constructors and settings.

use super::{
    check::{AuthCheck, ClaimsCheck, ContextCheck, GuardCheck, ScopeCheck},
    require::Require,
};
use crate::{
    auth::{Authenticator, Policy, TokenSources},
    context::{ContextParts, ContextReader, Envs},
    rejection::ByContentType,
    request::RequestHead,
};
use std::{sync::Arc, time::Duration};

/// Refuses requests that do not name one tenant and one served env (400). Gives each request an id, and
/// opens a span with tenant, env and id.
///
/// See the [module docs](crate::middleware) for an example.
///
/// - It reads `X-Tenant-Id`, `X-Env` and `X-Request-Id`, and puts a
///   [`RequestContext`](crate::RequestContext) on the request.
/// - It uses the [request id](crate::RequestId) of the request. It generates an id if there is none, and
///   replaces an invalid id: one that is malformed, too long, a placeholder, or sent twice with different
///   values. A log line at debug level names the reason. Inner services see the id in exactly one header.
///   Every response has it, including refusals.
/// - With the feature `tower-http`, it uses the id of tower-http's `RequestId` extension if the header
///   is absent, and sets that extension for inner layers.
/// - Everything inside the layer, streams included, runs in a tracing span `request` with `method`,
///   `path`, `request_id`, `tenant` and `env`.
pub type RequireRequestContext<R = ByContentType> = Require<ContextCheck, R>;

/// Refuses requests without a valid token (401).
///
/// It calls its [`Authenticator`] and puts an [`AuthContext`](crate::AuthContext) on the request. It marks
/// the `Authorization` header as sensitive, so that inner layers do not log it.
pub type RequireAuth<R = ByContentType> = Require<AuthCheck, R>;

/// Refuses requests whose token does not allow the request's tenant and env (403).
///
/// Put it inside [`RequireRequestContext`] and [`RequireAuth`]. If one of them is missing, it refuses
/// every request. It puts a [`TenantScope`](crate::TenantScope) on the request.
pub type TenantEnvGuard<R = ByContentType> = Require<GuardCheck, R>;

/// Refuses requests whose token does not meet the requirements of some routes: roles or scopes (403
/// `auth.insufficient_scope`), an audience, a kind of token, or a short lifetime (401). Each call of a
/// method adds a requirement. A token must meet all of them.
///
/// Put it inside [`RequireAuth`] or [`RequireTenantScope`]. If both are missing, it refuses every
/// request. If authentication is optional, it refuses requests without a token.
///
/// ```
/// use axum::{Router, routing::{delete, get}};
/// use tower_tenancy::{RequireClaims, RequireTenantScope};
///
/// # async fn list() {}
/// # async fn purge() {}
/// fn router(tenancy: RequireTenantScope) -> Router {
///     let admin = Router::new()
///         .route("/threads", delete(purge))
///         .route_layer(RequireClaims::new().any_role(["ops", "admin"]).scope("threads:delete"));
///     Router::new().route("/threads", get(list)).merge(admin).route_layer(tenancy)
/// }
/// ```
pub type RequireClaims<R = ByContentType> = Require<ClaimsCheck, R>;

/// Three checks in one layer: the request context (400), the token (401), and whether they agree (403).
///
/// It does the same as [`RequireRequestContext`], [`RequireAuth`] and [`TenantEnvGuard`] in this order,
/// at a third of the cost in `axum::Router::layer`.
pub type RequireTenantScope<R = ByContentType> = Require<ScopeCheck, R>;
impl Default for RequireRequestContext {
    fn default() -> Self {
        Self::new()
    }
}

impl RequireRequestContext {
    /// Serves the [default envs](Envs): `dev`, `staging` and `prod`, and their aliases.
    pub fn new() -> Self {
        Self::with_check(ContextCheck::default())
    }
}

/// Settings of [`RequireRequestContext`] and [`RequireTenantScope`].
impl<C: AsMut<ContextCheck>, R> Require<C, R> {
    /// Sets the envs that the service serves, in place of the default envs.
    pub fn envs(mut self, envs: Envs) -> Self {
        self.check.as_mut().envs = envs;
        self
    }

    /// Also reads tenant and env from the query parameters `tenant` and `env`, for clients that cannot set
    /// headers. Like headers, they prove nothing, and the layer compares them with the token. It removes
    /// them from the URI. It refuses a request that names the tenant, or the env, in both header and query.
    pub fn or_query(mut self) -> Self {
        self.check.as_mut().query = true;
        self
    }

    /// Reads tenant and env from another part of the request, such as the path or the host. The layer
    /// calls `read` with the head of each request.
    ///
    /// ```
    /// use tower_tenancy::{ContextParts, RequireTenantScope};
    ///
    /// # fn layers(verifier: tower_tenancy::auth::JwtVerifier) {
    /// // /t/{tenant}/threads/...
    /// let by_path = RequireTenantScope::new(verifier.clone())
    ///     .context_from(|head| ContextParts::new().tenant(head.segment(1)));
    /// // acme.example.com
    /// let by_host = RequireTenantScope::new(verifier)
    ///     .context_from(|head| ContextParts::new().tenant(head.subdomain_of("example.com")));
    /// # }
    /// ```
    ///
    /// The values that `read` returns prove nothing: the layer checks them like headers, and compares them
    /// with the token. A tenant or an env that `read` does not return comes from the header as usual. If a
    /// header, the query or a ticket also names a value that `read` returns, both must be equal: the tenant
    /// byte for byte, the env with aliases resolved. Otherwise the layer refuses the request (400
    /// `context.invalid`).
    ///
    /// In axum, a layer inside `Router::nest` sees the path without the prefix. A layer around the outer
    /// router sees the whole path. `head.extensions()` has axum's `OriginalUri`.
    ///
    /// If `read` uses a header other than `Host`, add that header to `Vary` with
    /// [`vary_by`](Self::vary_by). Path and host do not need this, because caches use the URL as their key.
    /// A reverse proxy must forward the host or set it, and must not copy it from another header of the
    /// client.
    pub fn context_from(
        mut self,
        read: impl for<'a> Fn(RequestHead<'a>) -> ContextParts<'a> + Send + Sync + 'static,
    ) -> Self {
        self.check.as_mut().reader = Some(ContextReader::new(read));
        self
    }
}

impl RequireAuth {
    /// A layer that calls `authenticator` for every request.
    pub fn new(authenticator: impl Authenticator + 'static) -> Self {
        Self::with_check(AuthCheck::new(Arc::new(authenticator)))
    }
}

impl<R> RequireAuth<R> {
    /// Lets requests without a token pass, for routes that anonymous callers may use. Their
    /// `Option<AuthContext>` is `None`. The layer still refuses an invalid token. Extractors and layers
    /// that need a [`TenantScope`](crate::TenantScope) still refuse requests without a token.
    pub fn optional(mut self) -> Self {
        self.check.optional = true;
        self
    }
}

/// Settings of [`RequireAuth`] and [`RequireTenantScope`].
impl<C: AsMut<AuthCheck>, R> Require<C, R> {
    /// Sets where the token may come from: also a cookie, or a WebSocket subprotocol.
    pub fn token_sources(mut self, sources: TokenSources) -> Self {
        self.check.as_mut().sources = sources;
        self
    }

    /// Accepts a ticket in place of the token. A ticket also names tenant and env. Call this only for routes
    /// that open a stream and check its thread. Other routes refuse tickets, so that a ticket opens only
    /// streams.
    #[cfg(feature = "tickets")]
    pub fn or_ticket(mut self) -> Self {
        self.check.as_mut().ticket = true;
        self
    }
}

impl Default for TenantEnvGuard {
    fn default() -> Self {
        Self::new()
    }
}

impl TenantEnvGuard {
    /// The guard. It has no other settings than those of [`Require`].
    pub const fn new() -> Self {
        Self::with_check(GuardCheck)
    }
}

impl Default for RequireClaims {
    fn default() -> Self {
        Self::new()
    }
}

impl RequireClaims {
    /// Requires a valid token. Each call of a method adds a requirement, and a token must meet all of them.
    pub fn new() -> Self {
        Self::with_check(ClaimsCheck::default())
    }
}

impl<R> RequireClaims<R> {
    fn with(mut self, add: impl FnOnce(&mut Policy)) -> Self {
        self.check = self.check.with(add);
        self
    }

    /// Requires this role. Two calls require both roles.
    pub fn role(self, role: impl Into<String>) -> Self {
        self.any_role([role])
    }

    /// Requires one of these roles. Two calls require one role of each list. With an empty list, the layer
    /// refuses every token.
    pub fn any_role<T: Into<String>>(self, roles: impl IntoIterator<Item = T>) -> Self {
        self.with(|policy| policy.any_role(roles))
    }

    /// Requires this scope. Two calls require both scopes.
    pub fn scope(self, scope: impl Into<String>) -> Self {
        self.with(|policy| policy.scope(scope))
    }

    /// Requires a token with this audience. Audiences are alternatives, as in a verifier: two calls require
    /// a token with one of them.
    ///
    /// The verifier must accept the audience, too. If it must not accept it on other routes, see
    /// [`JwtVerifier::with_audience`](crate::auth::JwtVerifier::with_audience).
    pub fn audience(self, audience: impl Into<String>) -> Self {
        self.with(|policy| policy.audience(audience))
    }

    /// Requires an access token of RFC 9068: its `typ` is `at+jwt` (section 2.1), and it has all claims
    /// of section 2.2. See [`AuthContext::is_access_token`](crate::AuthContext::is_access_token).
    pub fn at_jwt(self) -> Self {
        self.with(Policy::only_access_tokens)
    }

    /// Requires a token whose lifetime, from `iat` to `exp`, is at most this. The layer refuses a token
    /// without `iat`, or with an `exp` before its `iat`. After two calls, the shorter time counts.
    pub fn max_lifetime(self, lifetime: Duration) -> Self {
        self.with(|policy| policy.max_lifetime(lifetime))
    }
}

impl RequireTenantScope {
    /// A layer that serves the default envs, and calls `authenticator` for every request.
    pub fn new(authenticator: impl Authenticator + 'static) -> Self {
        Self::with_check(ScopeCheck {
            context: ContextCheck::default(),
            auth: AuthCheck::new(Arc::new(authenticator)),
        })
    }
}
