//! The layers by their names, and what they are told.

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

/// Refuses requests that do not name one tenant and one served env (400), names the request, and
/// opens the span that carries all three.
///
/// See the [module docs](self) for an example of its use.
///
/// - Reads `X-Tenant-Id`, `X-Env` and `X-Request-Id`; leaves a
///   [`RequestContext`](crate::RequestContext).
/// - Takes a [request id](crate::RequestId) as it was sent. Generates one where none was sent, and in the
///   place of one that cannot be taken: malformed, too long, a placeholder, or sent twice with different
///   values. A debug line says so. Services inside see the id in exactly one header, and the response
///   bears it, refusals included.
/// - With the feature `tower-http`, takes the id of tower-http's `RequestId` extension where the
///   header is absent, and sets that extension for the layers inside.
/// - Everything inside, streams included, runs in a tracing span `request` with `method`, `path`,
///   `request_id`, `tenant` and `env`.
pub type RequireRequestContext<R = ByContentType> = Require<ContextCheck, R>;

/// Refuses requests whose token proves nothing (401).
///
/// Asks its [`Authenticator`] and leaves an [`AuthContext`](crate::AuthContext). The
/// `Authorization` header is marked sensitive, so that nothing inside logs it.
pub type RequireAuth<R = ByContentType> = Require<AuthCheck, R>;

/// Refuses requests whose token does not speak for the tenant and env that they name (403).
///
/// Stands inside [`RequireRequestContext`] and [`RequireAuth`], and refuses every request where
/// one of them is missing; leaves a [`TenantScope`](crate::TenantScope).
pub type TenantEnvGuard<R = ByContentType> = Require<GuardCheck, R>;

/// Refuses requests whose token does not have what one route, or a group of them, asks for: roles
/// or scopes (403 `auth.insufficient_scope`), another audience, a kind of token, a short life (401).
/// Each call adds a requirement, and a token must meet all of them.
///
/// Stands inside [`RequireAuth`] or [`RequireTenantScope`], and refuses every request where neither
/// stands in front, and those without a token where that was optional.
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

/// All three checks in one layer: context (400), token (401), and that they agree (403).
///
/// The same as [`RequireRequestContext`], [`RequireAuth`] and [`TenantEnvGuard`] in this order, at
/// a third of the cost in `axum::Router::layer`.
pub type RequireTenantScope<R = ByContentType> = Require<ScopeCheck, R>;
impl Default for RequireRequestContext {
    fn default() -> Self {
        Self::new()
    }
}

impl RequireRequestContext {
    /// Serves `dev`, `staging` and `prod`, and their aliases.
    pub fn new() -> Self {
        Self::with_check(ContextCheck::default())
    }
}

/// What a layer that reads the request context is told about it.
impl<C: AsMut<ContextCheck>, R> Require<C, R> {
    /// Serves these envs instead.
    pub fn envs(mut self, envs: Envs) -> Self {
        self.check.as_mut().envs = envs;
        self
    }

    /// Takes tenant and env from the query parameters `tenant` and `env` as well, for clients that
    /// cannot set headers. They claim and prove nothing, and are held against the token all the
    /// same. They are taken out of the URI; named in a header too, they are refused.
    pub fn or_query(mut self) -> Self {
        self.check.as_mut().query = true;
        self
    }

    /// Takes tenant and env from wherever `read` finds them in the head of a request: the path, the host.
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
    /// What `read` names claims and proves nothing: it is checked like a header, and held against the
    /// token all the same. What it does not name is looked for in the header. If a header, the query or a
    /// ticket names the same thing, too, both must name one tenant (byte for byte) and one env (aliases
    /// resolved), or the request is refused (400 `context.invalid`).
    ///
    /// In axum, a layer inside `Router::nest` sees the path without the prefix; one that stands around
    /// the outer router sees all of it. `head.extensions()` has axum's `OriginalUri`.
    ///
    /// A header that `read` looks at, other than `Host`, must be named to caches by
    /// [`vary_by`](Self::vary_by). The path and the host are part of the URL, by which a cache keeps
    /// answers; a proxy in front must pass the host on, or set it, and not take it from elsewhere.
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
    /// Lets requests without a token through, for routes where who calls may stay open:
    /// `Option<AuthContext>` is `None` there. A bad token is refused all the same, and so is
    /// everything that needs a [`TenantScope`](crate::TenantScope).
    pub fn optional(mut self) -> Self {
        self.check.optional = true;
        self
    }
}

/// What a layer that authenticates is told about it.
impl<C: AsMut<AuthCheck>, R> Require<C, R> {
    /// Takes the token from elsewhere, too: a cookie, a WebSocket protocol.
    pub fn token_sources(mut self, sources: TokenSources) -> Self {
        self.check.as_mut().sources = sources;
        self
    }

    /// Takes a ticket in place of a token, and [`RequireTenantScope`] takes it in place of tenant and
    /// env, too: for the routes that open a stream, and check its thread. Elsewhere a ticket is refused,
    /// so that it opens nothing but streams.
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
    /// The guard. There is nothing to configure.
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
    /// Asks for a token, and for nothing of it yet. Each call of a method adds a requirement, and a
    /// token must meet all of them.
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

    /// Asks for one of these roles. Called twice, it asks for one of the first and one of the second;
    /// if there are no roles to choose from, nobody has one.
    pub fn any_role<T: Into<String>>(self, roles: impl IntoIterator<Item = T>) -> Self {
        self.with(|policy| policy.any_role(roles))
    }

    /// Asks for this scope. Called twice, it asks for both scopes.
    pub fn scope(self, scope: impl Into<String>) -> Self {
        self.with(|policy| policy.scope(scope))
    }

    /// Asks for a token that is meant for this audience. Audiences are alternatives, as in a verifier:
    /// called twice, it asks for a token that is meant for one of them.
    ///
    /// The verifier must take the audience, too. Where it must not, see
    /// [`JwtVerifier::with_audience`](crate::auth::JwtVerifier::with_audience).
    pub fn audience(self, audience: impl Into<String>) -> Self {
        self.with(|policy| policy.audience(audience))
    }

    /// Asks for an access token of RFC 9068: its `typ` is `at+jwt` (section 2.1), and it has all claims
    /// of section 2.2. See [`AuthContext::is_access_token`](crate::AuthContext::is_access_token).
    pub fn at_jwt(self) -> Self {
        self.with(Policy::only_access_tokens)
    }

    /// Asks for a token that lives no longer than this, from `iat` to `exp`. A token without `iat`, or
    /// whose `exp` is before it, is refused. Called twice, the shorter time counts.
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
