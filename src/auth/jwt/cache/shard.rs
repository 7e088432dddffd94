//! Where requests look a token up.

use super::{entry::Entry, ledger::is_wide};
use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::{Arc, PoisonError, RwLock},
};

/// By hash. Of two tokens with one hash, the first one is remembered. The alignment keeps the locks of
/// two shards apart in the caches of the cores.
#[repr(align(64))]
#[derive(Default)]
pub(super) struct Shard(pub(super) RwLock<HashMap<u64, Arc<Entry>, BuildHasherDefault<Hashed>>>);

impl Shard {
    pub(super) fn get(&self, hash: u64) -> Option<Arc<Entry>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&hash).cloned()
    }

    pub(super) fn insert(&self, entry: &Arc<Entry>) {
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        table.insert(entry.hash, Arc::clone(entry));
    }

    pub(super) fn remove(&self, hash: u64) {
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // The ledger still has it: nothing is freed under the lock.
        table.remove(&hash);
        if is_wide(table.len(), table.capacity()) {
            let room = table.len() * 2;
            table.shrink_to(room);
        }
    }

    pub(super) fn take(&self) -> HashMap<u64, Arc<Entry>, BuildHasherDefault<Hashed>> {
        std::mem::take(&mut *self.0.write().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Takes a hash for what it is.
#[derive(Default)]
pub(super) struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Keys are `u64`, which come below.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
