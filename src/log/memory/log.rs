//! The log itself: finds threads, appends to them and erases them.

use super::{
    account::{Accounts, Resource},
    builder::{Limits, MemoryLogBuilder},
    reader::MemoryReader,
    retention::Gauge,
    ring::{Ring, size},
    thread::{ERASED, Thread},
};
use crate::{
    clock::Clock,
    event::{Cursor, NewEvent, StreamEvent},
    id::{TenantId, ThreadKey},
    log::{error::LogError, event_log::EventLog, extent::Extent},
    sync::RwLock,
};
use std::{
    collections::HashMap,
    fmt,
    future::{Future, ready},
    hash::{BuildHasher, RandomState},
    sync::{Arc, atomic::Ordering},
};

/// An [`EventLog`] in memory, bounded in every direction. Clones share it.
///
/// Unless [built](Self::builder) otherwise, it keeps of each thread the newest 10,000 events, of at
/// most 8 MiB together and an hour of age, and of all threads together 256 MiB and 100,000 threads.
///
/// When one of these totals is exceeded, each tenant and env has a fair share of it: the limit
/// divided by the number of tenants and envs that hold anything. Only those above their share give,
/// and those that hold most give first. A tenant and env within its share loses nothing, whatever
/// others do. Where a tenant and env has to give, it first loses whole threads that nobody reads, in
/// the order in which they were last written. If these are not enough, its largest threads lose the
/// older half of their events. A thread that is being read is never dropped as a whole, and a
/// reader that missed events is told so by a [`Gap`](crate::Gap).
///
/// Erasing a thread or a tenant frees what it holds at once, and ends its readers.
///
/// It is gone with the process: a cursor of before a restart is answered with a gap.
#[derive(Clone)]
pub struct MemoryLog(pub(super) Arc<Shared>);

pub(super) struct Shared {
    pub(super) limits: Limits,
    pub(super) clock: Arc<dyn Clock>,
    hasher: RandomState,
    pub(super) shards: [Shard; SHARDS],
    pub(super) accounts: Accounts,
    pub(super) bytes: Gauge,
    pub(super) threads: Gauge,
}

/// Threads are found through one of these many maps: only who makes or drops a thread keeps others
/// out of one.
const SHARDS: usize = if cfg!(tenancy_loom) { 1 } else { 64 };

/// On cache lines of its own: who looks up a thread writes to the lock.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Shard(pub(super) RwLock<HashMap<ThreadKey, Arc<Thread>>>);

impl Shared {
    pub(super) fn shard(&self, key: &ThreadKey) -> &Shard {
        let [first, ..] = &self.shards;
        let index = self.hasher.hash_one(key) as usize % SHARDS;
        // There are so many shards, so the first one never stands in.
        self.shards.get(index).unwrap_or(first)
    }

    /// Changes what a ring holds, and counts it while the ring is locked: before anybody else can
    /// evict what came.
    ///
    /// A full thread that takes an event in as it lets one of the same size go changes nothing, and
    /// keeps off the counters that publishers of other threads share.
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

    /// Ends a thread that was just taken out of its map, and tells how many bytes it held.
    ///
    /// Whoever still has it, to write or to read, finds that it is erased.
    pub(super) fn end(&self, key: &ThreadKey, thread: &Thread) -> usize {
        let (held, aftermath) = {
            let mut ring = thread.ring.lock();
            let held = ring.bytes;
            let aftermath = self.counting(thread, &mut ring, Ring::erase);
            thread.head.store(ERASED, Ordering::Release);
            (held, aftermath)
        };
        self.threads.used.fetch_sub(1, Ordering::Relaxed);
        self.accounts.close(key);
        aftermath.settle();
        held
    }
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self::builder().build()
    }
}

impl MemoryLog {
    /// An empty log with the default limits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts with the default limits.
    pub fn builder() -> MemoryLogBuilder {
        MemoryLogBuilder::new()
    }

