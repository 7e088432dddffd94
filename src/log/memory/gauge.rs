//! How much of one resource all threads together use, and when room must be made.

use crate::sync::Mutex;
use std::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

pub(super) struct Gauge {
    pub(super) limit: usize,
    pub(super) used: AtomicUsize,
    /// Room is made once more than this is in use: the limit, or an eighth more than the last
    /// clearing left. A clearing looks at every thread, so it must be worth it.
    clear_above: AtomicUsize,
    /// The second of a clearing that did not free what it should have. In any later second, it may be
    /// tried again.
    failed_at: AtomicU64,
    /// Held by the one who makes room.
    pub(super) clearing: Mutex<()>,
}

/// The last clearing did not fail.
const NEVER: u64 = u64::MAX;

impl Gauge {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            used: AtomicUsize::new(0),
            clear_above: AtomicUsize::new(limit),
            failed_at: AtomicU64::new(NEVER),
            clearing: Mutex::default(),
        }
    }

    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// The log asks this for each event, so it reads one number and no more.
    pub(super) fn is_exceeded(&self) -> bool {
        self.used() > self.limit
    }

    pub(super) fn needs_room(&self, now: SystemTime) -> bool {
        let used = self.used();
        let failed_at = self.failed_at.load(Ordering::Relaxed);
        used > self.clear_above.load(Ordering::Relaxed)
            || (used > self.limit && failed_at != NEVER && failed_at != second(now))
    }

    /// Decides when room is made next. `failed` says that somebody still uses what had to be freed:
    /// that changes with time.
    pub(super) fn cleared(&self, now: SystemTime, failed: bool) {
        let left = if failed { self.used().max(self.limit) } else { self.used().min(self.limit) };
        let step = left.max(self.limit) / 8;
        self.clear_above.store(left.saturating_add(step).max(self.limit), Ordering::Relaxed);
        self.failed_at.store(if failed { second(now) } else { NEVER }, Ordering::Relaxed);
    }
}

fn second(now: SystemTime) -> u64 {
    now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
