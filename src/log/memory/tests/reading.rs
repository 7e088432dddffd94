//! Tests of replay, live reading, gaps and waiting.

use super::{
    super::MemoryLog,
    support::{Reading, Task, open, publish, read, seqs, small, subscribe},
};
use crate::{
    delivery::{Delivery, GapReason, Item},
    event::{Cursor, Epoch, LastEventId},
    log::{LogItem, LogReader as _, OnGap, Publisher},
    testing::fixtures::{grant, routing, scope},
};
use futures_util::{FutureExt as _, StreamExt as _};
use proptest::{collection::vec, prop_assert_eq, proptest};
use std::{
    sync::{Arc, atomic::Ordering},
    task::{Context, Waker},
    time::Duration,
};

#[test]
fn a_subscription_replays_events_and_then_reads_live() {
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
fn a_live_subscription_starts_at_the_moment_of_the_request() {
    let log = MemoryLog::new();
    let mut live = subscribe(&log, "th", LastEventId::Live);
    publish(&log, "th", "x").unwrap();
    assert_eq!(seqs(&mut live), [1], "published after the request, before the first poll");
}

#[test]
fn a_trimmed_cursor_gives_a_gap_and_reading_continues_where_on_gap_says() {
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
fn a_reader_that_falls_behind_retention_gets_a_gap() {
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
fn cursors_of_other_threads_and_epochs_or_ahead_of_the_head_are_unknown() {
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
fn wakers_do_not_pile_up_while_readers_come_and_go() {
    let log = MemoryLog::new();
    let thread = log.thread(routing("t_a", "th").key());
    let mut stays = subscribe(&log, "th", LastEventId::Live);
    for _ in 0..100 {
        assert!(seqs(&mut stays).is_empty());
        let mut goes = subscribe(&log, "th", LastEventId::Live);
        assert!(seqs(&mut goes).is_empty());
    }
    assert!(thread.ring.lock().waiting.wakers.len() <= 2);
}

#[test]
fn an_event_wakes_only_the_task_that_polled_last() {
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
    assert!(second.0.load(Ordering::Relaxed), "the second task waits");
    assert!(!first.0.load(Ordering::Relaxed), "the first task no longer waits");
    assert_eq!(seqs(&mut reading), [2]);
}

#[test]
fn a_reader_that_is_dropped_late_does_not_free_the_place_of_another() {
    let log = MemoryLog::new();
    let mut leaves = subscribe(&log, "th", LastEventId::Live);
    assert!(seqs(&mut leaves).is_empty());
    let mut stays = subscribe(&log, "th", LastEventId::Live);
    publish(&log, "th", "one").unwrap();
    assert_eq!(seqs(&mut stays), [1]);
    let task = Arc::new(Task::default());
    let waker = Waker::from(Arc::clone(&task));
    assert!(stays.poll_next_unpin(&mut Context::from_waker(&waker)).is_pending());
    // It had the first place, which the other reader has now.
    drop(leaves);
    publish(&log, "th", "two").unwrap();
    assert!(task.0.load(Ordering::Relaxed));
}

#[test]
fn a_waiting_reader_that_seeks_an_unknown_cursor_gets_a_gap() {
    let log = MemoryLog::new();
    let head = publish(&log, "th", "one").unwrap();
    let mut reader = open(&log, &routing("t_a", "th"));
    assert!(reader.next().now_or_never().is_none());
    reader.seek(Cursor::new(Epoch::random(), head.seq()));
    for _ in ["at once", "and until it seeks another cursor"] {
        let Some(Some(Ok(LogItem::Gap(extent)))) = reader.next().now_or_never() else {
            panic!("the reader must get a gap");
        };
        assert_eq!(extent.head(), head);
    }
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
    /// The model: all events after the cursor, or a gap and then the events that the log still holds.
    #[test]
    fn a_reader_gets_each_event_exactly_once_or_a_gap(
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
fn threads_of_two_tenants_with_one_id_are_different_threads() {
    let log = MemoryLog::new();
    let here = open(&log, &routing("t_a", "th"));
    let there = open(&log, &routing("t_b", "th"));
    assert!(!std::sync::Arc::ptr_eq(&here.thread, &there.thread));
}
