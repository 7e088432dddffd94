//! One cached token, and the memory that it needs.

use crate::{
    auth::{context::AuthContext, jwt::rules::Checked},
    id::ALLOCATION,
};
use std::{
    sync::atomic::AtomicBool,
    time::{Duration, SystemTime},
};

/// The memory that an entry needs in the table of its shard and in the queue of its owner, in bytes. The
/// table and the queue may be only a quarter full.
const SLOT: usize = 128;

/// A token that a verifier accepted.
pub(in crate::auth::jwt) struct Entry {
    pub(super) hash: u64,
    /// The verifier that accepted it, and the generation of its keys.
    pub(super) verifier: u64,
    pub(super) generation: u64,
    /// The memory that the entry needs, in bytes.
    pub(super) bytes: usize,
    /// Whether a request used the entry since the last search for an entry to remove.
    pub(super) used: AtomicBool,
    pub(super) token: Box<str>,
    pub(super) checked: Checked,
}

impl Entry {
    /// Whether the token is valid at this time.
    pub(in crate::auth::jwt) fn holds(&self, leeway: Duration, now: SystemTime) -> bool {
        let begun = self.checked.not_before.is_none_or(|not_before| {
            now.checked_add(leeway).is_none_or(|latest| latest >= not_before)
        });
        begun && now < self.auth().valid_until()
    }

    /// What the token proves.
    pub(in crate::auth::jwt) fn auth(&self) -> &AuthContext {
        &self.checked.auth
    }

    pub(super) fn is_of(&self, verifier: u64, generation: u64, token: &str) -> bool {
        (self.verifier, self.generation) == (verifier, generation) && *self.token == *token
    }
}

/// The memory that an entry needs, in bytes, including its place in the tables.
pub(super) fn entry_bytes(token: &str, auth: &AuthContext) -> usize {
    // The first term is for the two counters of the `Arc`.
    let entry = 2 * size_of::<usize>() + size_of::<Entry>() + ALLOCATION;
    SLOT + entry + token.len() + ALLOCATION + auth.heap_bytes()
}
