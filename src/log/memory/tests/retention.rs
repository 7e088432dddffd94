//! Tests of retention and of making room.

use super::{
    super::{MemoryLog, account::Resource, retention::make_room},
    support::{open, path, post, publish, read, recount, resume, seqs, subscribe},
};
use crate::{
    delivery::GapReason,
    event::{Cursor, LastEventId, Routing},
    log::{EventLog as _, LogError, LogReader as _, PublishError, erase_thread},
    testing::{ManualClock, fixtures::routing},
};
use std::{collections::HashSet, time::Duration};

#[test]
fn retention_limits_bytes_and_age() {
    let log = MemoryLog::builder().max_bytes(2000).build();
    for _ in 0..20 {
        publish(&log, "th", &"x".repeat(100)).unwrap();
    }
    let kept = seqs(&mut subscribe(&log, "th", LastEventId::Earliest));
    assert!(kept.len() < 6 && kept.last() == Some(&20), "{kept:?}");
    let refused = publish(&log, "th", &"x".repeat(3000));
    assert!(matches!(refused, Err(PublishError::Log(LogError::TooLarge { max: 2000 }))));
    // A large event evicts several events, and a small event later evicts the large one.
    for length in [1200, 100, 100] {
        publish(&log, "th", &"x".repeat(length)).unwrap();
        let thread = log.thread(routing("t_a", "th").key());
        let kept = thread.ring.lock().bytes;
        assert_eq!(log.0.bytes.used(), kept);
        assert!(kept <= 2000);
    }

    let clock = ManualClock::at(1000);
    let log = MemoryLog::builder().max_age(Duration::from_secs(10)).clock(clock.shared()).build();
    let first = publish(&log, "th", "x").unwrap();
    clock.advance(Duration::from_secs(6));
    publish(&log, "th", "x").unwrap();
    clock.advance(Duration::from_secs(6));
    assert_eq!(seqs(&mut subscribe(&log, "th", LastEventId::Earliest)), [2]);
    assert_eq!(
        seqs(&mut subscribe(&log, "th", first)),
        [2],
        "the log still holds all events after it"
    );
    clock.advance(Duration::from_secs(6));
    let (events, gaps) = read(&mut subscribe(&log, "th", first));
    assert_eq!((events.len(), gaps.len()), (0, 1));
    assert_eq!(log.0.bytes.used(), 0);
}

#[test]
fn memory_is_bounded_over_all_threads_and_readers_are_never_cut_off() {
    let log = MemoryLog::builder().max_threads(8).max_total_bytes(20_000).build();
    let mut watched = subscribe(&log, "watched", LastEventId::Live);
    for i in 0..1000 {
        publish(&log, &format!("th-{i}"), &"x".repeat(200)).unwrap();
    }
    assert!(log.0.threads.used() <= 9);
    assert!(log.0.bytes.used() <= 20_000);
    publish(&log, "watched", "x").unwrap();
    assert_eq!(seqs(&mut watched), [1], "the log must not remove a thread that is in use");
    // A single thread with a reader must not exceed the total limit either.
    for _ in 0..200 {
        publish(&log, "watched", &"x".repeat(200)).unwrap();
    }
    assert!(log.0.bytes.used() <= 20_000);
    let (events, gaps) = read(&mut watched);
    assert_eq!((events.last(), gaps.len()), (Some(&201), 1));
}

