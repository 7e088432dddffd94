//! The request context: the tenant, the env and the id that the request claims.

mod envs;
mod headers;
mod parts;
mod request_context;
mod request_id;
#[cfg(test)]
mod tests;

pub use envs::Envs;
pub use headers::{X_ENV, X_REQUEST_ID, X_TENANT_ID};
pub use parts::ContextParts;
pub(crate) use parts::ContextReader;
pub use request_context::RequestContext;
pub(crate) use request_id::RequestIdFound;
