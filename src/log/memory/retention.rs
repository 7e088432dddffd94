//! Makes room: decides which threads lose which events.

use super::{
    account::{Account, FairShare, Resource},
    ring::Ring,
    shared::Shared,
    thread::Thread,
};
use crate::id::ThreadKey;
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::SystemTime,
};

/// Makes room if more is in use than the limit allows.
///
/// Only tenants and envs above their [fair share](FairShare) lose events. One caller at a time makes
/// room; the other callers do not wait for it.
pub(super) fn make_room(shared: &Shared, of: Resource, now: SystemTime) {
    let gauge = shared.gauge(of);
    if !gauge.needs_room(now) {
        return;
    }
    let Some(_alone) = gauge.clearing.try_lock() else { return };
    if of == Resource::Bytes {
        // The log does not serve events that are too old, so all tenants lose these first.
        expire(shared, now);
    }
    let mut failed = false;
    if gauge.is_exceeded() {
        let uses = shared.accounts.uses(of);
        let fair = FairShare::of(gauge.limit, uses.iter().map(|(_, used)| *used));
        let mut excess = fair.excess;
        for account in over_share(shared, &uses, fair) {
            if excess == 0 {
                break;
            }
            let wanted = fair.must_free(account.used).min(excess);
            let freed = free(shared, of, &account, wanted);
            failed |= freed < wanted;
            excess = excess.saturating_sub(freed);
        }
    }
    gauge.cleared(now, failed);
}

/// An account above its share, and its threads in the order in which they lose events.
struct OverShare {
    used: usize,
    threads: Vec<Candidate>,
}

/// The state of a thread when the log looked at it.
struct Candidate {
    key: ThreadKey,
    in_use: bool,
    written: Option<SystemTime>,
    bytes: usize,
    /// Decides between threads that are otherwise equal. It is a new random number each time, so that
    /// it is not always the same thread that loses events.
    chance: u64,
}

impl Candidate {
    /// Unused threads first, and among these the least recently written ones first.
    fn order(&self) -> (bool, Option<SystemTime>, u64) {
        (self.in_use, self.written, self.chance)
    }
}

/// Drops all events that are too old.
fn expire(shared: &Shared, now: SystemTime) {
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

/// The accounts above their share. Those that use most come first.
fn over_share(shared: &Shared, uses: &[(Arc<Account>, usize)], fair: FairShare) -> Vec<OverShare> {
    let give = uses.iter().filter(|(_, used)| fair.must_free(*used) > 0);
    let mut over_share: HashMap<_, _> = give
        .map(|(account, used)| {
            (Arc::as_ptr(account).addr(), OverShare { used: *used, threads: Vec::new() })
        })
        .collect();
    let chance = RandomState::new();
    for shard in &shared.shards {
        for (key, thread) in &*shard.0.read() {
            let account = Arc::as_ptr(&thread.account).addr();
            let Some(account) = over_share.get_mut(&account) else { continue };
            let (written, bytes) = {
                let ring = thread.ring.lock();
                (ring.written, ring.bytes)
            };
            account.threads.push(Candidate {
                key: key.clone(),
                in_use: in_use(thread),
                written,
                bytes,
                chance: chance.hash_one(key),
            });
        }
    }
    let mut over_share: Vec<_> = over_share.into_values().collect();
    for account in &mut over_share {
        account.threads.sort_unstable_by_key(Candidate::order);
    }
    over_share.sort_unstable_by_key(|account| {
        (Reverse(account.used), account.threads.first().map(Candidate::order))
    });
    over_share
}

/// Frees `wanted` of what the account uses, or as much as possible, and returns how much it freed.
///
/// Unused threads go first, as a whole. Then the largest threads lose the older half of their events.
fn free(shared: &Shared, of: Resource, account: &OverShare, wanted: usize) -> usize {
    let mut freed = 0;
    let mut left = BinaryHeap::new();
    for (index, candidate) in account.threads.iter().enumerate() {
        if freed >= wanted {
            return freed;
        }
        let released = if candidate.in_use { None } else { release(shared, of, candidate) };
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
        let Some(Candidate { key, .. }) = account.threads.get(index) else { continue };
        let found = shared.shard(key).0.read().get(key).cloned();
        let Some(thread) = found else { continue };
        let (evicted, before, after) = {
            let mut ring = thread.ring.lock();
            let before = ring.bytes;
            let evicted = shared.counting(&thread, &mut ring, Ring::give_older_half);
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

/// Removes a thread unless it is in use, and returns the number of bytes that it held.
///
/// A client that reconnects with a cursor of the thread finds a new epoch, and gets a gap.
fn release(shared: &Shared, of: Resource, candidate: &Candidate) -> Option<usize> {
    if of == Resource::Bytes && candidate.bytes == 0 {
        // The removal would free nothing.
        return None;
    }
    let key = &candidate.key;
    let mut threads = shared.shard(key).0.write();
    // The write lock keeps new readers from finding the thread, so an unused thread stays unused.
    if in_use(threads.get(key)?) {
        return None;
    }
    let thread = threads.remove(key)?;
    drop(threads);
    Some(shared.end(key, &thread))
}

/// Whether a reader or a publisher holds the thread at this moment.
fn in_use(thread: &Arc<Thread>) -> bool {
    Arc::strong_count(thread) > 1
}
