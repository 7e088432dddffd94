//! What the log in memory promises.

use super::{
    MemoryLog, MemoryLogBuilder, MemoryReader, account::Resource, lock, read as locked, ring,
};
use crate::{
    delivery::{Delivery, Gap, GapReason, Item},
    ending::Ending,
    event::{Cursor, Epoch, LastEventId, Routing},
    log::{EventLog as _, LogError, LogReader as _, OnGap, PublishError, Publisher, Subscription},
    scope::TenantScope,
    testing::{
        ManualClock,
        fixtures::{self as scopes, grant, routing, scope},
    },
};
use futures_util::{FutureExt as _, StreamExt as _};
use proptest::{
    collection::vec,
    prelude::{Just, Strategy},
    prop_assert, prop_assert_eq, prop_oneof, proptest,
    sample::select,
};
use std::{
    collections::{HashMap, HashSet, VecDeque},
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

/// Counters are what they count, and no account is left without a thread.
fn recount(log: &MemoryLog) {
    let mut counted = HashMap::new();
    for shard in &log.0.shards {
        for (key, thread) in &*locked(&shard.0) {
            let ring = lock(&thread.ring);
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

fn path(owner: &str, thread: usize) -> Routing {
    format!("{owner}/th-{thread}").parse().unwrap()
}

fn post(log: &MemoryLog, to: &Routing, length: usize) -> Cursor {
    let publisher = Publisher::without_proof(log.clone(), to.clone());
    let text = "x".repeat(length);
    let event = publisher.publish("x", &text).now_or_never().expect("memory does not wait");
    event.unwrap().cursor().unwrap()
}

/// What a reader of the thread gets after `cursor`: numbers, and whether there was a gap.
fn resume(log: &MemoryLog, thread: &Routing, cursor: Cursor) -> (Vec<u64>, bool) {
    let mut reader = log.reader(thread.key());
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(Ok(extent)) = reader.poll_extent(&mut cx) else { panic!("memory answers") };
    let (oldest, head) = (extent.earliest().seq(), extent.head().seq());
    let gap = cursor.epoch() != extent.epoch || cursor.seq() < oldest || cursor.seq() > head;
    let mut into = VecDeque::new();
    if !gap && cursor != extent.head() {
        assert!(reader.poll_read(&mut cx, cursor, usize::MAX, &mut into).is_ready());
    }
    (into.iter().map(|event| event.cursor().unwrap().seq()).collect(), gap)
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
    let readers: Vec<_> =
        first.iter().step_by(3).map(|(_, thread)| log.reader(thread.key())).collect();
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
    let _readers = [log.reader(small.key()), log.reader(large.key())];
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
    let kept = lock(&thread.ring).extent();
    assert!(kept.oldest > sent / 2 && kept.next - kept.oldest > sent / 3, "{kept:?} of {sent}");
}

#[test]
fn limits_of_nothing_and_more_accounts_than_the_limit_are_kept_to() {
    for limit in [0, 1, 7] {
        let log = MemoryLog::builder().max_total_bytes(limit).max_threads(limit).build();
        let mut watched = log.reader(path("t_w/prod", 0).key());
        for i in 0..200 {
            let thread = path(&format!("t_{i}/prod"), 0);
            let cursor = post(&log, &thread, 10);
            assert_eq!(cursor.seq(), 1);
            assert!(log.0.bytes.used() <= limit);
            assert!(log.0.threads.used() <= limit + 2, "one is read, and one was written just now");
        }
        recount(&log);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(watched.poll_extent(&mut cx).is_ready(), "it was read, so it was not let go of");
        assert!(!watched.is_erased());
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
    let held = lock(&log.thread(thread.key()).ring).bytes;
    assert!(held > 10_000 && log.0.bytes.used() < 20_000, "more than half of the limit");
    assert_eq!(resume(&log, &thread, Cursor::new(epoch, 0)), (posted, false));
}

#[test]
fn threads_that_were_being_read_make_room_once_they_are_not() {
    let clock = ManualClock::at(1000);
    let log = MemoryLog::builder().max_threads(8).clock(clock.shared()).build();
    let readers: Vec<_> = (0..40).map(|i| log.reader(path("t_a/prod", i).key())).collect();
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
                    log.erase_thread(&thread).await.unwrap();
                }
                if n % 400 == 0 {
                    log.erase_tenant(thread.tenant()).await.unwrap();
                }
                drop(log.reader(path("t_a/prod", n % 50).key()));
            }
        })
    });
    for publisher in publishers.collect::<Vec<_>>() {
        publisher.await.unwrap();
    }
    recount(&log);
    assert_eq!(resume(&log, &theirs, cursor), (vec![2], false));
    // Whoever came last may have left the look to another, who had looked by then.
    log.make_room(Resource::Bytes, log.0.clock.now());
    assert!(log.0.bytes.used() <= 60_000 * 9 / 8);
    log.erase_tenant(theirs.tenant()).await.unwrap();
    log.erase_tenant(path("t_a/prod", 0).tenant()).await.unwrap();
    recount(&log);
    assert_eq!((log.0.bytes.used(), log.0.threads.used()), (0, 0));
}

