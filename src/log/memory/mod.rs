//! The log in memory: one ring a thread, one waker slot a waiting reader.

mod ring;
#[cfg(test)]
mod tests;

use super::{EventLog, Extent, LogError, LogReader};
use crate::{
    clock::{self, Clock},
    event::{Cursor, NewEvent, StreamEvent},
    id::ThreadKey,
};
use std::{
    collections::{HashMap, VecDeque},
    fmt,
    future::{Future, ready},
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ring::{Appended, Ring, WakerId, size};

/// Threads are found through one of these many maps: only who makes or drops a thread keeps others
/// out of one.
const SHARDS: usize = 64;

/// An [`EventLog`] in memory, bounded in every direction. Clones share it.
///
/// It keeps of each thread the newest 10,000 events of at most 8 MiB together and an hour of age,
/// and of all threads together 256 MiB and 100,000 threads, unless [built](Self::builder)
/// otherwise. What makes room are the threads that were written longest ago and that nobody reads.
///
/// It is gone with the process: a cursor of before a restart is answered with a gap.
#[derive(Clone)]
pub struct MemoryLog(Arc<Shared>);

struct Shared {
    limits: Limits,
    clock: Arc<dyn Clock>,
    hasher: RandomState,
    shards: [Shard; SHARDS],
    totals: Totals,
}

/// On cache lines of its own: who looks up a thread writes to the lock.
#[derive(Default)]
#[repr(align(128))]
struct Shard(RwLock<HashMap<ThreadKey, Arc<Thread>>>);

#[derive(Clone, Copy, Debug)]
struct Limits {
    events: usize,
    bytes: usize,
    age: Duration,
    total_bytes: usize,
    threads: usize,
}

#[derive(Default)]
struct Totals {
    bytes: AtomicUsize,
    threads: AtomicUsize,
    /// Looking for threads to let go of takes long when all are in use: the next look is due when
    /// there are this many, or in another second than the last.
    next_sweep_at: AtomicUsize,
    last_sweep: AtomicU64,
}

impl Totals {
    /// Changes what a ring holds, and counts it while the ring is locked: before anybody else can
    /// evict what came.
    ///
    /// A full thread that takes an event in as it lets one of the same size go changes nothing, and
    /// keeps off a counter that the publishers of all threads share.
    fn counting<T>(&self, ring: &mut Ring, change: impl FnOnce(&mut Ring) -> T) -> T {
        let before = ring.bytes;
        let outcome = change(ring);
        let after = ring.bytes;
        if after > before {
            self.bytes.fetch_add(after - before, Ordering::Relaxed);
        } else if after < before {
            self.bytes.fetch_sub(before - after, Ordering::Relaxed);
        }
        outcome
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
            limits: Limits {
                events: 10_000,
                bytes: 8 << 20,
                age: Duration::from_secs(3600),
                total_bytes: 256 << 20,
                threads: 100_000,
            },
            clock: clock::system(),
        }
    }

    fn thread(&self, key: &ThreadKey) -> Arc<Thread> {
        let shared = &*self.0;
        let index = shared.hasher.hash_one(key) as usize % SHARDS;
        let Some(shard) = shared.shards.get(index) else { return Arc::default() };
        if let Some(thread) = read(&shard.0).get(key) {
            return Arc::clone(thread);
        }
        self.make_room_for_thread();
        let mut threads = write(&shard.0);
        let thread = threads.entry(key.clone()).or_insert_with(|| {
            shared.totals.threads.fetch_add(1, Ordering::Relaxed);
            Arc::default()
        });
        Arc::clone(thread)
    }

    fn append_now(&self, event: NewEvent) -> Result<StreamEvent, LogError> {
        let shared = &*self.0;
        let thread = self.thread(event.routing().key());
        let now = shared.clock.now();
        let (sealed, outcome) = {
            let mut ring = lock(&thread.ring);
            let sealed = event.seal(Cursor::new(ring.epoch, ring.next), now);
            if size(&sealed) > shared.limits.bytes {
                return Err(LogError::TooLarge { max: shared.limits.bytes });
            }
            let push = |ring: &mut Ring| ring.push(sealed.clone(), now, shared.limits);
            let outcome = shared.totals.counting(&mut ring, push);
            thread.head.store(ring.extent().head().seq(), Ordering::Release);
            (sealed, outcome)
        };
        // Outside the lock: dropping events and waking readers both take their time.
        let Appended { evicted, wakers } = outcome;
        drop(evicted);
        wakers.into_iter().for_each(Waker::wake);
        if shared.totals.bytes.load(Ordering::Relaxed) > shared.limits.total_bytes {
            self.make_room_for_bytes();
        }
        Ok(sealed)
    }

    fn make_room_for_thread(&self) {
        let Shared { limits, totals, clock, .. } = &*self.0;
        let threads = totals.threads.load(Ordering::Relaxed);
        let second = clock.now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if threads < limits.threads
            || (threads < totals.next_sweep_at.load(Ordering::Relaxed)
                && totals.last_sweep.load(Ordering::Relaxed) == second)
        {
            return;
        }
        let target = limits.threads - limits.threads / 8;
        self.release_idle(|totals| totals.threads.load(Ordering::Relaxed) >= target);
        let left = totals.threads.load(Ordering::Relaxed);
        totals.next_sweep_at.store(left + left / 8 + 1, Ordering::Relaxed);
        totals.last_sweep.store(second, Ordering::Relaxed);
    }

    fn make_room_for_bytes(&self) {
        let Shared { limits, totals, shards, .. } = &*self.0;
        let target = limits.total_bytes - limits.total_bytes / 8;
        let too_many = |totals: &Totals| totals.bytes.load(Ordering::Relaxed) > target;
        self.release_idle(too_many);
        // What is left is being read: each thread gives its older half, and says so by its extent.
        for shard in shards {
            if !too_many(totals) {
                return;
            }
            let threads: Vec<_> = read(&shard.0).values().cloned().collect();
            for thread in threads {
                let evicted = totals.counting(&mut lock(&thread.ring), Ring::give_older_half);
                drop(evicted);
            }
        }
    }

    /// Lets go of threads that nobody reads or writes, longest unwritten first, while `too_many`.
    ///
    /// Who returns with a cursor of such a thread meets a new epoch, and is told of the gap.
    fn release_idle(&self, too_many: impl Fn(&Totals) -> bool) {
        let Shared { shards, totals, .. } = &*self.0;
        // Nobody can take a thread up while its shard is locked for writing, so nobody is cut off.
        let idle = |thread: &Arc<Thread>| Arc::strong_count(thread) == 1;
        let mut candidates: Vec<(Option<SystemTime>, usize, ThreadKey)> = Vec::new();
        for (index, shard) in shards.iter().enumerate() {
            let threads = read(&shard.0);
            let unread = threads.iter().filter(|(_, thread)| idle(thread));
            candidates.extend(
                unread.map(|(key, thread)| (lock(&thread.ring).written, index, key.clone())),
            );
        }
        candidates.sort_unstable_by_key(|(written, ..)| *written);
        for (_, index, key) in candidates {
            if !too_many(totals) {
                return;
            }
            let Some(shard) = shards.get(index) else { return };
            let mut threads = write(&shard.0);
            if threads.get(&key).is_some_and(idle)
                && let Some(thread) = threads.remove(&key)
            {
                drop(threads);
                totals.threads.fetch_sub(1, Ordering::Relaxed);
                totals.bytes.fetch_sub(lock(&thread.ring).bytes, Ordering::Relaxed);
            }
        }
    }
}

