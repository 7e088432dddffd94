//! The layers: one engine, four checks.
//!
//! [`RequireTenantScope`] does all three checks in one layer. Its parts also stand alone and in
//! order: [`RequireRequestContext`], [`RequireAuth`], [`TenantEnvGuard`].
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use std::convert::Infallible;
//! use tower::{ServiceBuilder, ServiceExt as _, service_fn};
//! use tower_tenancy::{
//!     RequireTenantScope, TenantScope,
//!     auth::{Algorithm, JwtKey, JwtVerifier},
//! };
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let key = JwtKey::hmac(Algorithm::HS256, b"at least 32 bytes of a random secret")?;
//! let verifier = JwtVerifier::builder().key(key).build()?;
//!
//! let service = ServiceBuilder::new().layer(RequireTenantScope::new(verifier)).service_fn(
//!     |request: Request<()>| async move {
//!         let tenant = TenantScope::from_extensions(request.extensions()).map(|s| s.tenant().clone());
//!         Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(format!("{tenant:?}"))))
//!     },
//! );
//!
//! let refused = service.oneshot(Request::new(())).await?;
//! assert_eq!(refused.status(), 400, "the request names no tenant");
//! # Ok(()) }
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run()).unwrap();
//! ```
//!
//! # Shape
//!
//! `Request<ReqBody> -> Result<Response<ResBody>, S::Error>` in and out, for any bodies. A refusal
//! is a response, made by the layer's [`RejectWith`](crate::rejection::RejectWith); the
//! [`Rejection`](crate::Rejection) is in its extensions. A rejection that a handler or an extractor
//! answers with is told in the same way on its way out; an answer of their own, and a rejection whose
//! status, content type or body something in between has changed, pass as they are.
//!
//! # Caches
//!
//! Every refusal has `cache-control: no-store`. Every answer that passes a layer, and every refusal,
//! names in `Vary` the headers that the layer reads, so that a cache in front does not serve one
//! tenant's answer to another ([RFC 9110 section 12.5.5]).
//!
//! [RFC 9110 section 12.5.5]: https://www.rfc-editor.org/rfc/rfc9110#section-12.5.5
//!
//! # Backpressure
//!
//! A request holds what the readiness of the inner service reserved, such as the permit of a
//! concurrency limit, only while the inner service works on it. A refusal gives it back. So does a
//! check whose authenticator has to wait: once the token is found good, the request asks a clone of
//! the inner service for readiness, queues like any other, and calls that very clone
//! ([tower's rule][clone]). If the inner service fails to become ready, the request fails with that
//! error. An answer that is ready at once costs no clone of the inner service.
//!
//! [clone]: tower_service::Service#be-careful-when-cloning-inner-services

mod check;
#[cfg(feature = "tokio-tungstenite")]
mod close_refused;
mod future;
#[cfg(feature = "tickets")]
mod redeem;
mod service;
mod vary;

pub use check::{AuthCheck, Check, ClaimsCheck, ContextCheck, GuardCheck, ScopeCheck};
#[cfg(feature = "tokio-tungstenite")]
pub use close_refused::{CloseRefusedFuture, CloseRefusedService, CloseRefusedUpgrades};
pub use future::RequireFuture;
#[cfg(feature = "tickets")]
pub use redeem::{RedeemFuture, RedeemService, RedeemTicket};
pub use service::RequireService;

use crate::{
    auth::{Authenticator, Policy, TokenSources},
    context::{Envs, Named, ReadsContext},
    rejection::ByContentType,
    request::RequestHead,
};
use http::HeaderName;
use std::{sync::Arc, time::Duration};
use tower_layer::Layer;

/// A layer that lets a request through only if a check allows it. Used by its aliases.
#[derive(Clone, Debug)]
#[must_use]
pub struct Require<C, R = ByContentType> {
    check: C,
    reject_with: R,
    pass_preflight: bool,
    opens_streams: bool,
    vary_by: Vec<HeaderName>,
}

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

impl<C> Require<C> {
    const fn with_check(check: C) -> Self {
        Self {
            check,
            reject_with: ByContentType,
            pass_preflight: false,
            opens_streams: false,
            vary_by: Vec::new(),
        }
    }
}

impl<C, R> Require<C, R> {
    /// Refuses in another way: [`GrpcStatus`](crate::rejection::GrpcStatus),
    /// [`WrapBody`](crate::rejection::WrapBody), or a closure `Fn(&Rejection) -> Response<_>`.
    pub fn reject_with<T>(self, reject_with: T) -> Require<C, T> {
        let Self { check, reject_with: _, pass_preflight, opens_streams, vary_by } = self;
        Require { check, reject_with, pass_preflight, opens_streams, vary_by }
    }

    /// Says that the routes inside open event streams for browsers.
    ///
    /// A browser's `EventSource` gives up for good on anything but a 200. On these routes, and on no
    /// other, it is therefore answered what is worth trying again (429 and 503) by a 200 stream that
    /// holds the notice, a delay, and its end: a `GET` that names `text/event-stream` in `Accept` and
    /// bears no `Authorization` header. Of several layers, each says so. Never put it in front of a
    /// route that a proxy asks whether to let a request in: a 200 is its "yes".
    ///
    /// ```
    /// use axum::{Router, routing::{get, post}};
    /// use tower_tenancy::RequireTenantScope;
    ///
    /// # async fn listen() {}
    /// # async fn say() {}
    /// fn router(tenancy: RequireTenantScope) -> Router {
    ///     let streams = Router::new()
    ///         .route("/sse/{thread}", get(listen))
    ///         .route_layer(tenancy.clone().opens_streams());
    ///     Router::new().route("/{thread}", post(say)).route_layer(tenancy).merge(streams)
    /// }
    /// ```
    pub fn opens_streams(mut self) -> Self {
        self.opens_streams = true;
        self
    }

