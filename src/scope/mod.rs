//! The scope: the rule of the tenant guard, and what the layers keep on a request.

mod contexts;
mod tenant_scope;
#[cfg(test)]
mod tests;

pub(crate) use contexts::Contexts;
pub use tenant_scope::TenantScope;
