//! The tables in which requests look up tokens.

use super::{entry::Entry, ledger::is_wide};
use crate::sync::RwLock;
use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
};

/// Entries by their hash. If two tokens have the same hash, the cache stores only the first one. The
/// alignment puts the locks of two shards into different cache lines of the CPU.
#[repr(align(64))]
#[derive(Default)]
pub(super) struct Shard(pub(super) RwLock<HashMap<u64, Arc<Entry>, BuildHasherDefault<Hashed>>>);

impl Shard {
    pub(super) fn get(&self, hash: u64) -> Option<Arc<Entry>> {
        self.0.read().get(&hash).cloned()
    }

    pub(super) fn insert(&self, entry: &Arc<Entry>) {
        let mut table = self.0.write();
        table.insert(entry.hash, Arc::clone(entry));
    }

    pub(super) fn remove(&self, hash: u64) {
        let mut table = self.0.write();
        // The caller still has a clone of the entry, so the entry is not freed while this lock is held.
        table.remove(&hash);
        if is_wide(table.len(), table.capacity()) {
            let room = table.len() * 2;
            table.shrink_to(room);
        }
    }

    pub(super) fn take(&self) -> HashMap<u64, Arc<Entry>, BuildHasherDefault<Hashed>> {
        std::mem::take(&mut *self.0.write())
    }
}

/// A hasher for keys that are already hashes.
#[derive(Default)]
pub(super) struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Never used: all keys are `u64`.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
