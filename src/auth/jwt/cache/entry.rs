//! A token that is remembered, and what it takes.

use crate::{
    auth::{AuthContext, jwt::rules::Checked},
    id::ALLOCATION,
};
use std::{
    sync::atomic::AtomicBool,
    time::{Duration, SystemTime},
};

/// What an entry costs in the tables of the cache, in bytes: in a shard's table and in its owner's
/// queue, both of which may be filled to a quarter only.
const SLOT: usize = 128;

/// A token that a verifier found good.
pub(in crate::auth::jwt) struct Entry {
    pub(super) hash: u64,
    /// The verifier, and the generation of its keys.
    pub(super) verifier: u64,
    pub(super) generation: u64,
    /// What is kept of it, in bytes.
    pub(super) bytes: usize,
    /// Whether it was found since somebody last looked for an entry that can go.
    pub(super) used: AtomicBool,
    pub(super) token: Box<str>,
    pub(super) checked: Checked,
}

impl Entry {
    /// Whether the token is good at this time as well.
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

/// The bytes that an entry keeps, its place in the tables included.
pub(super) fn kept(token: &str, auth: &AuthContext) -> usize {
    // The counters of its `Arc`.
    let entry = 2 * size_of::<usize>() + size_of::<Entry>() + ALLOCATION;
    SLOT + entry + token.len() + ALLOCATION + auth.kept()
}
