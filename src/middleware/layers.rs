//! The layers by name, with their constructors and settings.

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
/// See the [module docs](crate::middleware) for an example of its use.
///
/// - It reads `X-Tenant-Id`, `X-Env` and `X-Request-Id`, and puts a
///   [`RequestContext`](crate::RequestContext) on the request.
/// - It takes a [request id](crate::RequestId) as it was sent. It generates an id if none was sent, and
///   replaces an id that cannot be taken: one that is malformed, too long, a placeholder, or sent twice
///   with different values. A debug line says so. Inner services see the id in exactly one header. Every
///   response has it, refusals included.
/// - With the feature `tower-http`, it takes the id of tower-http's `RequestId` extension if the header
///   is absent, and sets that extension for inner layers.
/// - Everything inside the layer, streams included, runs in a tracing span `request` with `method`,
///   `path`, `request_id`, `tenant` and `env`.
pub type RequireRequestContext<R = ByContentType> = Require<ContextCheck, R>;

/// Refuses requests without a valid token (401).
///
/// It asks its [`Authenticator`] and puts an [`AuthContext`](crate::AuthContext) on the request. It marks
/// the `Authorization` header as sensitive, so that inner layers do not log it.
pub type RequireAuth<R = ByContentType> = Require<AuthCheck, R>;

/// Refuses requests whose token does not allow the tenant and env that they name (403).
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

/// Three checks in one layer: the request context (400), the token (401), and that they agree (403).
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
    /// Serves these envs instead.
    pub fn envs(mut self, envs: Envs) -> Self {
        self.check.as_mut().envs = envs;
        self
    }

    /// Takes tenant and env from the query parameters `tenant` and `env` as well, for clients that
    /// cannot set headers. They prove nothing: they are compared with the token like headers. They are
    /// removed from the URI. If a header names the same thing, the request is refused.
    pub fn or_query(mut self) -> Self {
        self.check.as_mut().query = true;
        self
    }

    /// Takes tenant and env from another part of the request, such as the path or the host. `read` finds
    /// them in the head of each request.
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
    /// What `read` returns proves nothing: it is checked like a header, and compared with the token. If
    /// `read` does not name tenant or env, the header does. If a header, the query or a ticket names the
    /// same thing as `read`, both must be equal: the tenant byte for byte, the env with aliases resolved.
    /// Otherwise the request is refused (400 `context.invalid`).
    ///
    /// In axum, a layer inside `Router::nest` sees the path without the prefix. A layer around the outer
    /// router sees the whole path. `head.extensions()` has axum's `OriginalUri`.
    ///
    /// If `read` looks at a header other than `Host`, name that header to caches by
    /// [`vary_by`](Self::vary_by). Path and host need no such name: they are part of the URL, which is
    /// the key of a cache. A proxy in front must pass the host on or set it, and must not copy it from
    /// another header of the client.
    pub fn context_from(
        mut self,
        read: impl for<'a> Fn(RequestHead<'a>) -> ContextParts<'a> + Send + Sync + 'static,
    ) -> Self {
        self.check.as_mut().reader = Some(ContextReader::new(read));
        self
    }
}

impl RequireAuth {
    /// Asks `authenticator` about every request.
    pub fn new(authenticator: impl Authenticator + 'static) -> Self {
        Self::with_check(AuthCheck::new(Arc::new(authenticator)))
    }
}

impl<R> RequireAuth<R> {
    /// Lets requests without a token pass, for routes that anonymous callers may use:
    /// `Option<AuthContext>` is `None` there. An invalid token is still refused, and so is everything
    /// that needs a [`TenantScope`](crate::TenantScope).
    pub fn optional(mut self) -> Self {
        self.check.optional = true;
        self
    }
}

/// Settings of [`RequireAuth`] and [`RequireTenantScope`].
impl<C: AsMut<AuthCheck>, R> Require<C, R> {
    /// Takes the token from other places as well: a cookie, or a WebSocket subprotocol.
    pub fn token_sources(mut self, sources: TokenSources) -> Self {
        self.check.as_mut().sources = sources;
        self
    }

    /// Takes a ticket in place of the token. It also names tenant and env. Call it only for routes that
    /// open a stream and check its thread. On other routes a ticket is refused, so that it opens nothing
    /// but streams.
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
    /// The guard. It has no settings of its own.
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
    /// Asks for a valid token, without requirements yet. Each call of a method adds a requirement. A token
    /// must meet all of them.
    pub fn new() -> Self {
        Self::with_check(ClaimsCheck::default())
    }
}

impl<R> RequireClaims<R> {
    fn with(mut self, add: impl FnOnce(&mut Policy)) -> Self {
        self.check = self.check.with(add);
        self
    }

    /// Asks for this role. Called twice, it asks for both roles.
    pub fn role(self, role: impl Into<String>) -> Self {
        self.any_role([role])
    }

    /// Asks for one of these roles. Called twice, it asks for one role of each list. An empty list refuses
    /// every token.
    pub fn any_role<T: Into<String>>(self, roles: impl IntoIterator<Item = T>) -> Self {
        self.with(|policy| policy.any_role(roles))
    }

    /// Asks for this scope. Called twice, it asks for both scopes.
    pub fn scope(self, scope: impl Into<String>) -> Self {
        self.with(|policy| policy.scope(scope))
    }

    /// Asks for a token with this audience. Audiences are alternatives, as in a verifier: called twice, it
    /// asks for a token with one of them.
    ///
    /// The verifier must accept the audience as well. If it must not do so on other routes, see
    /// [`JwtVerifier::with_audience`](crate::auth::JwtVerifier::with_audience).
    pub fn audience(self, audience: impl Into<String>) -> Self {
        self.with(|policy| policy.audience(audience))
    }

    /// Asks for an access token of RFC 9068: its `typ` is `at+jwt` (section 2.1), and it has all claims
    /// of section 2.2. See [`AuthContext::is_access_token`](crate::AuthContext::is_access_token).
    pub fn at_jwt(self) -> Self {
        self.with(Policy::only_access_tokens)
    }

    /// Asks for a token whose lifetime, from `iat` to `exp`, is at most this. A token without `iat`, or
    /// with an `exp` before its `iat`, is refused. Called twice, the shorter time counts.
    pub fn max_lifetime(self, lifetime: Duration) -> Self {
        self.with(|policy| policy.max_lifetime(lifetime))
    }
}

impl RequireTenantScope {
    /// Serves the default envs, and asks `authenticator` about every request.
    pub fn new(authenticator: impl Authenticator + 'static) -> Self {
        Self::with_check(ScopeCheck {
            context: ContextCheck::default(),
            auth: AuthCheck::new(Arc::new(authenticator)),
        })
    }
}
