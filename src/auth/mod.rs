//! Authentication: what a token proves about the caller of a request.
//!
//! [`RequireAuth`](crate::RequireAuth) calls an [`Authenticator`]. [`JwtVerifier`] is the built-in one. To
//! write your own authenticator, implement one method:
//!
//! ```
//! use std::time::{Duration, SystemTime};
//! use tower_tenancy::{AuthContext, AuthRequest, Authenticator, Rejection, RejectionKind, Verdict};
//! use tower_tenancy::id::Subject;
//!
//! #[derive(Debug)]
//! struct ApiKeys;
//!
//! impl Authenticator for ApiKeys {
//!     fn authenticate(&self, request: &AuthRequest<'_>) -> Verdict {
//!         let key = match request.bearer_token() {
//!             Ok(key) => key.to_owned(),
//!             Err(rejection) => return Verdict::Ready(Err(rejection)),
//!         };
//!         Verdict::later(async move {
//!             // ... look the key up in a database ...
//!             if key != "k-123" {
//!                 return Err(Rejection::new(RejectionKind::AuthInvalid));
//!             }
//!             let subject = Subject::new("robot-1").expect("a constant");
//!             let soon = SystemTime::now() + Duration::from_secs(600);
//!             Ok(AuthContext::new(subject, soon).with_tenants(["t_alpha"]).with_envs(["prod"]))
//!         })
//!     }
//! }
//! ```

mod authenticator;
mod authorization;
mod context;
#[cfg(feature = "jwt")]
mod jwt;
mod policy;
mod request;
mod revocation;
mod texts;
mod token_sources;

pub use crate::origin::InvalidOrigin;
pub use authenticator::{AuthFuture, Authenticator, Verdict};
pub(crate) use authorization::has_token;
pub use context::AuthContext;
#[cfg(feature = "tickets")]
pub(crate) use context::{Bound, Proven};
#[cfg(feature = "jwks-client")]
pub use jwt::HttpClient;
#[cfg(feature = "token-cache")]
pub use jwt::TokenCache;
#[cfg(feature = "jwt")]
pub use jwt::{
    Algorithm, Backend, ClaimNames, ClaimPlace, JwtConfigError, JwtKey, JwtVerifier,
    JwtVerifierBuilder, TrustedIssuers,
};
#[cfg(feature = "jwks")]
pub use jwt::{
    Discovery, HttpFuture, HttpGet, HttpResponse, JwksUrl, KeyFile, KeyFuture, KeyHealth, KeySet,
    KeySetBuilder, KeySource,
};
pub(crate) use policy::{Policy, Unmet};
pub use request::AuthRequest;
pub use revocation::Revocation;
pub(crate) use revocation::revoked;
pub(crate) use texts::Texts;
pub use token_sources::TokenSources;
#[cfg(feature = "tokio-tungstenite")]
pub(crate) use token_sources::is_bearer_protocol;
pub(crate) use token_sources::{FoundToken, two_tokens};
