//! The events of one thread, and the readers that wait for more.

use super::{limits::Limits, waiting::Waiting};
use crate::{
    event::{Cursor, Epoch, StreamEvent},
    log::extent::Extent,
};
use std::{
    collections::VecDeque,
    mem,
    task::Waker,
    time::{Duration, SystemTime},
};

/// About how many bytes an event needs in addition to its text.
const EVENT_OVERHEAD: usize = 160;

/// How many bytes an event counts for in the limits.
pub(super) fn size(event: &StreamEvent) -> usize {
    event.encoded_len() + EVENT_OVERHEAD
}

pub(super) struct Ring {
    pub(super) epoch: Epoch,
    pub(super) next: u64,
    events: VecDeque<(SystemTime, StreamEvent)>,
    pub(super) bytes: usize,
    pub(super) written: Option<SystemTime>,
    pub(super) waiting: Waiting,
    /// An erased ring is not written or read any more.
    pub(super) erased: bool,
}

/// The slow part of a change, for after the unlock: to drop events and to wake readers.
#[must_use]
pub(super) struct Deferred {
    evicted: Vec<StreamEvent>,
    wakers: Vec<Waker>,
}

impl Deferred {
    pub(super) fn run(self) {
        drop(self.evicted);
        self.wakers.into_iter().for_each(Waker::wake);
    }
}

impl Default for Ring {
    fn default() -> Self {
        Self {
            epoch: Epoch::random(),
            next: 1,
            events: VecDeque::new(),
            bytes: 0,
            written: None,
            waiting: Waiting::default(),
            erased: false,
        }
    }
}

impl Ring {
    #[cfg(test)]
    pub(super) fn recount(&self) -> usize {
        self.events.iter().map(|(_, event)| size(event)).sum()
    }

    pub(super) fn extent(&self) -> Extent {
        Extent { epoch: self.epoch, oldest: self.next - self.events.len() as u64, next: self.next }
    }

    pub(super) fn push(&mut self, event: StreamEvent, now: SystemTime, limits: Limits) -> Deferred {
        self.next += 1;
        self.bytes += size(&event);
        self.written = Some(now);
        self.events.push_back((now, event));
        let mut evicted = self.expire(now, limits.age);
        while self.events.len() > limits.events || self.bytes > limits.bytes {
            evicted.extend(self.evict());
        }
        Deferred { evicted, wakers: self.waiting.take() }
    }

    fn evict(&mut self) -> Option<StreamEvent> {
        let (_, event) = self.events.pop_front()?;
        self.bytes -= size(&event);
        Some(event)
    }

    /// Removes the events that are too old.
    pub(super) fn expire(&mut self, now: SystemTime, age: Duration) -> Vec<StreamEvent> {
        let too_old = |(time, _): &(SystemTime, StreamEvent)| {
            now.duration_since(*time).is_ok_and(|elapsed| elapsed > age)
        };
        let mut evicted = Vec::new();
        while self.events.front().is_some_and(too_old) {
            evicted.extend(self.evict());
        }
        evicted
    }

    /// Copies the events after `after` until they have `max_bytes`, and returns whether the newest event
    /// is among them. For a cursor outside the extent, it copies nothing.
    pub(super) fn copy_after(
        &self,
        after: Cursor,
        max_bytes: usize,
        into: &mut VecDeque<StreamEvent>,
    ) -> bool {
        let extent = self.extent();
        let skip = after.seq().checked_sub(extent.earliest().seq());
        let Some(skip) = skip.filter(|_| after.epoch() == extent.epoch) else { return false };
        let from = usize::try_from(skip).unwrap_or(usize::MAX).min(self.events.len());
        let mut left = self.events.range(from..);
        let mut bytes = 0;
        for (_, event) in left.by_ref() {
            into.push_back(event.clone());
            bytes += event.encoded_len();
            if bytes >= max_bytes {
                break;
            }
        }
        from < self.events.len() && left.len() == 0
    }

    /// Removes everything, and wakes all readers that wait.
    pub(super) fn erase(&mut self) -> Deferred {
        self.erased = true;
        self.bytes = 0;
        let evicted = mem::take(&mut self.events).into_iter().map(|(_, event)| event).collect();
        Deferred { evicted, wakers: self.waiting.take() }
    }

    pub(super) fn give_older_half(&mut self) -> Vec<StreamEvent> {
        (0..self.events.len().div_ceil(2)).filter_map(|_| self.evict()).collect()
    }
}