impl fmt::Debug for MemoryLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLog")
            .field("limits", &self.0.limits)
            .field("threads", &self.0.totals.threads)
            .field("bytes", &self.0.totals.bytes)
            .finish_non_exhaustive()
    }
}

/// Builds a [`MemoryLog`].
#[derive(Clone, Debug)]
#[must_use]
pub struct MemoryLogBuilder {
    limits: Limits,
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

    /// Keeps at most this many bytes of all threads together.
    pub fn max_total_bytes(mut self, bytes: usize) -> Self {
        self.limits.total_bytes = bytes;
        self
    }

    /// Keeps at most this many threads, not counting more that are being read.
    pub fn max_threads(mut self, threads: usize) -> Self {
        self.limits.threads = threads;
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
            totals: Totals::default(),
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

#[derive(Default)]
struct Thread {
    ring: Mutex<Ring>,
    /// The number of the newest event, for readers that wait: while it stands, they need no lock.
    head: AtomicU64,
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
        let Shared { limits, clock, totals, .. } = &*self.log.0;
        let now = clock.now();
        let (evicted, extent) = {
            let mut ring = lock(&self.thread.ring);
            let evicted = totals.counting(&mut ring, |ring| ring.expire(now, limits.age));
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
        if after == ring.extent().head() {
            // There is nothing that could be too old to be served, so the time is not asked.
            let stale = Waits::begin(waits, &mut ring, cx.waker());
            drop(ring);
            drop(stale);
            return Poll::Pending;
        }
        let Shared { limits, clock, totals, .. } = &*log.0;
        let expire = |ring: &mut Ring| ring.expire(clock.now(), limits.age);
        let evicted = totals.counting(&mut ring, expire);
        let extent = ring.extent();
        // Who has all there is begins to wait under the same lock.
        let has_all = ring.copy_after(after, max_bytes, into);
        let stale = if has_all { Waits::begin(waits, &mut ring, cx.waker()) } else { None };
        drop(ring);
        drop((stale, evicted));
        Poll::Ready(Ok(extent))
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
