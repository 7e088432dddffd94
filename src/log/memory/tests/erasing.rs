//! Tests of erasing threads and tenants.

use super::{
    super::MemoryLog,
    support::{
        Reading, Task, erase, open, path, post, publish, read, recount, resume, seqs, subscribe,
    },
};
use crate::{
    delivery::{Delivery, Gap, GapReason, Item},
    ending::Ending,
    event::{Cursor, Epoch, LastEventId, Routing},
    log::{EventLog as _, LogError, LogReader as _, erase_thread},
    testing::fixtures::routing,
};
use futures_util::{FutureExt as _, StreamExt as _};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Waker},
};

/// Whether the subscription ends with [`Ending::AccessRevoked`], and then returns nothing more.
fn is_told(reading: &mut Reading) -> bool {
    let told = reading.next().now_or_never();
    let told = matches!(told, Some(Some(Ok(Delivery(Item::End(Ending::AccessRevoked))))));
    told && matches!(reading.next().now_or_never(), Some(None))
}

#[test]
fn an_erased_thread_begins_a_new_epoch_and_its_readers_end() {
    let log = MemoryLog::new();
    let thread = routing("t_a", "th");
    let old = publish(&log, "th", "secret").unwrap();
    publish(&log, "th", "secret").unwrap();
    let mut unread = subscribe(&log, "th", LastEventId::Earliest);
    let mut missing = subscribe(&log, "th", Cursor::new(Epoch::random(), 1));
    let mut midway = subscribe(&log, "th", LastEventId::Earliest);
    for _ in ["the position", "the first of two events that were read"] {
        midway.next().now_or_never().unwrap().unwrap().unwrap();
    }
    let mut waits = subscribe(&log, "th", LastEventId::Live);
    assert!(seqs(&mut waits).is_empty());
    let task = Arc::new(Task::default());
    let waker = Waker::from(Arc::clone(&task));
    assert!(waits.poll_next_unpin(&mut Context::from_waker(&waker)).is_pending());
    let mut late = open(&log, &thread);

    erase(&log, &thread);
    assert_eq!((log.0.bytes.used(), log.0.threads.used()), (0, 0));
    recount(&log);
    assert!(task.0.load(Ordering::Relaxed), "the erasure wakes a reader that waits");
    for reading in [&mut unread, &mut missing, &mut midway, &mut waits] {
        assert!(is_told(reading));
    }
    assert!(late.is_erased());
    late.seek(old);
    assert!(matches!(late.next().now_or_never(), Some(Some(Err(LogError::Erased)))));

    // The next owner of the id sees only its own events. The old cursor is unknown.
    let (events, gaps) = read_after(&log, old);
    assert_eq!((events.len(), gaps.len(), gaps[0].reason()), (0, 1, GapReason::Unknown));
    let new = publish(&log, "th", "mine").unwrap();
    assert_ne!(new.epoch(), old.epoch());
    assert_eq!(new.seq(), 1);
    assert_eq!(seqs(&mut subscribe(&log, "th", LastEventId::Earliest)), [1]);
    drop((unread, missing, midway, waits, late));
    assert_eq!(log.0.threads.used(), 1);
    recount(&log);
}

fn read_after(log: &MemoryLog, cursor: Cursor) -> (Vec<u64>, Vec<Gap>) {
    read(&mut subscribe(log, "th", cursor))
}

#[test]
fn the_log_erases_only_the_thread_or_the_tenant_that_is_named() {
    let log = Arc::new(MemoryLog::new());
    let all = ["t_a/prod/th-1", "t_a/prod/th-2", "t_a/dev/th-1", "t_b/prod/th-1"];
    let threads: [Routing; 4] = all.map(|thread| thread.parse().unwrap());
    let cursors = threads.each_ref().map(|thread| post(&log, thread, 1));
    let kept = |log: &MemoryLog| {
        let pairs = threads.iter().zip(cursors);
        pairs.map(|(thread, cursor)| !resume(log, thread, cursor).1).collect::<Vec<_>>()
    };
    erase_thread(&log, &threads[0]).now_or_never().unwrap().unwrap();
    assert_eq!(kept(&log), [false, true, true, true]);
    log.erase_tenant(threads[0].tenant()).now_or_never().unwrap().unwrap();
    assert_eq!(kept(&log), [false, false, false, true]);
    recount(&log);
}

#[test]
fn a_thread_without_events_can_be_erased() {
    let log = MemoryLog::new();
    erase(&log, &routing("t_a", "th"));
    let mut reading = subscribe(&log, "th", LastEventId::Live);
    erase(&log, &routing("t_a", "th"));
    assert!(is_told(&mut reading));
    recount(&log);
}

#[test]
fn an_erased_thread_is_refused_like_one_that_does_not_exist() {
    let refused = crate::Rejection::from(LogError::Erased);
    let unknown = crate::Rejection::new(crate::RejectionKind::ThreadForbidden);
    assert_eq!(refused.to_string(), unknown.to_string());
    assert_eq!((refused.code(), refused.status()), (unknown.code(), unknown.status()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_event_published_during_an_erasure_is_either_erased_or_readable() {
    let log = MemoryLog::builder().max_events(usize::MAX).max_bytes(usize::MAX).build();
    let thread = path("t_a/prod", 0);
    let done = Arc::new(AtomicBool::new(false));
    let erasing = tokio::spawn({
        let (log, thread, done) = (log.clone(), thread.clone(), Arc::clone(&done));
        async move {
            while !done.load(Ordering::Relaxed) {
                erase_thread(&log, &thread).await.unwrap();
                tokio::task::yield_now().await;
            }
        }
    });
    let publishing = (0..3).map(|_| {
        let (log, thread) = (log.clone(), thread.clone());
        tokio::spawn(async move { (0..5000).for_each(|_| _ = post(&log, &thread, 1)) })
    });
    for publisher in publishing.collect::<Vec<_>>() {
        publisher.await.unwrap();
    }
    done.store(true, Ordering::Relaxed);
    erasing.await.unwrap();
    // The erasures have stopped, so all events of the current epoch must be readable.
    let last = post(&log, &thread, 1);
    let (seqs, gap) = resume(&log, &thread, Cursor::new(last.epoch(), 0));
    assert!(!gap);
    assert_eq!(seqs, (1..=last.seq()).collect::<Vec<_>>());
    recount(&log);
}
