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
