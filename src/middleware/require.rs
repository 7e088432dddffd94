//! The generic layer. The crate's layers that check requests are aliases of it.

use super::{check::Check, service::RequireService, vary};
use crate::rejection::ByContentType;
use http::HeaderName;
use tower_layer::Layer;

/// A layer that lets a request pass only if its check allows it. Use its aliases, such as
/// [`RequireTenantScope`](crate::RequireTenantScope).
#[derive(Clone, Debug)]
#[must_use]
pub struct Require<C, R = ByContentType> {
    pub(super) check: C,
    reject_with: R,
    pass_preflight: bool,
    opens_streams: bool,
    vary_by: Vec<HeaderName>,
}

impl<C> Require<C> {
    pub(super) const fn with_check(check: C) -> Self {
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
    /// Sets how the layer makes the response of a refusal: [`GrpcStatus`](crate::rejection::GrpcStatus),
    /// [`WrapBody`](crate::rejection::WrapBody), or a closure `Fn(&Rejection) -> Response<_>`.
    pub fn reject_with<T>(self, reject_with: T) -> Require<C, T> {
        let Self { check, reject_with: _, pass_preflight, opens_streams, vary_by } = self;
        Require { check, reject_with, pass_preflight, opens_streams, vary_by }
    }

    /// Declares that the inner routes open event streams for browsers.
    ///
    /// A browser's `EventSource` does not reconnect after a status other than 200. So on these routes, a
    /// retryable refusal (429 or 503) is a 200 stream: it sends a notice and a retry delay, and ends. This
    /// applies to a `GET` that names `text/event-stream` in `Accept` and has no `Authorization` header.
    /// If a route has several layers, call this on each. Do not use it for a route that answers a proxy's
    /// authorization requests: the proxy reads a 200 as permission.
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

    /// Adds a header to `Vary`, for example one that your own [`Authenticator`](crate::Authenticator) reads
    /// in addition to the token. The layer always adds the headers that it reads itself.
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

    /// Lets CORS preflights ([WHATWG Fetch section 3.3.2]) pass without a check, for an inner CORS layer: a
    /// preflight has neither context nor token. Inner services must not answer `OPTIONS` with data of a
    /// tenant. Extractors refuse preflights. Prefer an outer CORS layer, which does not need this setting.
    ///
    /// [WHATWG Fetch section 3.3.2]: https://fetch.spec.whatwg.org/#cors-preflight-request
    pub fn pass_preflight(mut self) -> Self {
        self.pass_preflight = true;
        self
    }
}

impl<S, C: Check, R: Clone> Layer<S> for Require<C, R> {
    type Service = RequireService<S, C, R>;

    fn layer(&self, inner: S) -> Self::Service {
        let Self { check, reject_with, pass_preflight, opens_streams, vary_by } = self;
        let mut reads = check.reads();
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
