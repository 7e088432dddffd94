//! One poll of a guarded stream, step by step.

use super::{
    guarded::{GuardedStream, OnMismatch},
    item::IntoDelivery,
    observe::{audit, log_end, log_failure, log_gap},
};
use crate::{
    access::{ProofWatch, ThreadGrant, Woken},
    delivery::{Delivery, Item, Outbound},
    ending::Ending,
    event::StampedEvent,
    id::RequestId,
};
use futures_core::Stream;
use std::{
    ops::ControlFlow,
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll, ready},
    time::{Duration, SystemTime},
};

/// How many items of other threads one poll may leave out before it yields to other tasks.
const POLL_BUDGET: usize = 64;

/// The result of [`GuardedStream::poll_each`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Polled {
    /// The sink got at least one item, the last one at this time.
    Given(SystemTime),
    /// Nothing was ready; the alarm fired at this time.
    AlarmFired(SystemTime),
    /// The sink got the end, in this poll or in an earlier one.
    Ended,
}

impl<S> GuardedStream<S>
where
    S: Stream,
    S::Item: IntoDelivery,
{
    /// Gives `sink` each item that is ready, with the id of the stream's request, until `sink` breaks.
    ///
    /// If nothing is ready, the stream sets its one alarm and is pending for at most `idle_limit`. It
    /// calls `idle_limit` only when it sets the alarm.
    pub(crate) fn poll_each(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        idle_limit: impl FnOnce(SystemTime) -> Duration,
        mut sink: impl FnMut(Outbound, &RequestId) -> ControlFlow<()>,
    ) -> Poll<Polled> {
        let mut this = self.project();
        if *this.ended {
            return Poll::Ready(Polled::Ended);
        }
        let _in_span = this.span.enter();
        let grant = &*this.grant;
        let trace_id = grant.scope().request_id();
        let mut given = None;
        let mut held_back = 0;
        let ending = loop {
            if held_back == POLL_BUDGET {
                cx.waker().wake_by_ref();
                return given.map_or(Poll::Pending, |at| Poll::Ready(Polled::Given(at)));
            }
            let Poll::Ready(next) = poll_source(this.source.as_mut(), *this.last_word, cx) else {
                // A caller that got something polls again.
                if let Some(at) = given {
                    return Poll::Ready(Polled::Given(at));
                }
                match ready!(this.watch.poll(cx, idle_limit)) {
                    Woken::ProofEnded(ending) => break ending,
                    Woken::AlarmFired(now) => return Poll::Ready(Polled::AlarmFired(now)),
                }
            };
            let now = this.watch.clock().now();
            if let Some(ending) = due_ending(this.watch, this.last_word, now) {
                break ending;
            }
            let item = match item_of(grant, next) {
                Ok(item) => item,
                Err(ending) => break ending,
            };
            let outbound = match admit(grant, item) {
                Ok(outbound) => outbound,
                Err(Refused::End(ending)) => break ending,
                Err(Refused::Foreign(item)) => {
                    held_back += 1;
                    hold_back(grant, &item, this.mismatches.as_deref());
                    if *this.on_mismatch == OnMismatch::Close {
                        break Ending::SourceFailed;
                    }
                    continue;
                }
            };
            if let Outbound::Gap(gap) = &outbound {
                log_gap(grant, gap);
                *this.last_word = gap.resumes_at().is_none().then_some(Ending::Gap);
            }
            given = Some(now);
            if sink(outbound, trace_id).is_break() {
                return Poll::Ready(Polled::Given(now));
            }
        };
        *this.ended = true;
        log_end(grant, ending);
        let _last = sink(Outbound::End(ending), trace_id);
        Poll::Ready(Polled::Ended)
    }
}

/// Polls the source for its next item, unless its last item has announced the ending.
fn poll_source<S: Stream>(
    source: Pin<&mut S>,
    last_word: Option<Ending>,
    cx: &mut Context<'_>,
) -> Poll<Option<S::Item>> {
    match last_word {
        Some(_) => Poll::Ready(None),
        None => source.poll_next(cx),
    }
}

/// The ending that is due before the next item: the end of the proof, or the ending that the last item
/// announced.
///
/// The stream checks the proof before each item and before each ending, no matter how busy or how slow
/// the source is.
#[inline]
fn due_ending(
    watch: &mut ProofWatch,
    last_word: &mut Option<Ending>,
    now: SystemTime,
) -> Option<Ending> {
    watch.ended(now).or_else(|| last_word.take())
}

/// The item that the source gave. A source that failed, or has no more items, ends the stream.
fn item_of<T: IntoDelivery>(grant: &ThreadGrant, next: Option<T>) -> Result<Item, Ending> {
    match next.map(IntoDelivery::into_delivery) {
        Some(Ok(Delivery(item))) => Ok(item),
        Some(Err(error)) => {
            log_failure(grant, &*error);
            Err(Ending::SourceFailed)
        }
        None => Err(Ending::Complete),
    }
}

/// Why an item does not go out.
enum Refused {
    /// It is the source's own ending.
    End(Ending),
    /// It belongs to another thread.
    Foreign(Item),
}

/// An item of another thread never goes out, whether it is an event, a position or a gap.
#[inline]
fn admit(grant: &ThreadGrant, item: Item) -> Result<Outbound, Refused> {
    let is_ours = item.thread() == Some(grant.key());
    match item {
        Item::End(ending) => Err(Refused::End(ending)),
        Item::Event(event) if is_ours => {
            let stamped = StampedEvent::new(event, grant.scope().request_id().clone());
            Ok(Outbound::Event(stamped))
        }
        Item::Position(position) if is_ours => Ok(Outbound::Position(position)),
        Item::Gap(gap) if is_ours => Ok(Outbound::Gap(gap)),
        foreign @ (Item::Event(_) | Item::Position(_) | Item::Gap(_)) => {
            Err(Refused::Foreign(foreign))
        }
    }
}

/// Counts an item of another thread, and writes it to the audit log.
fn hold_back(grant: &ThreadGrant, foreign: &Item, mismatches: Option<&AtomicU64>) {
    if let Some(counter) = mismatches {
        counter.fetch_add(1, Ordering::Relaxed);
    }
    audit(grant, foreign);
}

impl<S> Stream for GuardedStream<S>
where
    S: Stream,
    S::Item: IntoDelivery,
{
    type Item = Outbound;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Outbound>> {
        let mut next = None;
        loop {
            let polled = self.as_mut().poll_each(
                cx,
                |_| Duration::MAX,
                |outbound, _| {
                    next = Some(outbound);
                    ControlFlow::Break(())
                },
            );
            match ready!(polled) {
                Polled::Given(_) | Polled::Ended => return Poll::Ready(next),
                Polled::AlarmFired(_) => {}
            }
        }
    }
}
