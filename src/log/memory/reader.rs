//! Reads one thread of the log in memory.

use super::{
    ring::Ring,
    shared::Shared,
    thread::{ERASED, Thread},
    waiter::Waiter,
};
use crate::{
    event::{Cursor, StreamEvent},
    log::{
        error::LogError,
        event_log::{LogItem, LogReader},
        extent::Extent,
    },
};
use futures_core::Stream;
use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, Waker, ready},
};

/// How much a reader copies from the ring at once, in bytes. A subscriber that does not read keeps this
/// much memory in use.
const BATCH: usize = 16 * 1024;

/// Reads one thread of a [`MemoryLog`](crate::MemoryLog).
pub struct MemoryReader {
    shared: Arc<Shared>,
    pub(super) thread: Arc<Thread>,
    at: Cursor,
    /// The events after `at` that the reader read ahead.
    batch: VecDeque<StreamEvent>,
    waiter: Option<Waiter>,
}

impl MemoryReader {
    /// A reader at the head of the thread.
    ///
    /// # Errors
    ///
    /// [`LogError::Erased`] if the thread was erased after it was found.
    pub(super) fn open(
        shared: Arc<Shared>,
        thread: Arc<Thread>,
    ) -> Result<(Extent, Self), LogError> {
        let now = shared.clock.now();
        let (evicted, extent) = {
            let mut ring = thread.ring.lock();
            if ring.erased {
                return Err(LogError::Erased);
            }
            let expire = |ring: &mut Ring| ring.expire(now, shared.limits.age);
            let evicted = shared.counting(&thread, &mut ring, expire);
            (evicted, ring.extent())
        };
        drop(evicted);
        let at = extent.head();
        Ok((extent, Self { shared, thread, at, batch: VecDeque::new(), waiter: None }))
    }

    /// Reads ahead, or registers the waker if there is nothing to read.
    ///
    /// # Errors
    ///
    /// [`Stop`], if there is a gap or the thread was erased.
    fn read_ahead(&mut self, waker: &Waker) -> Poll<Result<(), Stop>> {
        let Self { shared, thread, at, batch, waiter } = self;
        if waiter.as_ref().is_some_and(|waiter| waiter.is_registered(&thread.head, *at, waker)) {
            return Poll::Pending;
        }
        let mut ring = thread.ring.lock();
        if ring.erased {
            return Poll::Ready(Err(Stop::Erased));
        }
        if *at == ring.extent().head() {
            // No event is unread, so none can be too old: the clock is not needed.
            let stale = Waiter::begin(waiter, &mut ring, waker);
            drop(ring);
            drop(stale);
            return Poll::Pending;
        }
        let expire = |ring: &mut Ring| ring.expire(shared.clock.now(), shared.limits.age);
        let evicted = shared.counting(thread, &mut ring, expire);
        let extent = ring.extent();
        let served = extent.serves(*at).is_ok();
        // A reader that has copied everything begins to wait under the same lock.
        let has_all = served && ring.copy_after(*at, BATCH, batch);
        let stale = if has_all { Waiter::begin(waiter, &mut ring, waker) } else { None };
        drop(ring);
        drop((stale, evicted));
        Poll::Ready(if served { Ok(()) } else { Err(Stop::Gap(extent)) })
    }
}

/// Why a reader gives no event.
enum Stop {
    Gap(Extent),
    Erased,
}

impl Stream for MemoryReader {
    type Item = Result<LogItem, LogError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.batch.is_empty() {
            match ready!(this.read_ahead(cx.waker())) {
                Ok(()) => {}
                Err(Stop::Gap(extent)) => return Poll::Ready(Some(Ok(LogItem::Gap(extent)))),
                Err(Stop::Erased) => return Poll::Ready(Some(Err(LogError::Erased))),
            }
        }
        Poll::Ready(this.batch.pop_front().map(|event| {
            this.at = Cursor::new(this.at.epoch(), this.at.seq() + 1);
            Ok(LogItem::Event(event))
        }))
    }
}

impl LogReader for MemoryReader {
    fn seek(&mut self, after: Cursor) {
        self.at = after;
        self.batch = VecDeque::new();
    }

    fn is_erased(&self) -> bool {
        self.thread.head.load(Ordering::Acquire) == ERASED
    }
}

impl Drop for MemoryReader {
    fn drop(&mut self) {
        if let Some(waiter) = self.waiter.take() {
            let mut ring = self.thread.ring.lock();
            let current = ring.extent().head() == waiter.at;
            let stale = if current { ring.waiting.leave(waiter.place) } else { None };
            drop(ring);
            drop(stale);
        }
    }
}

impl fmt::Debug for MemoryReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryReader").field("at", &self.at).finish_non_exhaustive()
    }
}
