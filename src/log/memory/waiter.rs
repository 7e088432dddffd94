//! A reader that waits, as the reader itself remembers it.

use super::{ring::Ring, waiting::WakerId};
use crate::{event::Cursor, sync::AtomicU64};
use std::{sync::atomic::Ordering, task::Waker};

/// A reader that has read all events, and will be woken by the next one.
pub(super) struct Waiter {
    /// The head that it waits behind. Once there is another head, its place is not valid any more.
    pub(super) at: Cursor,
    pub(super) place: usize,
    /// The waker in its place. The ring keeps that waker until there is another head, so no other waker
    /// can have the same identity meanwhile.
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

    /// Whether the next event still wakes this task: then there is nothing to do.
    pub(super) fn hold(&self, head: &AtomicU64, after: Cursor, waker: &Waker) -> bool {
        self.at == after && head.load(Ordering::Acquire) == after.seq() && self.waker.is(waker)
    }
}
