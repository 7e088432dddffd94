//! Reads one thread.

use super::{
    log::MemoryLog,
    ring::Ring,
    thread::{ERASED, Thread},
    waiting::Waits,
};
use crate::{
    event::{Cursor, StreamEvent},
    log::{error::LogError, event_log::LogReader, extent::Extent},
};
use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
};

/// Reads one thread of a [`MemoryLog`].
pub struct MemoryReader {
    log: MemoryLog,
    pub(super) thread: Arc<Thread>,
    waits: Option<Waits>,
}

impl MemoryReader {
    pub(super) fn new(log: MemoryLog, thread: Arc<Thread>) -> Self {
        Self { log, thread, waits: None }
    }
}

impl LogReader for MemoryReader {
    fn poll_extent(&mut self, _: &mut Context<'_>) -> Poll<Result<Extent, LogError>> {
        let shared = &*self.log.0;
        let now = shared.clock.now();
        let (evicted, extent) = {
            let mut ring = self.thread.ring.lock();
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
        let mut ring = thread.ring.lock();
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
            let mut ring = self.thread.ring.lock();
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
