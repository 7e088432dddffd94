//! The log in memory: one ring a thread, one waker slot a waiting reader.

mod account;
mod ring;
mod room;
#[cfg(test)]
mod tests;

use super::{EventLog, Extent, LogError, LogReader};
use crate::{
    clock::{self, Clock},
    event::{Cursor, NewEvent, Routing, StreamEvent},
    id::{TenantId, ThreadKey},
};
use std::{
    collections::{HashMap, VecDeque},
    fmt,
    future::{Future, ready},
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use account::{Account, Accounts, Resource};
use ring::{Ring, WakerId, size};
use room::Gauge;

/// Threads are found through one of these many maps: only who makes or drops a thread keeps others
/// out of one.
const SHARDS: usize = 64;

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
pub struct MemoryLog(Arc<Shared>);

struct Shared {
    limits: Limits,
    clock: Arc<dyn Clock>,
    hasher: RandomState,
    shards: [Shard; SHARDS],
    accounts: Accounts,
    bytes: Gauge,
    threads: Gauge,
}

/// On cache lines of its own: who looks up a thread writes to the lock.
#[derive(Default)]
#[repr(align(128))]
struct Shard(RwLock<HashMap<ThreadKey, Arc<Thread>>>);

/// What is kept of one thread.
#[derive(Clone, Copy, Debug)]
struct Limits {
    events: usize,
    bytes: usize,
    age: Duration,
}

impl Shared {
    fn shard(&self, key: &ThreadKey) -> &Shard {
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
    fn counting<T>(
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
    fn end(&self, key: &ThreadKey, thread: &Thread) -> usize {
        let (held, aftermath) = {
            let mut ring = lock(&thread.ring);
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
        MemoryLogBuilder {
            limits: Limits { events: 10_000, bytes: 8 << 20, age: Duration::from_secs(3600) },
            total_bytes: 256 << 20,
            threads: 100_000,
            clock: clock::system(),
        }
    }

    fn thread(&self, key: &ThreadKey) -> Arc<Thread> {
        let shared = &*self.0;
        let shard = shared.shard(key);
        if let Some(thread) = read(&shard.0).get(key) {
            return Arc::clone(thread);
        }
        let mut threads = write(&shard.0);
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

    fn append_now(&self, event: NewEvent) -> Result<StreamEvent, LogError> {
        let shared = &*self.0;
        let now = shared.clock.now();
        let (thread, sealed, aftermath) = loop {
            let thread = self.thread(event.routing().key());
            let mut ring = lock(&thread.ring);
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

    fn erase_thread_now(&self, key: &ThreadKey) {
        let erased = write(&self.0.shard(key).0).remove(key);
        if let Some(thread) = erased {
            self.0.end(key, &thread);
        }
    }

    fn erase_tenant_now(&self, tenant: &TenantId) {
        for shard in &self.0.shards {
            let theirs = |key: &ThreadKey, _: &mut Arc<Thread>| key.tenant() == tenant;
            let erased: Vec<_> = write(&shard.0).extract_if(theirs).collect();
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

/// Builds a [`MemoryLog`].
#[derive(Clone, Debug)]
#[must_use]
pub struct MemoryLogBuilder {
    limits: Limits,
    total_bytes: usize,
    threads: usize,
    clock: Arc<dyn Clock>,
}

impl MemoryLogBuilder {
    /// Keeps at most this many events of a thread; at least one.
    pub fn max_events(mut self, events: usize) -> Self {
        self.limits.events = events.max(1);
        self
    }

    /// Keeps at most this many bytes of a thread. A larger event is refused.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.limits.bytes = bytes;
        self
    }

    /// Serves events at most this long. An event of a thread that nobody touches any more may lie
    /// in memory longer, until room is needed.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.limits.age = age;
        self
    }

    /// Keeps at most this many bytes of all threads together, shared fairly among the tenants and
    /// envs. While many of them are about at their share, it may be an eighth more.
    pub fn max_total_bytes(mut self, bytes: usize) -> Self {
        self.total_bytes = bytes;
        self
    }

    /// Keeps at most this many threads, shared fairly among the tenants and envs, not counting more
    /// that are being read. While many of them are about at their share, it may be an eighth more.
    pub fn max_threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// The clock that dates events and ages them.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Makes the log.
    #[must_use]
    pub fn build(self) -> MemoryLog {
        MemoryLog(Arc::new(Shared {
            limits: self.limits,
            clock: self.clock,
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Shard::default()),
            accounts: Accounts::default(),
            bytes: Gauge::new(self.total_bytes),
            threads: Gauge::new(self.threads),
        }))
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

    fn erase_thread(&self, thread: &Routing) -> impl Future<Output = Result<(), LogError>> + Send {
        self.erase_thread_now(thread.key());
        ready(Ok(()))
    }

    fn erase_tenant(&self, tenant: &TenantId) -> impl Future<Output = Result<(), LogError>> + Send {
        self.erase_tenant_now(tenant);
        ready(Ok(()))
    }

    fn reader(&self, thread: &ThreadKey) -> MemoryReader {
        MemoryReader { log: self.clone(), thread: self.thread(thread), waits: None }
    }
}

/// A panic while a lock was held left at worst one event half counted; refusing every reader for
/// ever would be worse.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// As above.
fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

/// As above.
fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

struct Thread {
    ring: Mutex<Ring>,
    /// The number of the newest event, for readers that wait: while it stands, they need no lock.
    /// [`ERASED`] is told here as well.
    head: AtomicU64,
    /// Of the thread's tenant and env.
    account: Arc<Account>,
}

/// The head of a thread that was erased. No event ever has this number.
const ERASED: u64 = u64::MAX;

impl Thread {
    fn new(account: Arc<Account>) -> Self {
        Self { ring: Mutex::default(), head: AtomicU64::new(0), account }
    }
}

/// Reads one thread of a [`MemoryLog`].
pub struct MemoryReader {
    log: MemoryLog,
    thread: Arc<Thread>,
    waits: Option<Waits>,
}

/// A reader that has read all there is. It will be woken once there is more.
struct Waits {
    /// The head that it waits behind. Behind another, its place is void.
    at: Cursor,
    place: usize,
    /// The waker that lies in its place. The ring owns it until there is another head, so that none
    /// of another task can be taken for it.
    waker: WakerId,
}

impl Waits {
    fn begin(waits: &mut Option<Self>, ring: &mut Ring, waker: &Waker) -> Option<Waker> {
        let at = ring.extent().head();
        let place = waits.as_ref().filter(|waits| waits.at == at).map(|waits| waits.place);
        let (place, stale) = ring.waiting.wait(place, waker);
        let kept = ring.waiting.wakers.get(place);
        *waits = kept.map(|kept| Self { at, place, waker: WakerId::of(kept) });
        stale
    }

    /// Whether what was agreed still holds.
    fn hold(&self, head: &AtomicU64, after: Cursor, waker: &Waker) -> bool {
        self.at == after && head.load(Ordering::Acquire) == after.seq() && self.waker.is(waker)
    }
}

impl LogReader for MemoryReader {
    fn poll_extent(&mut self, _: &mut Context<'_>) -> Poll<Result<Extent, LogError>> {
        let shared = &*self.log.0;
        let now = shared.clock.now();
        let (evicted, extent) = {
            let mut ring = lock(&self.thread.ring);
            if ring.erased {
                return Poll::Ready(Err(LogError::Erased));
            }
            let expire = |ring: &mut Ring| ring.expire(now, shared.limits.age);
            let evicted = shared.counting(&self.thread, &mut ring, expire);
            (evicted, ring.extent())
        };
        drop(evicted);
        Poll::Ready(Ok(extent))
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        after: Cursor,
        max_bytes: usize,
        into: &mut VecDeque<StreamEvent>,
    ) -> Poll<Result<Extent, LogError>> {
        let Self { log, thread, waits } = self;
        if waits.as_ref().is_some_and(|waits| waits.hold(&thread.head, after, cx.waker())) {
            return Poll::Pending;
        }
        let mut ring = lock(&thread.ring);
        if ring.erased {
            return Poll::Ready(Err(LogError::Erased));
        }
        if after == ring.extent().head() {
            // There is nothing that could be too old to be served, so the time is not asked.
            let stale = Waits::begin(waits, &mut ring, cx.waker());
            drop(ring);
            drop(stale);
            return Poll::Pending;
        }
        let shared = &*log.0;
        let expire = |ring: &mut Ring| ring.expire(shared.clock.now(), shared.limits.age);
        let evicted = shared.counting(thread, &mut ring, expire);
        let extent = ring.extent();
        // Who has all there is begins to wait under the same lock.
        let has_all = ring.copy_after(after, max_bytes, into);
        let stale = if has_all { Waits::begin(waits, &mut ring, cx.waker()) } else { None };
        drop(ring);
        drop((stale, evicted));
        Poll::Ready(Ok(extent))
    }

    fn is_erased(&self) -> bool {
        self.thread.head.load(Ordering::Acquire) == ERASED
    }
}

impl Drop for MemoryReader {
    fn drop(&mut self) {
        if let Some(waits) = self.waits.take() {
            let mut ring = lock(&self.thread.ring);
            let current = ring.extent().head() == waits.at;
            let stale = if current { ring.waiting.leave(waits.place) } else { None };
            drop(ring);
            drop(stale);
        }
    }
}

impl fmt::Debug for MemoryReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryReader").finish_non_exhaustive()
    }
}