#[derive(Clone, Debug)]
enum Step {
    Post { owner: usize, thread: usize, length: usize },
    Read { owner: usize, thread: usize },
    Leave,
    Wait(u64),
    EraseThread { owner: usize, thread: usize },
    EraseTenant(usize),
}

const OWNERS: [&str; 5] = ["t_a/prod", "t_a/dev", "t_b/prod", "t_c/prod", "t_d/prod"];

fn step() -> impl Strategy<Value = Step> {
    // One owner is much busier than the others.
    let owner = || prop_oneof![3 => Just(0), 2 => 0..OWNERS.len()];
    let length = prop_oneof![6 => 0..200_usize, 1 => 0..2500_usize];
    prop_oneof![
        20 => (owner(), 0..12_usize, length)
            .prop_map(|(owner, thread, length)| Step::Post { owner, thread, length }),
        4 => (owner(), 0..12_usize).prop_map(|(owner, thread)| Step::Read { owner, thread }),
        2 => Just(Step::Leave),
        2 => (0..40_u64).prop_map(Step::Wait),
        1 => (owner(), 0..12_usize).prop_map(|(owner, thread)| Step::EraseThread { owner, thread }),
        1 => (0..OWNERS.len()).prop_map(Step::EraseTenant),
    ]
}

/// One thread, as it is kept if nobody has to make room.
struct Kept {
    epoch: Epoch,
    head: u64,
    /// Size and time of each event, the newest last.
    events: VecDeque<(usize, u64)>,
}

impl Kept {
    fn bytes(&self) -> usize {
        self.events.iter().map(|(size, _)| size).sum()
    }

    fn trim(&mut self, now: u64) {
        while self.events.len() > 8
            || self.bytes() > 3000
            || self.events.front().is_some_and(|(_, at)| now - at > 100)
        {
            self.events.pop_front();
        }
    }
}

