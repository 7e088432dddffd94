//! Tokens that were verified already.

mod entry;
mod ledger;
mod shard;
mod store;
mod token_cache;

pub(super) use store::Share;
pub use token_cache::TokenCache;
