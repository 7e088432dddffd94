//! How much of one resource all threads together use, and when the log must make room.

use crate::sync::Mutex;
use std::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

pub(super) struct Gauge {
    pub(super) limit: usize,
    pub(super) used: AtomicUsize,
    /// The log makes room when more than this is in use: the limit, or an eighth more than was left
    /// the last time. To make room is expensive, because it looks at every thread.
    clear_above: AtomicUsize,
    /// The second in which the log made room, but freed less than it should have. It tries again in
    /// another second.
    failed_at: AtomicU64,
    /// The lock of the caller that makes room.
    pub(super) clearing: Mutex<()>,
}

/// The value of `failed_at` if the log freed enough.
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

    /// The log calls this for each event, so it reads only one number.
    pub(super) fn is_exceeded(&self) -> bool {
        self.used() > self.limit
    }

    pub(super) fn needs_room(&self, now: SystemTime) -> bool {
        let used = self.used();
        let failed_at = self.failed_at.load(Ordering::Relaxed);
        used > self.clear_above.load(Ordering::Relaxed)
            || (used > self.limit && failed_at != NEVER && failed_at != second(now))
    }

    /// Decides when the log makes room next. `failed` means that threads were in use and could not be
    /// removed. A later try may succeed.
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
