//! What the log keeps, and who makes room for others.

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
    assert_eq!(seqs(&mut subscribe(&log, "th", first)), [2], "nothing after it was lost");
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
    assert_eq!(seqs(&mut watched), [1], "its thread was in use");
    // One thread that is being read may not take more than the whole log either.
    for _ in 0..200 {
        publish(&log, "watched", &"x".repeat(200)).unwrap();
    }
    assert!(log.0.bytes.used() <= 20_000);
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
fn what_one_tenant_posts_takes_nothing_of_another_or_of_its_other_env() {
    let log = MemoryLog::builder().max_total_bytes(100_000).build();
    // Some are being read, and some are not; one is in the other env of the tenant that posts.
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
fn how_many_threads_one_tenant_makes_takes_no_thread_of_another() {
    let log = MemoryLog::builder().max_threads(100).build();
    let theirs: Vec<_> = (0..50)
        .map(|thread| path("t_b/prod", thread))
        .map(|thread| (post(&log, &thread, 1), thread))
        .collect();
    for i in 0..1000 {
        post(&log, &path("t_a/prod", i), 1);
        assert!(log.0.threads.used() <= 112, "an eighth more at most");
    }
    for (cursor, thread) in &theirs {
        assert_eq!(resume(&log, thread, *cursor), (vec![], false), "{}", thread.to_path());
    }
    recount(&log);
}

#[test]
fn the_threads_that_were_written_longest_ago_give_first_wherever_they_lie() {
    let clock = ManualClock::at(1000);
    let log = MemoryLog::builder().max_threads(80).clock(clock.shared()).build();
    let threads: Vec<_> = (0..81).map(|thread| path("t_a/prod", thread)).collect();
    let mut cursors = Vec::new();
    for thread in &threads {
        clock.advance(Duration::from_millis(1));
        cursors.push(post(&log, thread, 1));
    }
    // One too many made a look, which left seven eighths. To look for a thread that is gone makes it
    // anew, so these come last.
    for (i, (thread, cursor)) in threads.iter().zip(cursors).enumerate().rev() {
        assert_eq!(resume(&log, thread, cursor).1, i < 11, "{i}");
    }
}

#[test]
fn where_all_else_is_equal_it_is_not_always_the_same_thread_that_gives() {
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
fn the_largest_of_the_threads_that_are_read_gives_its_older_half() {
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
fn limits_of_nothing_and_more_accounts_than_the_limit_are_kept_to() {
    for limit in [0, 1, 7] {
        let log = MemoryLog::builder().max_total_bytes(limit).max_threads(limit).build();
        let watched = open(&log, &path("t_w/prod", 0));
        for i in 0..200 {
            let thread = path(&format!("t_{i}/prod"), 0);
            let cursor = post(&log, &thread, 10);
            assert_eq!(cursor.seq(), 1);
            assert!(log.0.bytes.used() <= limit);
            assert!(log.0.threads.used() <= limit + 2, "one is read, and one was written just now");
        }
        recount(&log);
        assert!(!watched.is_erased(), "it was read, so it was not let go of");
    }
    // One event a tenant, and more tenants than fit: the newest stay, and not only one of them.
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
fn an_event_larger_than_the_share_costs_only_its_own_tenant() {
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
fn what_is_too_old_makes_room_before_anybody_has_to_give() {
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
    assert!(held > 10_000 && log.0.bytes.used() < 20_000, "more than half of the limit");
    assert_eq!(resume(&log, &thread, Cursor::new(epoch, 0)), (posted, false));
}

#[test]
fn threads_that_were_being_read_make_room_once_they_are_not() {
    let clock = ManualClock::at(1000);
    let log = MemoryLog::builder().max_threads(8).clock(clock.shared()).build();
    let readers: Vec<_> = (0..40).map(|i| open(&log, &path("t_a/prod", i))).collect();
    assert_eq!(log.0.threads.used(), 40, "readers are never cut off");
    drop(readers);
    clock.advance(Duration::from_secs(1));
    post(&log, &path("t_a/prod", 99), 1);
    assert!(log.0.threads.used() <= 8);
    recount(&log);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_publishers_at_once_keep_the_counts_and_hurt_nobody_else() {
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
    // Whoever came last may have left the look to another, who had looked by then.
    make_room(&log.0, Resource::Bytes, log.0.clock.now());
    assert!(log.0.bytes.used() <= 60_000 * 9 / 8);
    log.erase_tenant(theirs.tenant()).await.unwrap();
    log.erase_tenant(path("t_a/prod", 0).tenant()).await.unwrap();
    recount(&log);
    assert_eq!((log.0.bytes.used(), log.0.threads.used()), (0, 0));
}
