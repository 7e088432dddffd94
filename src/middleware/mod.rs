//! The layers.
//!
//! [`RequireTenantScope`] does three checks in one layer. Each check is also a layer of its own, in this
//! order: [`RequireRequestContext`], [`RequireAuth`], [`TenantEnvGuard`]. [`RequireClaims`] asks more of
//! the token on some routes.
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
//! is a response that the layer's [`RejectWith`](crate::rejection::RejectWith) makes. The
//! [`Rejection`](crate::Rejection) is in its extensions. If a handler or an extractor answers with a
//! rejection, the layer renders it in the same way. Other responses pass unchanged. So does a rejection
//! whose status, content type or body something in between has changed.
//!
//! # Caches
//!
//! Every refusal has `cache-control: no-store`. Every response that passes a layer, and every refusal,
//! names in `Vary` the headers that the layer reads. So a cache in front does not serve one tenant's
//! response to another ([RFC 9110 section 12.5.5]).
//!
//! [RFC 9110 section 12.5.5]: https://www.rfc-editor.org/rfc/rfc9110#section-12.5.5
//!
//! # Backpressure
//!
//! The readiness of the inner service may reserve something, such as the permit of a concurrency limit.
//! A request holds it only while the inner service works on the request. A refusal gives it back. A
//! check whose authenticator has to wait gives it back as well. Once the token is accepted, the request
//! takes a clone of the inner service, waits until that clone is ready, and calls that same clone
//! ([tower's rule][clone]). If the clone fails to become ready, the request fails with its error. An
//! authenticator that answers at once costs no clone of the inner service.
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