    pub(super) fn with_limits(
        limits: Limits,
        bytes: Gauge,
        threads: Gauge,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self(Arc::new(Shared {
            limits,
            clock,
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Shard::default()),
            accounts: Accounts::default(),
            bytes,
            threads,
        }))
    }

    pub(super) fn thread(&self, key: &ThreadKey) -> Arc<Thread> {
        let shared = &*self.0;
        let shard = shared.shard(key);
        if let Some(thread) = shard.0.read().get(key) {
            return Arc::clone(thread);
        }
        let mut threads = shard.0.write();
        let thread = threads.entry(key.clone()).or_insert_with(|| {
            shared.threads.used.fetch_add(1, Ordering::Relaxed);
            Arc::new(Thread::new(shared.accounts.open(key)))
        });
        let thread = Arc::clone(thread);
        drop(threads);
        // The new thread is in use, so it makes no room itself.
        if shared.threads.is_exceeded() {
            self.make_room(Resource::Threads, shared.clock.now());
        }
        thread
    }

    pub(super) fn open_now(&self, key: &ThreadKey) -> Result<(Extent, MemoryReader), LogError> {
        loop {
            match MemoryReader::open(self.clone(), self.thread(key)) {
                // It was taken out of its map before, so the next look finds or makes another.
                Err(LogError::Erased) => {}
                opened => return opened,
            }
        }
    }

    pub(super) fn append_now(&self, event: NewEvent) -> Result<StreamEvent, LogError> {
        let shared = &*self.0;
        let now = shared.clock.now();
        let (thread, sealed, aftermath) = loop {
            let thread = self.thread(event.key());
            let mut ring = thread.ring.lock();
            if ring.erased {
                // It was taken out of its map before, so the next look finds or makes another.
                continue;
            }
            let sealed = event.seal(Cursor::new(ring.epoch, ring.next), now);
            if size(&sealed) > shared.limits.bytes {
                return Err(LogError::TooLarge { max: shared.limits.bytes });
            }
            let push = |ring: &mut Ring| ring.push(sealed.clone(), now, shared.limits);
            let aftermath = shared.counting(&thread, &mut ring, push);
            thread.head.store(ring.extent().head().seq(), Ordering::Release);
            drop(ring);
            break (thread, sealed, aftermath);
        };
        aftermath.settle();
        if shared.bytes.is_exceeded() {
            self.make_room(Resource::Bytes, now);
        }
        // Until here, so that room is not made by the thread that was just written.
        drop(thread);
        Ok(sealed)
    }

    pub(super) fn erase_thread_now(&self, key: &ThreadKey) {
        let erased = self.0.shard(key).0.write().remove(key);
        if let Some(thread) = erased {
            self.0.end(key, &thread);
        }
    }

    fn erase_tenant_now(&self, tenant: &TenantId) {
        for shard in &self.0.shards {
            let theirs = |key: &ThreadKey, _: &mut Arc<Thread>| key.tenant() == tenant;
            let erased: Vec<_> = shard.0.write().extract_if(theirs).collect();
            for (key, thread) in erased {
                self.0.end(&key, &thread);
            }
        }
    }
}

impl fmt::Debug for MemoryLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLog")
            .field("limits", &self.0.limits)
            .field("threads", &self.0.threads.used())
            .field("bytes", &self.0.bytes.used())
            .finish_non_exhaustive()
    }
}

impl EventLog for MemoryLog {
    type Reader = MemoryReader;

    fn append(
        &self,
        event: NewEvent,
    ) -> impl Future<Output = Result<StreamEvent, LogError>> + Send {
        ready(self.append_now(event))
    }

    fn erase_thread(
        &self,
        thread: &ThreadKey,
    ) -> impl Future<Output = Result<(), LogError>> + Send {
        self.erase_thread_now(thread);
        ready(Ok(()))
    }

    fn erase_tenant(&self, tenant: &TenantId) -> impl Future<Output = Result<(), LogError>> + Send {
        self.erase_tenant_now(tenant);
        ready(Ok(()))
    }

    fn open(
        &self,
        thread: &ThreadKey,
    ) -> impl Future<Output = Result<(Extent, MemoryReader), LogError>> + Send {
        ready(self.open_now(thread))
    }
}
