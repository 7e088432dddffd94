//! The checks of the layers.

mod auth;
mod claims;
mod context;
mod guard;
mod scope;
mod step;

pub use auth::AuthCheck;
pub use claims::ClaimsCheck;
pub use context::ContextCheck;
pub use guard::GuardCheck;
pub use scope::ScopeCheck;
pub(super) use step::{AfterAuth, Check, FirstLook, Step};
