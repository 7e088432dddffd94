//! What the request claims: its tenant, its env and its id.

mod envs;
mod headers;
mod named;
mod request_context;
mod request_id;
#[cfg(test)]
mod tests;

pub use envs::Envs;
pub use headers::{X_ENV, X_REQUEST_ID, X_TENANT_ID};
pub use named::Named;
pub(crate) use named::ReadsContext;
pub use request_context::RequestContext;
pub(crate) use request_id::Identified;