proptest! {
    /// Against a model in which nobody makes room.
    #[test]
    fn who_never_held_more_than_its_share_lost_nothing(
        total_bytes in prop_oneof![select(vec![0, 1, 500]), 1000..20_000_usize],
        max_threads in prop_oneof![select(vec![0, 1, 2]), 3..40_usize],
        steps in vec(step(), 1..150),
    ) {
        let clock = ManualClock::at(1000);
        let log = MemoryLog::builder()
            .max_events(8)
            .max_bytes(3000)
            .max_age(Duration::from_secs(100))
            .max_total_bytes(total_bytes)
            .max_threads(max_threads)
            .clock(clock.shared())
            .build();
        let mut now = 1000;
        let mut kept: HashMap<(usize, usize), Kept> = HashMap::new();
        // Whoever was above its share at any time: it may have lost something.
        let mut above = HashSet::new();
        let mut readers: VecDeque<(usize, Reading)> = VecDeque::new();
        let mut most_in_use = 0;
        for step in steps {
            let before = log.0.accounts.snapshot();
            let mut comes = None;
            match step {
                Step::Post { owner, thread, length } => {
                    let to = path(OWNERS[owner], thread);
                    let publisher = Publisher::without_proof(log.clone(), to);
                    let text = "x".repeat(length);
                    let event = publisher.publish("x", &text).now_or_never().unwrap().unwrap();
                    let cursor = event.cursor().unwrap();
                    let new = || Kept { epoch: cursor.epoch(), head: 0, events: VecDeque::new() };
                    let kept = kept.entry((owner, thread)).or_insert_with(new);
                    kept.events.push_back((ring::size(&event), now));
                    kept.head += 1;
                    kept.trim(now);
                    if !above.contains(&owner) {
                        comes = Some((owner, thread, cursor));
                    }
                }
                Step::Read { owner, thread } => {
                    let to = path(OWNERS[owner], thread);
                    let (tenant, env) = (to.tenant().as_str(), to.env().as_str());
                    let scope = TenantScope::agree(&scopes::request(tenant, env), &scopes::auth(&[tenant], &[env])).unwrap();
                    let grant = grant(scope, to.thread().as_str());
                    let reading = grant.subscribe(&log, LastEventId::Live).now_or_never().unwrap();
                    let mut reading = reading.unwrap();
                    read(&mut reading);
                    readers.push_back((owner, reading));
                    let Poll::Ready(Ok(extent)) = log
                        .reader(to.key())
                        .poll_extent(&mut Context::from_waker(Waker::noop()))
                    else {
                        panic!("memory answers")
                    };
                    let new = || Kept { epoch: extent.epoch, head: 0, events: VecDeque::new() };
                    kept.entry((owner, thread)).or_insert_with(new);
                }
                Step::Leave => drop(readers.pop_front()),
                Step::Wait(seconds) => {
                    now += seconds;
                    clock.advance(Duration::from_secs(seconds));
                    kept.values_mut().for_each(|kept| kept.trim(now));
                }
                Step::EraseThread { owner, thread } => {
                    let gone = path(OWNERS[owner], thread);
                    log.erase_thread(&gone).now_or_never().unwrap().unwrap();
                    kept.remove(&(owner, thread));
                }
                Step::EraseTenant(owner) => {
                    let tenant = path(OWNERS[owner], 0).tenant().clone();
                    log.erase_tenant(&tenant).now_or_never().unwrap().unwrap();
                    kept.retain(|(owner, _), _| path(OWNERS[*owner], 0).tenant() != &tenant);
                }
            }
            // Who was above its share, counted as when the step had been done and room was not yet made.
            let using = |by: fn(&(usize, usize)) -> usize, own: &dyn Fn(usize) -> usize| {
                let held = |owner: usize| {
                    let at = path(OWNERS[owner], 0);
                    let key = (at.tenant().clone(), at.env().clone());
                    before.get(&key).is_some_and(|held| by(held) > 0) || own(owner) > 0
                };
                (0..OWNERS.len()).filter(|owner| held(*owner)).count()
            };
            let bytes_of = |owner: usize| -> usize {
                kept.iter().filter(|((of, _), _)| *of == owner).map(|(_, kept)| kept.bytes()).sum()
            };
            let threads_of = |owner: usize| kept.keys().filter(|(of, _)| *of == owner).count();
            let (by_bytes, by_threads) =
                (using(|held| held.0, &bytes_of), using(|held| held.1, &threads_of));
            for owner in 0..OWNERS.len() {
                if bytes_of(owner) * by_bytes > total_bytes
                    || threads_of(owner) * by_threads > max_threads
                {
                    above.insert(owner);
                }
            }
            if let Some((owner, thread, cursor)) = comes {
                let head = Cursor::new(kept[&(owner, thread)].epoch, kept[&(owner, thread)].head);
                prop_assert!(above.contains(&owner) || cursor == head);
            }
            recount(&log);
            prop_assert!(log.0.bytes.used() <= total_bytes + total_bytes / 8);
            let in_use: usize = log.0.shards.iter().map(|shard| {
                locked(&shard.0).values().filter(|thread| Arc::strong_count(thread) > 1).count()
            }).sum();
            most_in_use = in_use.max(most_in_use);
            // And the one that was written just now.
            let most = max_threads + most_in_use + 1;
            prop_assert!(log.0.threads.used() <= most + most / 8);
            for (owner, reading) in &mut readers {
                let (_, gaps) = read(reading);
                prop_assert!(gaps.is_empty() || above.contains(owner));
            }
        }
        for ((owner, thread), kept) in &kept {
            if above.contains(owner) {
                continue;
            }
            let oldest = kept.head - kept.events.len() as u64;
            for seq in oldest..=kept.head {
                let served =
                    resume(&log, &path(OWNERS[*owner], *thread), Cursor::new(kept.epoch, seq));
                prop_assert_eq!(served, ((seq + 1..=kept.head).collect::<Vec<_>>(), false));
            }
        }
    }
}

