//! Helpers of the tests of the log in memory.

use super::super::{MemoryLog, MemoryLogBuilder, MemoryReader};
use crate::{
    delivery::{Delivery, Gap, Item},
    event::{Cursor, LastEventId, Routing},
    log::{LogItem, LogReader as _, PublishError, Publisher, Subscription, erase_thread},
    testing::fixtures::{grant, routing, scope},
};
use futures_util::{FutureExt as _, StreamExt as _};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Wake,
};

pub(super) type Reading = Subscription<MemoryReader>;

pub(super) fn publish(log: &MemoryLog, thread: &str, text: &str) -> Result<Cursor, PublishError> {
    let publisher = Publisher::without_proof(log.clone(), routing("t_a", thread));
    let event = publisher.publish("x", text).now_or_never().expect("memory does not wait");
    event.map(|event| event.cursor().expect("a stored event has a cursor"))
}

pub(super) fn subscribe(log: &MemoryLog, thread: &str, from: impl Into<LastEventId>) -> Reading {
    let grant = grant(scope("t_a"), thread);
    grant.subscribe(log, from).now_or_never().expect("memory does not wait").unwrap()
}

/// Reads until the subscription is pending or ends: the numbers of the events, and the gaps.
pub(super) fn read(subscription: &mut Reading) -> (Vec<u64>, Vec<Gap>) {
    let (mut seqs, mut gaps) = (Vec::new(), Vec::new());
    while let Some(Some(item)) = subscription.next().now_or_never() {
        let Delivery(item) = item.unwrap();
        match item {
            Item::Event(event) => seqs.push(event.cursor().unwrap().seq()),
            Item::Gap(gap) => gaps.push(gap),
            Item::Position(_) | Item::End(_) => {}
        }
    }
    (seqs, gaps)
}

pub(super) fn seqs(subscription: &mut Reading) -> Vec<u64> {
    let (seqs, gaps) = read(subscription);
    assert_eq!(gaps, []);
    seqs
}

pub(super) fn small() -> MemoryLogBuilder {
    MemoryLog::builder().max_events(5)
}

#[derive(Default)]
pub(super) struct Task(pub(super) AtomicBool);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Asserts that the counters are right, and that each account has a thread.
pub(super) fn recount(log: &MemoryLog) {
    let mut counted = HashMap::new();
    for shard in &log.0.shards {
        for (key, thread) in &*shard.0.read() {
            let ring = thread.ring.lock();
            assert_eq!(ring.recount(), ring.bytes);
            let owner = (key.tenant().clone(), key.env().clone());
            let (bytes, threads) = counted.entry(owner).or_insert((0, 0));
            *bytes += ring.bytes;
            *threads += 1;
        }
    }
    assert_eq!(log.0.bytes.used(), counted.values().map(|(bytes, _)| bytes).sum::<usize>());
    assert_eq!(log.0.threads.used(), counted.values().map(|(_, threads)| threads).sum::<usize>());
    assert_eq!(log.0.accounts.snapshot(), counted);
}

pub(super) fn path(owner: &str, thread: usize) -> Routing {
    format!("{owner}/th-{thread}").parse().unwrap()
}

pub(super) fn post(log: &MemoryLog, to: &Routing, length: usize) -> Cursor {
    let publisher = Publisher::without_proof(log.clone(), to.clone());
    let text = "x".repeat(length);
    let event = publisher.publish("x", &text).now_or_never().expect("memory does not wait");
    event.unwrap().cursor().unwrap()
}

pub(super) fn open(log: &MemoryLog, thread: &Routing) -> MemoryReader {
    log.open_now(thread.key()).unwrap().1
}

/// Reads the thread after `cursor`: the numbers of the events, and whether there was a gap.
pub(super) fn resume(log: &MemoryLog, thread: &Routing, cursor: Cursor) -> (Vec<u64>, bool) {
    let mut reader = open(log, thread);
    reader.seek(cursor);
    let mut seqs = Vec::new();
    while let Some(Some(item)) = reader.next().now_or_never() {
        match item.unwrap() {
            LogItem::Event(event) => seqs.push(event.cursor().unwrap().seq()),
            LogItem::Gap(_) => return (seqs, true),
        }
    }
    (seqs, false)
}

pub(super) fn erase(log: &MemoryLog, thread: &Routing) {
    erase_thread(log, thread).now_or_never().expect("memory does not wait").unwrap();
}
