//! The state that all clones of a log share: its threads, its accounts and its gauges.

use super::{
    account::{Accounts, Resource},
    gauge::Gauge,
    limits::Limits,
    ring::Ring,
    thread::{ERASED, Thread},
};
use crate::{clock::Clock, id::ThreadKey, sync::RwLock};
use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Arc, atomic::Ordering},
};

/// The number of maps that hold the threads. To add or remove a thread locks only one of them.
const SHARDS: usize = if cfg!(tenancy_loom) { 1 } else { 64 };

pub(super) struct Shared {
    pub(super) limits: Limits,
    pub(super) clock: Arc<dyn Clock>,
    hasher: RandomState,
    pub(super) shards: [Shard; SHARDS],
    pub(super) accounts: Accounts,
    pub(super) bytes: Gauge,
    pub(super) threads: Gauge,
}

/// Each map has its own cache lines, because each lookup of a thread writes to the lock.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Shard(pub(super) RwLock<HashMap<ThreadKey, Arc<Thread>>>);

impl Shared {
    pub(super) fn new(limits: Limits, bytes: Gauge, threads: Gauge, clock: Arc<dyn Clock>) -> Self {
        Self {
            limits,
            clock,
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Shard::default()),
            accounts: Accounts::default(),
            bytes,
            threads,
        }
    }

    pub(super) fn shard(&self, key: &ThreadKey) -> &Shard {
        let [first, ..] = &self.shards;
        let index = self.hasher.hash_one(key) as usize % SHARDS;
        // The index is always within the array, so the first shard is never a substitute.
        self.shards.get(index).unwrap_or(first)
    }

    pub(super) fn gauge(&self, of: Resource) -> &Gauge {
        match of {
            Resource::Bytes => &self.bytes,
            Resource::Threads => &self.threads,
        }
    }

    /// Changes a ring, and counts the change while the ring is locked. So no other thread of the
    /// program can evict an event before it is counted.
    ///
    /// A full ring often evicts as many bytes as it takes in. Then this leaves the counters alone,
    /// because publishers of other threads write to them too.
    pub(super) fn counting<T>(
        &self,
        thread: &Thread,
        ring: &mut Ring,
        change: impl FnOnce(&mut Ring) -> T,
    ) -> T {
        let before = ring.bytes;
        let outcome = change(ring);
        let after = ring.bytes;
        for counter in [&thread.account.bytes, &self.bytes.used] {
            if after > before {
                counter.fetch_add(after - before, Ordering::Relaxed);
            } else if after < before {
                counter.fetch_sub(before - after, Ordering::Relaxed);
            }
        }
        outcome
    }

    /// Erases a thread that was just removed from its map, and returns the number of bytes that it held.
    ///
    /// Readers and publishers that still hold the thread find it erased.
    pub(super) fn end(&self, key: &ThreadKey, thread: &Thread) -> usize {
        let (held, deferred) = {
            let mut ring = thread.ring.lock();
            let held = ring.bytes;
            let deferred = self.counting(thread, &mut ring, Ring::erase);
            thread.head.store(ERASED, Ordering::Release);
            (held, deferred)
        };
        self.threads.used.fetch_sub(1, Ordering::Relaxed);
        self.accounts.close(key);
        deferred.run();
        held
    }
}