fn erase(log: &MemoryLog, thread: &Routing) {
    log.erase_thread(thread).now_or_never().expect("memory does not wait").unwrap();
}

/// The last word of a reader of an erased thread.
fn is_told(reading: &mut Reading) -> bool {
    let told = reading.next().now_or_never();
    let told = matches!(told, Some(Some(Ok(Delivery(Item::End(Ending::AccessRevoked))))));
    told && matches!(reading.next().now_or_never(), Some(None))
}

#[test]
fn an_erased_thread_begins_anew_and_no_reader_goes_on() {
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
    let mut late = log.reader(thread.key());

    erase(&log, &thread);
    assert_eq!((log.0.bytes.used(), log.0.threads.used()), (0, 0));
    recount(&log);
    assert!(task.0.load(Ordering::Relaxed), "who waits is woken");
    for reading in [&mut unread, &mut missing, &mut midway, &mut waits] {
        assert!(is_told(reading));
    }
    let mut cx = Context::from_waker(Waker::noop());
    assert!(late.is_erased());
    assert!(matches!(late.poll_extent(&mut cx), Poll::Ready(Err(LogError::Erased))));
    let read = late.poll_read(&mut cx, old, 1, &mut VecDeque::new());
    assert!(matches!(read, Poll::Ready(Err(LogError::Erased))));

    // The next owner of the id sees its own, and the old cursor is of nothing.
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
fn only_what_was_named_is_erased() {
    let log = Arc::new(MemoryLog::new());
    let all = ["t_a/prod/th-1", "t_a/prod/th-2", "t_a/dev/th-1", "t_b/prod/th-1"];
    let threads: [Routing; 4] = all.map(|thread| thread.parse().unwrap());
    let cursors = threads.each_ref().map(|thread| post(&log, thread, 1));
    let kept = |log: &MemoryLog| {
        let pairs = threads.iter().zip(cursors);
        pairs.map(|(thread, cursor)| !resume(log, thread, cursor).1).collect::<Vec<_>>()
    };
    log.erase_thread(&threads[0]).now_or_never().unwrap().unwrap();
    assert_eq!(kept(&log), [false, true, true, true]);
    log.erase_tenant(threads[0].tenant()).now_or_never().unwrap().unwrap();
    assert_eq!(kept(&log), [false, false, false, true]);
    recount(&log);
}

#[test]
fn to_erase_a_thread_that_was_never_written_is_fine() {
    let log = MemoryLog::new();
    erase(&log, &routing("t_a", "th"));
    let mut reading = subscribe(&log, "th", LastEventId::Live);
    erase(&log, &routing("t_a", "th"));
    assert!(is_told(&mut reading));
    recount(&log);
}

#[test]
fn an_erased_thread_is_refused_like_one_that_never_was() {
    let refused = crate::Rejection::from(LogError::Erased);
    let unknown = crate::Rejection::new(crate::RejectionKind::ThreadForbidden);
    assert_eq!(refused.to_string(), unknown.to_string());
    assert_eq!((refused.code(), refused.status()), (unknown.code(), unknown.status()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_publishes_while_a_thread_is_erased_is_read_or_erased_and_never_lost() {
    let log = MemoryLog::builder().max_events(usize::MAX).max_bytes(usize::MAX).build();
    let thread = path("t_a/prod", 0);
    let done = Arc::new(AtomicBool::new(false));
    let erasing = tokio::spawn({
        let (log, thread, done) = (log.clone(), thread.clone(), Arc::clone(&done));
        async move {
            while !done.load(Ordering::Relaxed) {
                log.erase_thread(&thread).await.unwrap();
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
    // Nobody erases any more: what is told now is there.
    let last = post(&log, &thread, 1);
    let (seqs, gap) = resume(&log, &thread, Cursor::new(last.epoch(), 0));
    assert!(!gap);
    assert_eq!(seqs, (1..=last.seq()).collect::<Vec<_>>());
    recount(&log);
}
