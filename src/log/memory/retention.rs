//! Room for what comes: when it is made, and which threads make it.

use super::{
    account::{Account, Fair, Resource},
    log::{MemoryLog, Shared},
    ring::Ring,
    thread::Thread,
};
use crate::{id::ThreadKey, sync::Mutex};
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    hash::{BuildHasher as _, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

/// What all threads together use of one resource, and when to look for room.
pub(super) struct Gauge {
    limit: usize,
    pub(super) used: AtomicUsize,
    /// Room is made once more than this is in use. It is the limit, or an eighth more than what the
    /// last look left: a look takes long, so it has to be worth it.
    next_look_above: AtomicUsize,
    /// The second of a look that got stuck: another second is reason enough for another look.
    retry_after: AtomicU64,
    looking: Mutex<()>,
}

/// No look is to be tried again.
const NEVER: u64 = u64::MAX;

impl Gauge {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            used: AtomicUsize::new(0),
            next_look_above: AtomicUsize::new(limit),
            retry_after: AtomicU64::new(NEVER),
            looking: Mutex::default(),
        }
    }

    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Asked for each event, so it is no more than one look at one number.
    pub(super) fn is_exceeded(&self) -> bool {
        self.used() > self.limit
    }

    fn needs_room(&self, now: SystemTime) -> bool {
        let used = self.used();
        let retry_after = self.retry_after.load(Ordering::Relaxed);
        used > self.next_look_above.load(Ordering::Relaxed)
            || (used > self.limit && retry_after != NEVER && retry_after != second(now))
    }

    /// Says when to look again. `stuck` is a look after which somebody held on to more than it was
    /// to give: it is a matter of time until that changes.
    fn looked(&self, now: SystemTime, stuck: bool) {
        let left = if stuck { self.used().max(self.limit) } else { self.used().min(self.limit) };
        let step = left.max(self.limit) / 8;
        self.next_look_above.store(left.saturating_add(step).max(self.limit), Ordering::Relaxed);
        self.retry_after.store(if stuck { second(now) } else { NEVER }, Ordering::Relaxed);
    }
}

