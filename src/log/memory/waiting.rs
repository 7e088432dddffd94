//! The readers that wait for the next event of a thread.

use std::{
    mem, ptr,
    task::{RawWakerVTable, Waker},
};

/// The identity of a waker, as [`Waker::will_wake`] compares it. It does not keep the waker alive.
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

/// The wakers of the readers that wait for the next event. Each reader has a place, which is valid until
/// that event.
///
/// A reader that waits again before that event replaces its own waker, so there are never more wakers
/// than readers.
#[derive(Default)]
pub(super) struct Waiting {
    pub(super) wakers: Vec<Waker>,
    /// Places that readers have left.
    free: Vec<usize>,
}

impl Waiting {
    /// Returns the reader's place, and a waker that the caller drops after the unlock of the ring: the
    /// drop of a waker may run any code.
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

    /// Frees a place. The caller drops the waker after the unlock of the ring.
    pub(super) fn leave(&mut self, place: usize) -> Option<Waker> {
        let slot = self.wakers.get_mut(place)?;
        self.free.push(place);
        Some(mem::replace(slot, Waker::noop().clone()))
    }

    pub(super) fn take(&mut self) -> Vec<Waker> {
        self.free.clear();
        // The readers that wait now will most likely wait again.
        let next = Vec::with_capacity(self.wakers.len());
        mem::replace(&mut self.wakers, next)
    }
}
