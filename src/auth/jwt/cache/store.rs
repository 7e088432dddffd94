//! The tables of a cache, and the part that belongs to one verifier.

use super::{
    entry::{Entry, entry_bytes},
    ledger::{Ledger, Room},
    shard::Shard,
};
use crate::{auth::jwt::rules::Checked, sync::Mutex};
use std::{
    collections::hash_map::RandomState,
    fmt,
    hash::BuildHasher,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

pub(super) struct Store {
    pub(super) max_entries: usize,
    pub(super) max_bytes: usize,
    pub(super) hasher: RandomState,
    /// The tables in which requests look up tokens. The hash of a token selects the table.
    pub(super) shards: Box<[Shard]>,
    /// The bookkeeping. Only code that adds or removes tokens locks it, always before it locks a shard.
    pub(super) ledger: Mutex<Ledger>,
    pub(super) next_owner: AtomicU64,
}

impl Store {
    pub(super) fn hash(&self, verifier: u64, generation: u64, token: &str) -> u64 {
        self.hasher.hash_one((verifier, generation, token))
    }

    pub(super) fn shard(&self, hash: u64) -> Option<&Shard> {
        // Use bits from the middle: the hash table itself uses the lowest and the highest bits.
        let place = (hash >> 32) as usize & (self.shards.len() - 1);
        self.shards.get(place)
    }

    pub(super) fn insert(&self, owner: u64, entry: Arc<Entry>) {
        let Some(shard) = self.shard(entry.hash) else { return };
        // These entries are freed after all locks are released.
        let mut gone = Vec::new();
        let mut ledger = self.ledger.lock();
        if shard.get(entry.hash).is_some() {
            return;
        }
        loop {
            match ledger.room(owner, entry.bytes, self.max_bytes, self.max_entries) {
                Room::Enough => break,
                Room::None => return,
                Room::From(giver) => {
                    let Some(least) = ledger.take_least_used(giver) else { return };
                    if let Some(shard) = self.shard(least.hash) {
                        shard.remove(least.hash);
                    }
                    gone.push(least);
                }
            }
        }
        shard.insert(&entry);
        ledger.add(owner, entry);
        drop(ledger);
    }

    /// Removes the entries of an owner for which `is_meant` returns `true`.
    pub(super) fn remove(&self, owner: u64, is_meant: impl Fn(&Entry) -> bool) {
        let mut gone = Vec::new();
        let mut ledger = self.ledger.lock();
        let Some(mut held) = ledger.owners.remove(&owner) else { return };
        ledger.bytes -= held.bytes;
        ledger.entries -= held.kept.len();
        held.kept.retain(|entry| {
            let stays = !is_meant(entry);
            if !stays {
                held.bytes -= entry.bytes;
                if let Some(shard) = self.shard(entry.hash) {
                    shard.remove(entry.hash);
                }
                gone.push(Arc::clone(entry));
            }
            stays
        });
        if !held.kept.is_empty() {
            held.shrink();
            ledger.bytes += held.bytes;
            ledger.entries += held.kept.len();
            ledger.owners.insert(owner, held);
        }
        drop(ledger);
    }
}

/// The part of a cache that belongs to one verifier and its variants. When it is dropped, its entries are
/// removed.
pub(in crate::auth::jwt) struct Share {
    pub(super) store: Arc<Store>,
    pub(super) owner: u64,
}

impl Share {
    pub(in crate::auth::jwt) fn get(
        &self,
        verifier: u64,
        generation: u64,
        token: &str,
    ) -> Option<Arc<Entry>> {
        let hash = self.store.hash(verifier, generation, token);
        let entry = self.store.shard(hash)?.get(hash)?;
        if !entry.is_of(verifier, generation, token) {
            return None;
        }
        // The flag is set most of the time. A needless write would slow down other cores that read it.
        if !entry.used.load(Ordering::Relaxed) {
            entry.used.store(true, Ordering::Relaxed);
        }
        Some(entry)
    }

    pub(in crate::auth::jwt) fn insert(
        &self,
        verifier: u64,
        generation: u64,
        token: &str,
        checked: Checked,
    ) {
        let bytes = entry_bytes(token, &checked.auth);
        if bytes > self.store.max_bytes {
            return;
        }
        self.store.insert(
            self.owner,
            Arc::new(Entry {
                hash: self.store.hash(verifier, generation, token),
                verifier,
                generation,
                bytes,
                used: AtomicBool::new(false),
                token: token.into(),
                checked,
            }),
        );
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.store.remove(self.owner, |_| true);
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Share").field("owner", &self.owner).finish_non_exhaustive()
    }
}