fn second(now: SystemTime) -> u64 {
    now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// An account that has to give, and its threads in the order in which they give.
struct Giver {
    used: usize,
    threads: Vec<Candidate>,
}

/// A thread as it was when it was looked at.
struct Candidate {
    key: ThreadKey,
    in_use: bool,
    written: Option<SystemTime>,
    bytes: usize,
    /// Decides where everything else is equal. Each look draws anew, so that no thread always
    /// gives first.
    chance: u64,
}

impl Candidate {
    /// Threads that nobody uses come first, and among them the one that was written longest ago.
    fn order(&self) -> (bool, Option<SystemTime>, u64) {
        (self.in_use, self.written, self.chance)
    }
}

impl MemoryLog {
    /// Makes room if more is in use than the limit allows.
    ///
    /// Tenants and envs above their fair share give, and no others: see [`Fair`]. One look at a time
    /// is enough, so whoever comes while another looks goes on.
    pub(super) fn make_room(&self, of: Resource, now: SystemTime) {
        let shared = &*self.0;
        let gauge = shared.gauge(of);
        if !gauge.needs_room(now) {
            return;
        }
        let Some(_alone) = gauge.looking.try_lock() else { return };
        if of == Resource::Bytes {
            // What nobody can read any more goes first, whoever has it.
            self.expire(now);
        }
        let mut stuck = false;
        if gauge.is_exceeded() {
            let uses = shared.accounts.uses(of);
            let fair = Fair::of(gauge.limit, uses.iter().map(|(_, used)| *used));
            let mut excess = fair.excess;
            for giver in self.givers(&uses, fair) {
                if excess == 0 {
                    break;
                }
                let wanted = fair.gives(giver.used).min(excess);
                let freed = self.free(of, &giver, wanted);
                stuck |= freed < wanted;
                excess = excess.saturating_sub(freed);
            }
        }
        gauge.looked(now, stuck);
    }

    /// Lets go of all that is too old.
    fn expire(&self, now: SystemTime) {
        let shared = &*self.0;
        for shard in &shared.shards {
            let mut evicted = Vec::new();
            for thread in shard.0.read().values() {
                let mut ring = thread.ring.lock();
                let expire = |ring: &mut Ring| ring.expire(now, shared.limits.age);
                evicted.extend(shared.counting(thread, &mut ring, expire));
            }
            drop(evicted);
        }
    }

    /// The accounts that have to give, those that use most first.
    fn givers(&self, uses: &[(Arc<Account>, usize)], fair: Fair) -> Vec<Giver> {
        let give = uses.iter().filter(|(_, used)| fair.gives(*used) > 0);
        let mut givers: HashMap<_, _> = give
            .map(|(account, used)| {
                (Arc::as_ptr(account).addr(), Giver { used: *used, threads: Vec::new() })
            })
            .collect();
        let chance = RandomState::new();
        for shard in &self.0.shards {
            for (key, thread) in &*shard.0.read() {
                let account = Arc::as_ptr(&thread.account).addr();
                let Some(giver) = givers.get_mut(&account) else { continue };
                let (written, bytes) = {
                    let ring = thread.ring.lock();
                    (ring.written, ring.bytes)
                };
                giver.threads.push(Candidate {
                    key: key.clone(),
                    in_use: in_use(thread),
                    written,
                    bytes,
                    chance: chance.hash_one(key),
                });
            }
        }
        let mut givers: Vec<_> = givers.into_values().collect();
        for giver in &mut givers {
            giver.threads.sort_unstable_by_key(Candidate::order);
        }
        givers.sort_unstable_by_key(|giver| {
            (Reverse(giver.used), giver.threads.first().map(Candidate::order))
        });
        givers
    }

    /// Frees as much of what `giver` has, or all that can be freed, and tells how much it was.
    ///
    /// Whole threads that nobody uses go first. Then the largest threads give their older half.
    fn free(&self, of: Resource, giver: &Giver, wanted: usize) -> usize {
        let mut freed = 0;
        let mut left = BinaryHeap::new();
        for (index, candidate) in giver.threads.iter().enumerate() {
            if freed >= wanted {
                return freed;
            }
            let released = if candidate.in_use { None } else { self.release(of, candidate) };
            match released {
                Some(bytes) if of == Resource::Bytes => freed += bytes,
                Some(_) => freed += 1,
                None if of == Resource::Bytes && candidate.bytes > 0 => {
                    left.push((candidate.bytes, candidate.chance, index));
                }
                None => {}
            }
        }
        while freed < wanted
            && let Some((_, chance, index)) = left.pop()
        {
            let Some(Candidate { key, .. }) = giver.threads.get(index) else { continue };
            let found = self.0.shard(key).0.read().get(key).cloned();
            let Some(thread) = found else { continue };
            let (evicted, before, after) = {
                let mut ring = thread.ring.lock();
                let before = ring.bytes;
                let evicted = self.0.counting(&thread, &mut ring, Ring::give_older_half);
                (evicted, before, ring.bytes)
            };
            drop(evicted);
            freed += before - after;
            if after > 0 {
                left.push((after, chance, index));
            }
        }
        freed
    }

    /// Lets go of a thread unless somebody uses it, and tells how many bytes it held.
    ///
    /// Who returns with a cursor of such a thread meets a new epoch, and is told of the gap.
    fn release(&self, of: Resource, candidate: &Candidate) -> Option<usize> {
        if of == Resource::Bytes && candidate.bytes == 0 {
            // It would free nothing.
            return None;
        }
        let key = &candidate.key;
        let mut threads = self.0.shard(key).0.write();
        // Nobody can take a thread up while its shard is locked for writing, so nobody is cut off.
        if in_use(threads.get(key)?) {
            return None;
        }
        let thread = threads.remove(key)?;
        drop(threads);
        Some(self.0.end(key, &thread))
    }
}

/// Whether somebody reads the thread, or writes to it just now.
fn in_use(thread: &Arc<Thread>) -> bool {
    Arc::strong_count(thread) > 1
}

impl Shared {
    fn gauge(&self, of: Resource) -> &Gauge {
        match of {
            Resource::Bytes => &self.bytes,
            Resource::Threads => &self.threads,
        }
    }
}
