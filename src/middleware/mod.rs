//! The layers.
//!
//! [`RequireTenantScope`] does three checks in one layer. Each check is also a separate layer, in this
//! order: [`RequireRequestContext`], [`RequireAuth`], [`TenantEnvGuard`]. [`RequireClaims`] adds
//! requirements for the token on some routes.
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
//! The inner and the outer service are `Request<ReqBody> -> Result<Response<ResBody>, S::Error>`, for any
//! bodies. The layer's [`RejectWith`](crate::rejection::RejectWith) makes the response of a refusal, which
//! has the [`Rejection`](crate::Rejection) in its extensions. If a handler or an extractor responds with a
//! rejection, the layer renders it in the same way. Other responses pass unchanged. So does a rejection
//! if a service in between has changed its status, content type or body.
//!
//! # Caches
//!
//! Every refusal has `cache-control: no-store`. Every refusal, and every response that passes a layer,
//! lists in `Vary` the headers that the layer reads. So a shared cache does not serve one tenant's
//! response to another tenant ([RFC 9110 section 12.5.5]).
//!
//! [RFC 9110 section 12.5.5]: https://www.rfc-editor.org/rfc/rfc9110#section-12.5.5
//!
//! # Backpressure
//!
//! The readiness of the inner service may reserve a resource, such as the permit of a concurrency limit.
//! A request holds this resource only while the inner service works on the request. A refusal releases
//! it, and so does a check whose authenticator has to wait. When the authenticator has accepted the
//! token, the request waits until its clone of the inner service is ready, and calls that same clone
//! ([tower's rule][clone]). If the clone does not become ready, the request fails with the clone's error.
//! If the authenticator answers at once, the layer does not clone the inner service.
//!
//! [clone]: tower_service::Service#be-careful-when-cloning-inner-services
mod check;
#[cfg(feature = "tokio-tungstenite")]
mod close_refused;
mod future;
mod layers;
#[cfg(feature = "tickets")]
mod redeem;
mod reply;
mod require;
mod service;
mod vary;

pub use check::{AuthCheck, ClaimsCheck, ContextCheck, GuardCheck, ScopeCheck};
#[cfg(feature = "tokio-tungstenite")]
pub use close_refused::{CloseRefusedFuture, CloseRefusedService, CloseRefusedUpgrades};
pub use future::RequireFuture;
pub use layers::{
    RequireAuth, RequireClaims, RequireRequestContext, RequireTenantScope, TenantEnvGuard,
};
#[cfg(feature = "tickets")]
pub use redeem::{RedeemFuture, RedeemService, RedeemTicket};
pub use require::Require;
pub use service::RequireService;
