//! Who waits for the next event of a thread.

use super::ring::Ring;
use crate::{event::Cursor, sync::AtomicU64};
use std::{
    mem, ptr,
    sync::atomic::Ordering,
    task::{RawWakerVTable, Waker},
};

/// Which waker one is, as [`Waker::will_wake`] tells them apart. It is not kept by this.
#[derive(Clone, Copy)]
pub(super) struct WakerId(usize, &'static RawWakerVTable);

impl WakerId {
    pub(super) fn of(waker: &Waker) -> Self {
        Self(waker.data().addr(), waker.vtable())
    }

    pub(super) fn is(self, waker: &Waker) -> bool {
        self.0 == waker.data().addr() && ptr::eq(self.1, waker.vtable())
    }
}

/// Wakers of the readers that wait for the next event: a place each, which is void after that event.
///
/// A reader that waits again before there was one replaces its own waker, so there are never more
/// than readers.
#[derive(Default)]
pub(super) struct Waiting {
    pub(super) wakers: Vec<Waker>,
    /// Places whose readers are gone.
    free: Vec<usize>,
}

impl Waiting {
    /// Gives the reader's place, and a waker to drop once the lock is given back: dropping one may
    /// run any code.
    pub(super) fn wait(&mut self, place: Option<usize>, waker: &Waker) -> (usize, Option<Waker>) {
        let place = place.or_else(|| self.free.pop()).unwrap_or(self.wakers.len());
        let stale = match self.wakers.get_mut(place) {
            Some(slot) if slot.will_wake(waker) => None,
            Some(slot) => Some(mem::replace(slot, waker.clone())),
            None => {
                self.wakers.push(waker.clone());
                None
            }
        };
        (place, stale)
    }

    /// As above: the waker is to be dropped once the lock is given back.
    pub(super) fn leave(&mut self, place: usize) -> Option<Waker> {
        let slot = self.wakers.get_mut(place)?;
        self.free.push(place);
        Some(mem::replace(slot, Waker::noop().clone()))
    }

    pub(super) fn take(&mut self) -> Vec<Waker> {
        self.free.clear();
        // Those who wait now will most likely wait again.
        let next = Vec::with_capacity(self.wakers.len());
        mem::replace(&mut self.wakers, next)
    }
}

/// A reader that has read all there is. It will be woken once there is more.
pub(super) struct Waits {
    /// The head that it waits behind. Behind another, its place is void.
    pub(super) at: Cursor,
    pub(super) place: usize,
    /// The waker that lies in its place. The ring owns it until there is another head, so that none
    /// of another task can be taken for it.
    waker: WakerId,
}

impl Waits {
    pub(super) fn begin(waits: &mut Option<Self>, ring: &mut Ring, waker: &Waker) -> Option<Waker> {
        let at = ring.extent().head();
        let place = waits.as_ref().filter(|waits| waits.at == at).map(|waits| waits.place);
        let (place, stale) = ring.waiting.wait(place, waker);
        let kept = ring.waiting.wakers.get(place);
        *waits = kept.map(|kept| Self { at, place, waker: WakerId::of(kept) });
        stale
    }

    /// Whether what was agreed still holds.
    pub(super) fn hold(&self, head: &AtomicU64, after: Cursor, waker: &Waker) -> bool {
        self.at == after && head.load(Ordering::Acquire) == after.seq() && self.waker.is(waker)
    }
}
