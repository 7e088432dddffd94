//! What the log is limited to, and how it is built.

use super::{log::MemoryLog, retention::Gauge};
use crate::clock::{self, Clock};
use std::{sync::Arc, time::Duration};

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
    pub(super) fn new() -> Self {
        Self {
            limits: Limits { events: 10_000, bytes: 8 << 20, age: Duration::from_secs(3600) },
            total_bytes: 256 << 20,
            threads: 100_000,
            clock: clock::system(),
        }
    }

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
        let (bytes, threads) = (Gauge::new(self.total_bytes), Gauge::new(self.threads));
        MemoryLog::with_limits(self.limits, bytes, threads, self.clock)
    }
}

/// What is kept of one thread.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) events: usize,
    pub(super) bytes: usize,
    pub(super) age: Duration,
}