    /// Names one more header that the answer depends on, in `Vary`: what an
    /// [`Authenticator`] of the application's own reads besides the token. The headers that the layer
    /// reads by itself are named already.
    ///
    /// ```
    /// use http::HeaderName;
    /// use tower_tenancy::{RequireTenantScope, auth::Authenticator};
    ///
    /// fn tenancy(api_keys: impl Authenticator + 'static) -> RequireTenantScope {
    ///     RequireTenantScope::new(api_keys).vary_by(HeaderName::from_static("x-api-key"))
    /// }
    /// ```
    pub fn vary_by(mut self, header: HeaderName) -> Self {
        self.vary_by.push(header);
        self
    }

    /// Lets CORS preflights through unchecked ([WHATWG Fetch section 3.3.2]), for a CORS layer that
    /// stands inside: a preflight bears neither context nor token. Whatever else stands inside must
    /// not answer `OPTIONS` with anything of a tenant's; extractors refuse, as everywhere without
    /// layers. Better is a CORS layer outside, which needs none of this.
    ///
    /// [WHATWG Fetch section 3.3.2]: https://fetch.spec.whatwg.org/#cors-preflight-request
    pub fn pass_preflight(mut self) -> Self {
        self.pass_preflight = true;
        self
    }
}

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

impl<R> RequireRequestContext<R> {
    /// Serves these envs instead.
    pub fn envs(mut self, envs: Envs) -> Self {
        self.check.envs = envs;
        self
    }

    /// Takes tenant and env from the query parameters `tenant` and `env` as well, for clients that
    /// cannot set headers. They claim and prove nothing, and are held against the token all the
    /// same. They are taken out of the URI; named in a header too, they are refused.
    pub fn or_query(mut self) -> Self {
        self.check.query = true;
        self
    }

    /// Takes tenant and env from wherever `read` finds them in the head of a request: the path, the host.
    /// The same as [`RequireTenantScope::context_from`](crate::RequireTenantScope::context_from), which
    /// tells the rules.
    pub fn context_from(
        mut self,
        read: impl for<'a> Fn(RequestHead<'a>) -> Named<'a> + Send + Sync + 'static,
    ) -> Self {
        self.check.reads = Some(ReadsContext::new(read));
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

    /// Takes the token from elsewhere, too: a cookie, a WebSocket protocol.
    pub fn token_sources(mut self, sources: TokenSources) -> Self {
        self.check.sources = sources;
        self
    }

    /// Takes a ticket in place of a token: for the routes that open a stream, and check its thread.
    /// Elsewhere a ticket is refused, so that it opens nothing but streams.
    #[cfg(feature = "tickets")]
    pub fn or_ticket(mut self) -> Self {
        self.check.ticket = true;
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

impl<R> RequireTenantScope<R> {
    /// Serves these envs instead.
    pub fn envs(mut self, envs: Envs) -> Self {
        self.check.context.envs = envs;
        self
    }

    /// Takes tenant and env from the query parameters `tenant` and `env` as well, for clients that
    /// cannot set headers. They claim and prove nothing, and are held against the token all the
    /// same. They are taken out of the URI; named in a header too, they are refused.
    pub fn or_query(mut self) -> Self {
        self.check.context.query = true;
        self
    }

    /// Takes tenant and env from wherever `read` finds them in the head of a request: the path, the host.
    ///
    /// ```
    /// use tower_tenancy::{Named, RequireTenantScope};
    ///
    /// # fn layers(verifier: tower_tenancy::auth::JwtVerifier) {
    /// // /t/{tenant}/threads/...
    /// let by_path = RequireTenantScope::new(verifier.clone())
    ///     .context_from(|head| Named::new().tenant(head.segment(1)));
    /// // acme.example.com
    /// let by_host = RequireTenantScope::new(verifier)
    ///     .context_from(|head| Named::new().tenant(head.subdomain_of("example.com")));
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
        read: impl for<'a> Fn(RequestHead<'a>) -> Named<'a> + Send + Sync + 'static,
    ) -> Self {
        self.check.context.reads = Some(ReadsContext::new(read));
        self
    }

    /// Takes the token from elsewhere, too: a cookie, a WebSocket protocol.
    pub fn token_sources(mut self, sources: TokenSources) -> Self {
        self.check.auth.sources = sources;
        self
    }

    /// Takes a ticket in place of context and token: for the routes that open a stream, and check
    /// its thread. Elsewhere a ticket is refused, so that it opens nothing but streams.
    #[cfg(feature = "tickets")]
    pub fn or_ticket(mut self) -> Self {
        self.check.auth.ticket = true;
        self
    }
}

impl<S, C: Check, R: Clone> Layer<S> for Require<C, R> {
    type Service = RequireService<S, C, R>;

    fn layer(&self, inner: S) -> Self::Service {
        let Self { check, reject_with, pass_preflight, opens_streams, vary_by } = self;
        let mut reads = Vec::new();
        check.reads(&mut reads);
        reads.extend_from_slice(vary_by);
        RequireService {
            inner,
            check: check.clone(),
            reject_with: reject_with.clone(),
            pass_preflight: *pass_preflight,
            opens_streams: *opens_streams,
            vary: vary::value(reads),
        }
    }
}