#[test]
fn a_removed_thread_comes_back_with_another_epoch() {
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
fn the_events_of_one_tenant_and_env_evict_nothing_of_other_tenants_or_envs() {
    let log = MemoryLog::builder().max_total_bytes(100_000).build();
    // Some threads have readers. One owner is the other env of the tenant that posts.
    let quiet = ["t_b/prod", "t_c/prod", "t_a/prod"];
    let first: Vec<_> = quiet
        .iter()
        .flat_map(|owner| (0..20).map(|thread| path(owner, thread)))
        .map(|thread| (post(&log, &thread, 10), thread))
        .collect();
    for (_, thread) in &first {
        post(&log, thread, 10);
    }
    let readers: Vec<_> = first.iter().step_by(3).map(|(_, thread)| open(&log, thread)).collect();
    for i in 0..5000 {
        post(&log, &path("t_a/dev", i % 70), 200);
        assert!(log.0.bytes.used() <= 100_000);
    }
    for (cursor, thread) in &first {
        assert_eq!(resume(&log, thread, *cursor), (vec![2], false), "{}", thread.to_path());
    }
    recount(&log);
    drop(readers);
}

#[test]
fn the_threads_of_one_tenant_remove_no_thread_of_another() {
    let log = MemoryLog::builder().max_threads(100).build();
    let theirs: Vec<_> = (0..50)
        .map(|thread| path("t_b/prod", thread))
        .map(|thread| (post(&log, &thread, 1), thread))
        .collect();
    for i in 0..1000 {
        post(&log, &path("t_a/prod", i), 1);
        assert!(log.0.threads.used() <= 112, "at most an eighth more");
    }
    for (cursor, thread) in &theirs {
        assert_eq!(resume(&log, thread, *cursor), (vec![], false), "{}", thread.to_path());
    }
    recount(&log);
}

#[test]
fn the_least_recently_written_threads_go_first_in_all_shards() {
    let clock = ManualClock::at(1000);
    let log = MemoryLog::builder().max_threads(80).clock(clock.shared()).build();
    let threads: Vec<_> = (0..81).map(|thread| path("t_a/prod", thread)).collect();
    let mut cursors = Vec::new();
    for thread in &threads {
        clock.advance(Duration::from_millis(1));
        cursors.push(post(&log, thread, 1));
    }
    // The 81st thread made the log go down to seven eighths: 70 threads. A read of a removed thread
    // creates it again, so read these last.
    for (i, (thread, cursor)) in threads.iter().zip(cursors).enumerate().rev() {
        assert_eq!(resume(&log, thread, cursor).1, i < 11, "{i}");
    }
}

#[test]
fn between_equal_threads_chance_decides_which_one_goes() {
    let mut first_to_give = HashSet::new();
    for _ in 0..40 {
        let clock = ManualClock::at(1000);
        let log = MemoryLog::builder().max_threads(8).clock(clock.shared()).build();
        let threads: Vec<_> = (0..9).map(|thread| path("t_a/prod", thread)).collect();
        let cursors: Vec<_> = threads.iter().map(|thread| post(&log, thread, 1)).collect();
        let lost = |(thread, cursor): (&Routing, &Cursor)| resume(&log, thread, *cursor).1;
        first_to_give.insert(threads.iter().zip(&cursors).position(lost));
    }
    assert!(first_to_give.len() > 1, "{first_to_give:?}");
}

#[test]
fn of_the_threads_with_readers_the_largest_loses_its_older_half() {
    let log = MemoryLog::builder().max_total_bytes(100_000).build();
    let [small, large] = [path("t_a/prod", 1), path("t_a/prod", 2)];
    let _readers = [open(&log, &small), open(&log, &large)];
    let cursor = post(&log, &small, 100);
    post(&log, &small, 100);
    let mut sent = 0;
    while log.0.bytes.used() < 99_000 {
        post(&log, &large, 100);
        sent += 1;
    }
    for _ in 0..10 {
        post(&log, &large, 100);
    }
    let start = Cursor::new(cursor.epoch(), 0);
    assert_eq!(resume(&log, &small, start), (vec![1, 2], false));
    let thread = log.thread(large.key());
    let kept = thread.ring.lock().extent();
    assert!(kept.oldest > sent / 2 && kept.next - kept.oldest > sent / 3, "{kept:?} of {sent}");
}

#[test]
fn the_log_keeps_tiny_limits_even_with_more_accounts_than_the_limit() {
    for limit in [0, 1, 7] {
        let log = MemoryLog::builder().max_total_bytes(limit).max_threads(limit).build();
        let watched = open(&log, &path("t_w/prod", 0));
        for i in 0..200 {
            let thread = path(&format!("t_{i}/prod"), 0);
            let cursor = post(&log, &thread, 10);
            assert_eq!(cursor.seq(), 1);
            assert!(log.0.bytes.used() <= limit);
            assert!(log.0.threads.used() <= limit + 2, "one has a reader, one was just written");
        }
        recount(&log);
        assert!(!watched.is_erased(), "the log must not remove a thread that has a reader");
    }
    // One event for each tenant, and more tenants than the limit: the newest threads stay.
    let clock = ManualClock::at(1000);
    let log = MemoryLog::builder().max_threads(80).clock(clock.shared()).build();
    let mut cursors = Vec::new();
    for i in 0..200 {
        clock.advance(Duration::from_millis(1));
        let thread = path(&format!("t_{i}/prod"), 0);
        cursors.push((post(&log, &thread, 10), thread));
    }
    for (cursor, thread) in cursors.iter().rev().take(60) {
        assert!(!resume(&log, thread, *cursor).1, "{}", thread.to_path());
    }
}

#[test]
fn an_event_larger_than_the_share_evicts_only_events_of_its_own_tenant() {
    let log = MemoryLog::builder().max_total_bytes(20_000).build();
    let quiet: Vec<_> = (0..9)
        .map(|i| path(&format!("t_{i}/prod"), 0))
        .map(|thread| (post(&log, &thread, 1400), thread))
        .collect();
    for _ in 0..20 {
        post(&log, &path("t_a/prod", 0), 15_000);
        assert!(log.0.bytes.used() <= 22_500);
    }
    for (cursor, thread) in &quiet {
        assert_eq!(resume(&log, thread, Cursor::new(cursor.epoch(), 0)), (vec![1], false));
    }
    recount(&log);
}

#[test]
fn the_log_drops_events_that_are_too_old_before_it_evicts_others() {
    let clock = ManualClock::at(1000);
    let log = MemoryLog::builder()
        .max_total_bytes(20_000)
        .max_age(Duration::from_secs(10))
        .clock(clock.shared())
        .build();
    for i in 0.. {
        if log.0.bytes.used() > 18_000 {
            break;
        }
        post(&log, &path("t_b/prod", i), 60);
    }
    clock.advance(Duration::from_secs(11));
    let thread = path("t_a/prod", 0);
    let mut posted = Vec::new();
    while posted.len() < 30 {
        posted.push(post(&log, &thread, 60).seq());
    }
    let epoch = post(&log, &thread, 60).epoch();
    posted.push(31);
    let held = log.thread(thread.key()).ring.lock().bytes;
    assert!(
        held > 10_000 && log.0.bytes.used() < 20_000,
        "one tenant must be able to use most of it"
    );
    assert_eq!(resume(&log, &thread, Cursor::new(epoch, 0)), (posted, false));
}

#[test]
fn the_log_removes_threads_once_their_readers_are_gone() {
    let clock = ManualClock::at(1000);
    let log = MemoryLog::builder().max_threads(8).clock(clock.shared()).build();
    let readers: Vec<_> = (0..40).map(|i| open(&log, &path("t_a/prod", i))).collect();
    assert_eq!(log.0.threads.used(), 40, "the log must not remove threads that have readers");
    drop(readers);
    clock.advance(Duration::from_secs(1));
    post(&log, &path("t_a/prod", 99), 1);
    assert!(log.0.threads.used() <= 8);
    recount(&log);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_publishers_keep_the_counts_right_and_evict_nothing_of_another_tenant() {
    let log = MemoryLog::builder().max_total_bytes(60_000).max_threads(40).build();
    let theirs = path("t_b/prod", 0);
    let cursor = post(&log, &theirs, 10);
    post(&log, &theirs, 10);
    let publishers = (0..8_usize).map(|i| {
        let log = log.clone();
        tokio::spawn(async move {
            for n in 0..1500 {
                let thread = path("t_a/prod", (n * 7 + i) % 50);
                post(&log, &thread, 100 + n % 200);
                if n % 50 == 0 {
                    erase_thread(&log, &thread).await.unwrap();
                }
                if n % 400 == 0 {
                    log.erase_tenant(thread.tenant()).await.unwrap();
                }
                drop(open(&log, &path("t_a/prod", n % 50)));
            }
        })
    });
    for publisher in publishers.collect::<Vec<_>>() {
        publisher.await.unwrap();
    }
    recount(&log);
    assert_eq!(resume(&log, &theirs, cursor), (vec![2], false));
    // The last publisher may have skipped this, because another one held the lock.
    make_room(&log.0, Resource::Bytes, log.0.clock.now());
    assert!(log.0.bytes.used() <= 60_000 * 9 / 8);
    log.erase_tenant(theirs.tenant()).await.unwrap();
    log.erase_tenant(path("t_a/prod", 0).tenant()).await.unwrap();
    recount(&log);
    assert_eq!((log.0.bytes.used(), log.0.threads.used()), (0, 0));
}
