//! What the log in memory promises.

use super::{MemoryLog, MemoryLogBuilder, MemoryReader, lock};
use crate::{
    access::tests::grant,
    clock::manual::ManualClock,
    delivery::{Delivery, Gap, GapReason, Item},
    event::{Cursor, Epoch, LastEventId, tests::routing},
    log::{EventLog as _, LogError, LogReader as _, OnGap, PublishError, Publisher, Subscription},
    scope::tests::scope,
};
use futures_util::{FutureExt as _, StreamExt as _};
use proptest::{collection::vec, prop_assert_eq, proptest};
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

type Reading = Subscription<MemoryReader>;

fn publish(log: &MemoryLog, thread: &str, text: &str) -> Result<Cursor, PublishError> {
    let publisher = Publisher::without_proof(log.clone(), routing("t_a", thread));
    let event = publisher.publish("x", text).now_or_never().expect("memory does not wait");
    event.map(|event| event.cursor().expect("a log's event has one"))
}

fn subscribe(log: &MemoryLog, thread: &str, from: impl Into<LastEventId>) -> Reading {
    let grant = grant(scope("t_a"), thread);
    grant.subscribe(log, from).now_or_never().expect("memory does not wait").unwrap()
}

/// All that is there now: numbers of events, the first position, gaps.
fn read(subscription: &mut Reading) -> (Vec<u64>, Vec<Gap>) {
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

fn seqs(subscription: &mut Reading) -> Vec<u64> {
    let (seqs, gaps) = read(subscription);
    assert_eq!(gaps, []);
    seqs
}

fn small() -> MemoryLogBuilder {
    MemoryLog::builder().max_events(5)
}

#[test]
fn replay_and_live_are_one_read() {
    let log = MemoryLog::new();
    let cursors: Vec<_> = (0..3).map(|_| publish(&log, "th", "x").unwrap()).collect();
    let mut live = subscribe(&log, "th", LastEventId::Live);
    let mut earliest = subscribe(&log, "th", LastEventId::Earliest);
    let mut after = subscribe(&log, "th", cursors[0]);
    assert!(seqs(&mut live).is_empty());
    assert_eq!(seqs(&mut earliest), [1, 2, 3]);
    assert_eq!(seqs(&mut after), [2, 3]);
    publish(&log, "th", "x").unwrap();
    publish(&log, "other", "x").unwrap();
    for subscription in [&mut live, &mut earliest, &mut after] {
        assert_eq!(seqs(subscription), [4]);
    }
}

#[test]
fn live_means_live_from_the_moment_of_the_request() {
    let log = MemoryLog::new();
    let mut live = subscribe(&log, "th", LastEventId::Live);
    publish(&log, "th", "x").unwrap();
    assert_eq!(seqs(&mut live), [1], "published after the request, before the first poll");
}

#[test]
fn a_trimmed_cursor_is_answered_with_a_gap_and_reading_goes_on_where_chosen() {
    for (choice, resumes, expected) in [
        (OnGap::Oldest, Some(3), vec![4, 5, 6, 7, 8]),
        (OnGap::Live, Some(8), vec![]),
        (OnGap::Close, None, vec![]),
    ] {
        let log = small().build();
        let old = publish(&log, "th", "x").unwrap();
        for _ in 0..7 {
            publish(&log, "th", "x").unwrap();
        }
        let mut subscription = subscribe(&log, "th", old).on_gap(choice);
        let (events, gaps) = read(&mut subscription);
        assert_eq!(events, expected, "{choice:?}");
        let [gap] = &gaps[..] else { panic!("{gaps:?}") };
        assert_eq!(gap.reason(), GapReason::Trimmed);
        assert_eq!(gap.requested(), old);
        assert_eq!(gap.oldest().seq(), 3);
        assert_eq!(gap.resumes_at().map(Cursor::seq), resumes);
        if choice == OnGap::Close {
            assert!(subscription.next().now_or_never().unwrap().is_none());
        }
    }
}

#[test]
fn a_reader_that_falls_behind_retention_is_told() {
    let log = small().build();
    let mut slow = subscribe(&log, "th", LastEventId::Live);
    publish(&log, "th", "x").unwrap();
    assert_eq!(seqs(&mut slow), [1]);
    for _ in 0..9 {
        publish(&log, "th", "x").unwrap();
    }
    let (events, gaps) = read(&mut slow);
    assert_eq!(events, [6, 7, 8, 9, 10]);
    assert_eq!(gaps.iter().map(|gap| gap.requested().seq()).collect::<Vec<_>>(), [1]);
}

#[test]
fn foreign_made_up_and_earlier_cursors_are_all_unknown() {
    let log = MemoryLog::new();
    let own = publish(&log, "th", "x").unwrap();
    let foreign = publish(&log, "other", "secret").unwrap();
    let restarted = publish(&MemoryLog::new(), "th", "x").unwrap();
    let ahead = Cursor::new(own.epoch(), 99);
    let made_up = Cursor::new(Epoch::random(), 1);
    for cursor in [foreign, restarted, ahead, made_up] {
        let (events, gaps) = read(&mut subscribe(&log, "th", cursor));
        assert_eq!(events, [1]);
        assert_eq!(gaps.len(), 1);
        assert_eq!(gaps[0].reason(), GapReason::Unknown);
    }
}

#[test]
fn retention_counts_bytes_and_age() {
    let log = MemoryLog::builder().max_bytes(2000).build();
    for _ in 0..20 {
        publish(&log, "th", &"x".repeat(100)).unwrap();
    }
    let kept = seqs(&mut subscribe(&log, "th", LastEventId::Earliest));
    assert!(kept.len() < 6 && kept.last() == Some(&20), "{kept:?}");
    let refused = publish(&log, "th", &"x".repeat(3000));
    assert!(matches!(refused, Err(PublishError::Log(LogError::TooLarge { max: 2000 }))));
    // A large event that makes room for several, and is let go of for a small one.
    for length in [1200, 100, 100] {
        publish(&log, "th", &"x".repeat(length)).unwrap();
        let thread = log.thread(routing("t_a", "th").key());
        let kept = lock(&thread.ring).bytes;
        assert_eq!(log.0.totals.bytes.load(Ordering::Relaxed), kept);
        assert!(kept <= 2000);
    }

    let clock = ManualClock::at(1000);
    let log = MemoryLog::builder().max_age(Duration::from_secs(10)).clock(clock.shared()).build();
    let first = publish(&log, "th", "x").unwrap();
    clock.advance(Duration::from_secs(6));
    publish(&log, "th", "x").unwrap();
    clock.advance(Duration::from_secs(6));
    assert_eq!(seqs(&mut subscribe(&log, "th", LastEventId::Earliest)), [2]);
    assert_eq!(seqs(&mut subscribe(&log, "th", first)), [2], "nothing after it was lost");
    clock.advance(Duration::from_secs(6));
    let (events, gaps) = read(&mut subscribe(&log, "th", first));
    assert_eq!((events.len(), gaps.len()), (0, 1));
    assert_eq!(log.0.totals.bytes.load(Ordering::Relaxed), 0);
}

#[test]
fn memory_is_bounded_over_all_threads_and_readers_are_never_cut_off() {
    let log = MemoryLog::builder().max_threads(8).max_total_bytes(20_000).build();
    let mut watched = subscribe(&log, "watched", LastEventId::Live);
    for i in 0..1000 {
        publish(&log, &format!("th-{i}"), &"x".repeat(200)).unwrap();
    }
    assert!(log.0.totals.threads.load(Ordering::Relaxed) <= 9);
    assert!(log.0.totals.bytes.load(Ordering::Relaxed) <= 20_000);
    publish(&log, "watched", "x").unwrap();
    assert_eq!(seqs(&mut watched), [1], "its thread was in use");
    // One thread that is being read may not take more than the whole log either.
    for _ in 0..200 {
        publish(&log, "watched", &"x".repeat(200)).unwrap();
    }
    assert!(log.0.totals.bytes.load(Ordering::Relaxed) <= 20_000);
    let (events, gaps) = read(&mut watched);
    assert_eq!((events.last(), gaps.len()), (Some(&201), 1));
}

#[test]
fn a_thread_that_was_let_go_of_comes_back_with_another_epoch() {
    let log = MemoryLog::builder().max_threads(2).build();
    let before = publish(&log, "th", "x").unwrap();
    for i in 0..10 {
        publish(&log, &format!("th-{i}"), "x").unwrap();
    }
    let after = publish(&log, "th", "x").unwrap();
    assert_ne!(before.epoch(), after.epoch());
    let (_, gaps) = read(&mut subscribe(&log, "th", before));
    assert_eq!(gaps[0].reason(), GapReason::Unknown);
}

#[test]
fn wakers_do_not_pile_up_while_readers_come_and_go() {
    let log = MemoryLog::new();
    let thread = log.thread(routing("t_a", "th").key());
    let mut stays = subscribe(&log, "th", LastEventId::Live);
    for _ in 0..100 {
        assert!(seqs(&mut stays).is_empty());
        let mut goes = subscribe(&log, "th", LastEventId::Live);
        assert!(seqs(&mut goes).is_empty());
    }
    assert!(lock(&thread.ring).waiting.wakers.len() <= 2);
}

#[derive(Default)]
struct Task(AtomicBool);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn the_task_that_waits_last_is_woken_also_if_another_read() {
    let log = MemoryLog::new();
    let mut reading = subscribe(&log, "th", LastEventId::Live);
    let [first, second] = [Arc::new(Task::default()), Arc::default()];
    let (reads, waits) = (Waker::from(Arc::clone(&first)), Waker::from(Arc::clone(&second)));
    publish(&log, "th", "one").unwrap();
    for _ in ["the position", "the event"] {
        assert!(reading.poll_next_unpin(&mut Context::from_waker(&reads)).is_ready());
    }
    assert!(reading.poll_next_unpin(&mut Context::from_waker(&reads)).is_pending());
    assert!(reading.poll_next_unpin(&mut Context::from_waker(&waits)).is_pending());
    publish(&log, "th", "two").unwrap();
    assert!(second.0.load(Ordering::Relaxed), "it waits");
    assert!(!first.0.load(Ordering::Relaxed), "it does not wait any more");
    assert_eq!(seqs(&mut reading), [2]);
}

#[test]
fn a_reader_that_leaves_late_takes_nobody_elses_place() {
    let log = MemoryLog::new();
    let mut leaves = subscribe(&log, "th", LastEventId::Live);
    assert!(seqs(&mut leaves).is_empty());
    let mut stays = subscribe(&log, "th", LastEventId::Live);
    publish(&log, "th", "one").unwrap();
    assert_eq!(seqs(&mut stays), [1]);
    let task = Arc::new(Task::default());
    let waker = Waker::from(Arc::clone(&task));
    assert!(stays.poll_next_unpin(&mut Context::from_waker(&waker)).is_pending());
    // What it had was the first place, which is the other one's now.
    drop(leaves);
    publish(&log, "th", "two").unwrap();
    assert!(task.0.load(Ordering::Relaxed));
}

#[test]
fn a_reader_that_waits_is_still_told_that_another_cursor_is_foreign() {
    let log = MemoryLog::new();
    let head = publish(&log, "th", "one").unwrap();
    let mut reader = log.reader(routing("t_a", "th").key());
    let (mut cx, mut into) = (Context::from_waker(Waker::noop()), VecDeque::new());
    assert!(reader.poll_read(&mut cx, head, 1, &mut into).is_pending());
    let foreign = Cursor::new(Epoch::random(), head.seq());
    let read = reader.poll_read(&mut cx, foreign, 1, &mut into);
    assert!(matches!(read, Poll::Ready(Ok(extent)) if extent.head() == head));
    assert!(into.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_join_while_a_publisher_writes_see_every_event_once() {
    const EVENTS: u64 = 20_000;
    let log = MemoryLog::builder().max_events(EVENTS as usize).max_bytes(usize::MAX).build();
    let cursor = publish(&log, "th", "x").unwrap();
    let readers: Vec<_> = (0..32)
        .map(|_| {
            let log = log.clone();
            tokio::spawn(async move {
                let grant = grant(scope("t_a"), "th");
                let mut seqs = grant.subscribe(&log, cursor).await.unwrap();
                let mut next = 2;
                while next <= EVENTS {
                    let Delivery(item) = seqs.next().await.unwrap().unwrap();
                    match item {
                        Item::Event(event) => {
                            assert_eq!(event.cursor().unwrap().seq(), next);
                            next += 1;
                        }
                        Item::Position(at) => assert_eq!(at.cursor(), cursor),
                        Item::Gap(_) | Item::End(_) => panic!("a subscriber missed events"),
                    }
                }
            })
        })
        .collect();
    let publisher = Publisher::without_proof(log, routing("t_a", "th"));
    for _ in 1..EVENTS {
        publisher.publish("x", "y").await.unwrap();
    }
    for reader in readers {
        tokio::time::timeout(Duration::from_secs(60), reader).await.unwrap().unwrap();
    }
}

proptest! {
    /// Against a model: what was published after the cursor, or a gap and then what is left.
    #[test]
    fn any_history_is_read_without_loss_or_double_or_is_told(
        steps in vec((0..4_u8, 0..2_usize), 1..80),
    ) {
        let log = small().build();
        let threads = ["a", "b"];
        let mut head = [0_u64; 2];
        let mut readers: Vec<(usize, u64, Reading)> = Vec::new();
        for (step, which) in steps {
            match step {
                0 | 1 => {
                    head[which] += 1;
                    let cursor = publish(&log, threads[which], "x").unwrap();
                    prop_assert_eq!(cursor.seq(), head[which]);
                }
                2 => {
                    let live = subscribe(&log, threads[which], LastEventId::Live);
                    readers.push((which, head[which], live));
                }
                _ => for (which, seen, reader) in &mut readers {
                    let (events, gaps) = read(reader);
                    let oldest = head[*which].saturating_sub(5);
                    prop_assert_eq!(gaps.len(), usize::from(*seen < oldest));
                    let from = (*seen).max(oldest) + 1;
                    prop_assert_eq!(events, (from..=head[*which]).collect::<Vec<_>>());
                    *seen = head[*which];
                },
            }
        }
    }
}

#[test]
fn the_key_of_a_thread_is_all_three_parts() {
    let log = MemoryLog::new();
    let here = log.reader(routing("t_a", "th").key());
    let there = log.reader(routing("t_b", "th").key());
    assert!(!std::sync::Arc::ptr_eq(&here.thread, &there.thread));
}
