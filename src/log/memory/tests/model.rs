//! Compares the log with a model that never makes room.

use super::{
    super::{MemoryLog, ring},
    support::{Reading, path, read, recount, resume},
};
use crate::{
    event::{Cursor, Epoch, LastEventId},
    log::{EventLog as _, Publisher, erase_thread},
    scope::TenantScope,
    testing::{
        ManualClock,
        fixtures::{self as scopes, grant},
    },
};
use futures_util::FutureExt as _;
use proptest::{
    collection::vec,
    prelude::{Just, Strategy},
    prop_assert, prop_assert_eq, prop_oneof, proptest,
    sample::select,
};
use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

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

/// What the log keeps of one thread if it never makes room.
struct Kept {
    epoch: Epoch,
    head: u64,
    /// The size and time of each event. The newest is the last.
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
    #[test]
    fn an_owner_that_never_exceeded_its_share_loses_nothing(
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
        // The owners that were above their share at some time. They may have lost events.
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
                    let (extent, _) = log.open_now(to.key()).unwrap();
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
                    erase_thread(&log, &gone).now_or_never().unwrap().unwrap();
                    kept.remove(&(owner, thread));
                }
                Step::EraseTenant(owner) => {
                    let tenant = path(OWNERS[owner], 0).tenant().clone();
                    log.erase_tenant(&tenant).now_or_never().unwrap().unwrap();
                    kept.retain(|(owner, _), _| path(OWNERS[*owner], 0).tenant() != &tenant);
                }
            }
            // Find who was above its share after the step, but before the log made room.
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
                shard.0.read().values().filter(|thread| Arc::strong_count(thread) > 1).count()
            }).sum();
            most_in_use = in_use.max(most_in_use);
            // 1 for the thread that was just written.
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
