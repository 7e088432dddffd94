//! Builds a log with configured limits.

use super::{gauge::Gauge, limits::Limits, log::MemoryLog, shared::Shared};
use crate::clock::{self, Clock};
use std::{sync::Arc, time::Duration};

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

    /// A builder with the default limits.
    pub fn builder() -> MemoryLogBuilder {
        MemoryLogBuilder {
            limits: Limits { events: 10_000, bytes: 8 << 20, age: Duration::from_secs(3600) },
            total_bytes: 256 << 20,
            threads: 100_000,
            clock: clock::system(),
        }
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
    /// Keeps at most this many events of a thread. 0 counts as 1.
    pub fn max_events(mut self, events: usize) -> Self {
        self.limits.events = events.max(1);
        self
    }

    /// Keeps at most this many bytes of a thread. The log refuses a larger event.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.limits.bytes = bytes;
        self
    }

    /// Serves events for at most this long. If nobody reads or writes a thread, its events may stay in
    /// memory longer, until the log makes room.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.limits.age = age;
        self
    }

    /// Keeps at most this many bytes of all threads together. Tenants and envs share them fairly. If
    /// many of them are close to their share, the log may hold an eighth more.
    pub fn max_total_bytes(mut self, bytes: usize) -> Self {
        self.total_bytes = bytes;
        self
    }

    /// Keeps at most this many threads that nobody reads. Tenants and envs share them fairly. If many
    /// of them are close to their share, the log may hold an eighth more.
    pub fn max_threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Sets the clock for the time and the age of events.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Builds the log.
    #[must_use]
    pub fn build(self) -> MemoryLog {
        let (bytes, threads) = (Gauge::new(self.total_bytes), Gauge::new(self.threads));
        MemoryLog(Arc::new(Shared::new(self.limits, bytes, threads, self.clock)))
    }
}
