//! The scope: the rule of the tenant guard, and the contexts in a request's extensions.

mod contexts;
mod tenant_scope;
#[cfg(test)]
mod tests;

pub(crate) use contexts::Contexts;
pub use tenant_scope::TenantScope;
