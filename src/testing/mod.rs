//! Tools for the tests of applications: an issuer of tokens, and a clock that your test moves.
//!
//! This module needs the feature `test-util`. Do not use it in production: the issuer signs any claims.
//!
//! ```
//! use tower_tenancy::{
//!     auth::{HttpClient, JwksUrl, JwtVerifier, KeySet},
//!     testing::TestIssuer,
//! };
//!
//! # async fn run() -> Result<(), tower_tenancy::BoxError> {
//! let issuer = TestIssuer::start().await?.with_audience("chat");
//! let source = JwksUrl::new(issuer.jwks_url(), HttpClient::new()?).allow_http();
//! let keys = KeySet::builder(source).start()?;
//! keys.loaded().await;
//! let verifier = JwtVerifier::builder().key_set(keys).issuer(issuer.url()).audience("chat");
//! let verifier = verifier.build()?;
//!
//! assert!(verifier.verify(&issuer.token("t_alpha", "prod", "ada")).is_ok());
//! # Ok(()) }
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run()).unwrap();
//! ```

mod clock;
#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(feature = "test-util")]
mod issuer;

pub use clock::ManualClock;
#[cfg(feature = "test-util")]
pub use issuer::{Conduct, TestIssuer};
