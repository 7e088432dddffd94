//! The cache of verified tokens.

mod entry;
mod ledger;
mod shard;
mod store;
mod token_cache;

pub(super) use store::Share;
pub use token_cache::TokenCache;
