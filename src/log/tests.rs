//! Tests of a subscription over any log.

use super::{DynEventLog, EventLog, Extent, LogError, LogItem, LogReader, MemoryLog, erase_thread};
use crate::{
    delivery::{Delivery, Item},
    event::{Cursor, Epoch, EventType, LastEventId, NewEvent, StreamEvent},
    id::{TenantId, ThreadKey},
    testing::fixtures::{grant, routing, scope},
};
use futures_core::Stream;
use futures_util::{FutureExt as _, StreamExt as _};
use std::{
    collections::VecDeque,
    future::{Future, ready},
    pin::Pin,
    task::{Context, Poll},
    time::UNIX_EPOCH,
};

/// A log that breaks its contract. Its readers return these items.
#[derive(Clone)]
struct Lying(Extent, VecDeque<LogItem>);

impl EventLog for Lying {
    type Reader = Self;

    fn append(&self, _: NewEvent) -> impl Future<Output = Result<StreamEvent, LogError>> + Send {
        ready(Err(LogError::Unavailable("read only".into())))
    }

    fn open(&self, _: &ThreadKey) -> impl Future<Output = Result<(Extent, Self), LogError>> + Send {
        ready(Ok((self.0, self.clone())))
    }

    fn erase_thread(&self, _: &ThreadKey) -> impl Future<Output = Result<(), LogError>> + Send {
        ready(Err(LogError::Unavailable("read only".into())))
    }

    fn erase_tenant(&self, _: &TenantId) -> impl Future<Output = Result<(), LogError>> + Send {
        ready(Err(LogError::Unavailable("read only".into())))
    }
}

impl Stream for Lying {
    type Item = Result<LogItem, LogError>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.1.pop_front().map(Ok))
    }
}

impl LogReader for Lying {
    fn seek(&mut self, _: Cursor) {}

    fn is_erased(&self) -> bool {
        false
    }
}

fn event(tenant: &str, epoch: Epoch, seq: u64) -> LogItem {
    let event_type = EventType::new("x").unwrap();
    let draft = NewEvent::new(routing(tenant, "th"), event_type, "y", None).unwrap();
    LogItem::Event(draft.seal(Cursor::new(epoch, seq), UNIX_EPOCH))
}

#[test]
fn a_log_that_breaks_its_contract_ends_the_stream_and_hides_no_gap() {
    let epoch = Epoch::random();
    let extent = Extent::new(epoch, 1, 4);
    let ours = |seq| event("t_a", epoch, seq);
    for (second, what) in [
        (Some(ours(3)), "a hole"),
        (Some(ours(1)), "doubled"),
        (Some(event("t_b", epoch, 2)), "another tenant's"),
        (Some(event("t_a", Epoch::random(), 2)), "of another epoch"),
        (Some(LogItem::Gap(extent)), "a gap, although the log serves the position"),
        (None, "the end of the reader"),
    ] {
        let log = Lying(extent, [ours(1)].into_iter().chain(second).collect());
        // `DynEventLog` detects it too.
        for log in [DynEventLog::new(log.clone()), DynEventLog::new(std::sync::Arc::new(log))] {
            let grant = grant(scope("t_a"), "th");
            let read = grant.subscribe(&log, LastEventId::Earliest).now_or_never().unwrap();
            let items: Vec<_> = read.unwrap().collect::<Vec<_>>().now_or_never().unwrap();
            let [
                Ok(Delivery(Item::Position(_))),
                Ok(Delivery(Item::Event(_))),
                Err(LogError::Broken(_)),
            ] = &items[..]
            else {
                panic!("{what}: {items:?}");
            };
        }
    }
}

#[test]
fn a_log_behind_dyn_event_log_behaves_like_the_log_itself() {
    let memory = MemoryLog::new();
    let log = DynEventLog::new(memory.clone());
    let grant = grant(scope("t_a"), "th");
    let mut read = grant.subscribe(&log, LastEventId::Live).now_or_never().unwrap().unwrap();
    assert!(matches!(read.next().now_or_never(), Some(Some(Ok(Delivery(Item::Position(_)))))));
    assert!(read.next().now_or_never().is_none(), "there is no event yet");
    let published = grant.publisher(&log).publish("x", "y").now_or_never().unwrap().unwrap();
    let Some(Some(Ok(Delivery(Item::Event(event))))) = read.next().now_or_never() else {
        panic!("the reader must return the event");
    };
    assert_eq!(event.cursor(), published.cursor());
    assert_eq!(
        grant.position(&memory).now_or_never().unwrap().unwrap(),
        published.cursor().unwrap()
    );
    erase_thread(&log, &routing("t_a", "th")).now_or_never().unwrap().unwrap();
    assert!(matches!(read.next().now_or_never(), Some(Some(Ok(Delivery(Item::End(_)))))));
    assert_ne!(
        grant.position(&memory).now_or_never().unwrap().unwrap().epoch(),
        event.cursor().unwrap().epoch()
    );
    log.erase_tenant(grant.scope().tenant()).now_or_never().unwrap().unwrap();
}
