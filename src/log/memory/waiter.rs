//! A reader that waits, as the reader itself remembers it.

use super::{ring::Ring, waiting::WakerId};
use crate::{event::Cursor, sync::AtomicU64};
use std::{sync::atomic::Ordering, task::Waker};

/// The state of a reader that has read all events. The next event wakes it.
pub(super) struct Waiter {
    /// The head when the reader began to wait. When the head changes, the place is not valid any more.
    pub(super) at: Cursor,
    pub(super) place: usize,
    /// The waker in its place. The ring keeps that waker until the head changes, so no other waker can
    /// have the same identity until then.
    waker: WakerId,
}

impl Waiter {
    pub(super) fn begin(
        waiter: &mut Option<Self>,
        ring: &mut Ring,
        waker: &Waker,
    ) -> Option<Waker> {
        let at = ring.extent().head();
        let place = waiter.as_ref().filter(|waiter| waiter.at == at).map(|waiter| waiter.place);
        let (place, stale) = ring.waiting.wait(place, waker);
        let kept = ring.waiting.wakers.get(place);
        *waiter = kept.map(|kept| Self { at, place, waker: WakerId::of(kept) });
        stale
    }

    /// Whether the registration is still valid for this task, so that there is nothing to do.
    pub(super) fn is_registered(&self, head: &AtomicU64, after: Cursor, waker: &Waker) -> bool {
        self.at == after && head.load(Ordering::Acquire) == after.seq() && self.waker.is(waker)
    }
}
