//! Where request and token agree: the rule of the tenant guard, and what it makes.

mod contexts;
mod tenant_scope;
#[cfg(test)]
mod tests;

pub(crate) use contexts::Contexts;
pub use tenant_scope::TenantScope;
