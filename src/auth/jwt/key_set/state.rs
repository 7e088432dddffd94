//! What a key set knows and when it looks again: plain decisions over plain values.

use crate::auth::jwt::ready_key::ReadyKey;
use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// Most names of keys that are remembered as missing.
const MAX_MISSING: usize = 256;
/// The first pause after a fetch that failed; each one more doubles it, up to the second.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// Keys of this age are fetched anew.
    pub(super) refresh_after: Duration,
    /// Keys of this age are not used any more.
    pub(super) stale_for: Duration,
    /// How long nobody looks for an unknown key after somebody did in vain.
    pub(super) cooldown: Duration,
    /// How long a fetch may take.
    pub(super) timeout: Duration,
}

/// The keys of one document.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) keys: Arc<[ReadyKey]>,
    /// One more with each document that differs from the one before.
    pub(crate) generation: u64,
}

#[derive(Clone, Debug)]
pub(super) struct State {
    times: Times,
    held: Option<(Held, SystemTime)>,
    document: String,
    generation: u64,
    /// A fetch runs, or was asked for.
    running: bool,
    /// How many began.
    attempt: u64,
    /// The task knows of the one that runs.
    taken_up: bool,
    /// When the task has said something at the latest, unless it is lost.
    expected: SystemTime,
    /// It was late once. The clock may have been moved, so that alone tells nothing.
    late: bool,
    failures: u32,
    last_error: Option<String>,
    due: SystemTime,
    cooldown_until: Option<SystemTime>,
    missing: VecDeque<(String, SystemTime)>,
}

/// What is to be done about a key that is not held.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Miss {
    /// There is no such key.
    Refused,
    /// A fetch runs that may bring it.
    Wait,
    /// As before, once somebody is told to fetch.
    Fetch,
    /// It cannot be told: the source fails. Somebody looks again after this time.
    Unavailable(Duration),
}

impl State {
    pub(super) fn new(times: Times, now: SystemTime) -> Self {
        let mut state = Self {
            times,
            held: None,
            document: String::new(),
            generation: 0,
            running: false,
            attempt: 0,
            taken_up: false,
            expected: now,
            late: false,
            failures: 0,
            last_error: None,
            due: now,
            cooldown_until: None,
            missing: VecDeque::new(),
        };
        state.begin(now);
        state
    }

    /// The keys, unless they are too old to be trusted.
    pub(super) fn held(&self, now: SystemTime) -> Option<&Held> {
        let (held, fetched_at) = self.held.as_ref()?;
        // A clock that was set back makes no key older.
        let age = now.duration_since(*fetched_at).unwrap_or_default();
        (age <= self.times.stale_for).then_some(held)
    }

    pub(super) fn age(&self, now: SystemTime) -> Option<Duration> {
        let (_, fetched_at) = self.held.as_ref()?;
        Some(now.duration_since(*fetched_at).unwrap_or_default())
    }

    pub(super) fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    /// How long until somebody has to look.
    pub(super) fn due_in(&self, now: SystemTime) -> Duration {
        let left = self.due.duration_since(now).unwrap_or_default();
        left.min(self.times.refresh_after.max(LONGEST_PAUSE))
    }

    /// A fetch begins.
    pub(super) fn begin(&mut self, now: SystemTime) {
        self.running = true;
        self.taken_up = false;
        self.attempt += 1;
        self.expect_after(Duration::ZERO, now);
    }

    /// Whether the task has to fetch now: somebody asked for it, or it is time.
    pub(super) fn is_to_fetch(&mut self, now: SystemTime) -> bool {
        if !self.running && self.due_in(now).is_zero() {
            self.begin(now);
        }
        self.running
    }

    /// The task fetches.
    pub(super) fn take_up(&mut self) {
        self.taken_up = true;
    }

    /// Which fetch runs, or ran last.
    pub(super) fn attempt(&self) -> u64 {
        self.attempt
    }

    /// Somebody waited for this fetch for as long as one may take. Says whether the task that should
    /// have made it is lost: it did not even begin.
    pub(super) fn give_up(&mut self, attempt: u64, error: String, now: SystemTime) -> bool {
        if !self.running || self.attempt != attempt {
            return false;
        }
        let is_lost = !self.taken_up;
        self.fail(error, now);
        is_lost
    }

    /// Whether nothing was heard from the task for longer than can be.
    pub(super) fn is_overdue(&self, now: SystemTime) -> bool {
        now > self.expected
    }

    /// Whether that is so for the second time, and not because the clock was moved.
    pub(super) fn is_lost(&mut self, now: SystemTime) -> bool {
        if !self.is_overdue(now) || self.late {
            return self.is_overdue(now);
        }
        self.expect_after(Duration::ZERO, now);
        self.late = true;
        false
    }

    /// The task is lost, and another one begins.
    pub(super) fn begin_anew(&mut self, error: String, now: SystemTime) {
        self.last_error = Some(error);
        self.begin(now);
    }

    /// The task is lost, and there is nowhere to begin another one.
    pub(super) fn lose(&mut self, error: String, now: SystemTime) {
        self.running = false;
        self.failures = self.failures.max(1);
        self.last_error = Some(error);
        self.due = now.checked_add(FIRST_PAUSE).unwrap_or(now);
        self.expect_after(FIRST_PAUSE, now);
    }

    fn expect_after(&mut self, pause: Duration, now: SystemTime) {
        let longest = pause.saturating_add(self.times.timeout.saturating_mul(2));
        self.expected = now.checked_add(longest).or(now.checked_add(LONGEST_PAUSE)).unwrap_or(now);
        self.late = false;
    }

    /// A token names a key that is not held.
    pub(super) fn miss(&mut self, kid: Option<&str>, now: SystemTime) -> Miss {
        if self.running {
            return Miss::Wait;
        }
        let due_in = self.due_in(now);
        if self.failures > 0 && !due_in.is_zero() {
            return Miss::Unavailable(due_in);
        }
        // Once the pause is over, and while no key may be used, it is not this name that is asked for.
        if self.failures > 0 || self.held(now).is_none() {
            self.begin(now);
            return Miss::Fetch;
        }
        let missing_for = self.missing_for();
        let known = |(name, until): &(String, SystemTime)| {
            Some(name.as_str()) == kid && lies_ahead(*until, now, missing_for)
        };
        let cooldown = self.times.cooldown;
        if self.missing.iter().any(known)
            || self.cooldown_until.is_some_and(|until| lies_ahead(until, now, cooldown))
        {
            return Miss::Refused;
        }
        self.begin(now);
        self.cooldown_until = now.checked_add(cooldown);
        Miss::Fetch
    }

    /// The key is not there after a fetch, either.
    pub(super) fn missed(&mut self, kid: Option<&str>, now: SystemTime) -> Miss {
        // Without a key that may be used, nobody can tell what the issuer signed.
        if self.failures > 0 || self.held(now).is_none() {
            return Miss::Unavailable(self.due_in(now));
        }
        if let (Some(kid), Some(until)) = (kid, now.checked_add(self.missing_for())) {
            self.missing.retain(|(name, _)| name != kid);
            self.missing.truncate(MAX_MISSING - 1);
            self.missing.push_front((kid.to_owned(), until));
        }
        Miss::Refused
    }

    /// The key was there after a fetch: it was worth while, and so may be the next one.
    pub(super) fn found(&mut self) {
        self.cooldown_until = None;
    }

    fn missing_for(&self) -> Duration {
        self.times.cooldown.saturating_mul(4)
    }

    pub(super) fn succeed(&mut self, document: String, keys: Vec<ReadyKey>, now: SystemTime) {
        self.running = false;
        self.failures = 0;
        self.last_error = None;
        if self.held.is_none() || document != self.document {
            self.generation += 1;
            self.missing.clear();
            self.document = document;
            let held = Held { keys: keys.into(), generation: self.generation };
            self.held = Some((held, now));
        } else if let Some((_, fetched_at)) = &mut self.held {
            *fetched_at = now;
        }
        self.due = now.checked_add(self.times.refresh_after).unwrap_or(now);
        self.expect_after(self.due_in(now), now);
    }

    pub(super) fn fail(&mut self, error: String, now: SystemTime) {
        self.last_error = Some(error);
        // Somebody who waited for it may have said so already.
        if !std::mem::take(&mut self.running) {
            return;
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(6)).min(LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        self.due = now.checked_add(pause).unwrap_or(now);
        self.expect_after(pause, now);
    }
}

/// Whether `until` is still to come, and not farther off than it can be: a clock may be set back.
fn lies_ahead(until: SystemTime, now: SystemTime, at_most: Duration) -> bool {
    until.duration_since(now).is_ok_and(|left| !left.is_zero() && left <= at_most)
}

#[cfg(test)]
#[cfg(any(feature = "aws-lc-rs", feature = "rust-crypto"))]
mod tests {
    use super::{Miss, State, Times};
    use crate::clock::from_unix;
    use std::time::Duration;

    const SECOND: Duration = Duration::from_secs(1);

    fn state() -> State {
        let times = Times {
            refresh_after: 300 * SECOND,
            stale_for: 86_400 * SECOND,
            cooldown: 30 * SECOND,
            timeout: 10 * SECOND,
        };
        State::new(times, from_unix(1000))
    }

    fn loaded() -> State {
        let mut state = state();
        state.succeed("one".into(), Vec::new(), from_unix(1000));
        state
    }

    #[test]
    fn a_flood_of_unknown_names_causes_one_fetch_a_cooldown() {
        let mut state = loaded();
        let mut fetches = 0;
        for second in 0..300_u64 {
            let now = from_unix(1000 + second);
            for i in 0..10 {
                let kid = format!("{second}-{i}");
                match state.miss(Some(&kid), now) {
                    Miss::Fetch => {
                        fetches += 1;
                        state.succeed("one".into(), Vec::new(), now);
                        assert_eq!(state.missed(Some(&kid), now), Miss::Refused);
                    }
                    Miss::Refused => {}
                    Miss::Wait | Miss::Unavailable(_) => panic!("nothing runs, nothing fails"),
                }
            }
        }
        assert_eq!(fetches, 10);
        assert!(state.missing.len() <= super::MAX_MISSING);
    }

    #[test]
    fn a_fetch_that_was_worth_while_starts_no_cooldown() {
        let mut state = loaded();
        for second in 0..10 {
            let now = from_unix(1000 + second);
            assert_eq!(state.miss(Some("new"), now), Miss::Fetch, "{second}");
            assert_eq!(state.miss(Some("another"), now), Miss::Wait, "one at a time");
            state.succeed(format!("{second}"), Vec::new(), now);
            state.found();
        }
    }

    #[test]
    fn a_name_that_is_missing_is_asked_for_again_only_later_or_once_the_keys_change() {
        let mut state = loaded();
        let mut now = from_unix(1000);
        assert_eq!(state.miss(Some("old"), now), Miss::Fetch);
        state.succeed("one".into(), Vec::new(), now);
        assert_eq!(state.missed(Some("old"), now), Miss::Refused);
        now += 31 * SECOND;
        assert_eq!(state.miss(Some("old"), now), Miss::Refused, "the cooldown is over");
        state.succeed("two".into(), Vec::new(), now);
        assert_eq!(state.miss(Some("old"), now), Miss::Fetch);
        state.succeed("two".into(), Vec::new(), now);
        assert_eq!(state.missed(Some("old"), now), Miss::Refused);
        assert_eq!(state.miss(Some("old"), now - 3600 * SECOND), Miss::Fetch, "set back");
    }

    #[test]
    fn while_the_source_fails_nobody_can_tell_and_pauses_grow() {
        let mut state = loaded();
        let mut now = from_unix(2000);
        let mut pauses = Vec::new();
        for _ in 0..9 {
            state.begin(now);
            state.fail("down".into(), now);
            let pause = state.due_in(now);
            assert_eq!(state.miss(Some("x"), now), Miss::Unavailable(pause));
            assert_eq!(state.missed(Some("x"), now), Miss::Unavailable(pause));
            pauses.push(pause.as_secs());
            now += pause;
            assert!(state.clone().is_to_fetch(now) && !state.clone().is_to_fetch(now - SECOND));
            let mut later = state.clone();
            assert_eq!(later.miss(Some("x"), now), Miss::Fetch, "the pause is over");
            assert_eq!(later.miss(Some("y"), now), Miss::Wait, "one fetch at a time");
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert!(state.held(from_unix(2000)).is_some(), "what is held is kept");
        state.succeed("one".into(), Vec::new(), now);
        assert_eq!((state.due_in(now), state.last_error()), (300 * SECOND, None));
    }

    #[test]
    fn keys_are_kept_up_to_a_bound_and_a_clock_that_is_set_back_makes_none_older() {
        let mut state = loaded();
        state.fail("down".into(), from_unix(1300));
        assert!(state.held(from_unix(1000 + 86_400)).is_some());
        assert!(state.held(from_unix(1001 + 86_400)).is_none());
        assert!(state.held(from_unix(1)).is_some());
        assert_eq!(state.age(from_unix(1060)), Some(60 * SECOND));
    }

    #[test]
    fn without_a_key_that_may_be_used_no_token_is_called_bad() {
        let mut state = loaded();
        let now = from_unix(1000 + 86_401);
        assert_eq!(state.missed(Some("x"), now), Miss::Unavailable(super::Duration::ZERO));
        assert_eq!(state.miss(Some("x"), now), Miss::Fetch, "whatever was missing before");
        state.succeed("one".into(), Vec::new(), now);
        assert_eq!(state.missed(Some("x"), now), Miss::Refused);
    }

    #[test]
    fn a_fetch_that_was_given_up_failed_once_whoever_says_so() {
        let mut state = loaded();
        let now = from_unix(1300);
        state.begin(now);
        state.take_up();
        let attempt = state.attempt();
        assert!(!state.give_up(attempt - 1, "another".into(), now), "is over");
        assert_eq!(state.last_error(), None);
        assert!(!state.give_up(attempt, "no answer".into(), now), "the task began");
        assert!(!state.give_up(attempt, "no answer".into(), now), "and is not given up twice");
        state.fail("no answer".into(), now);
        assert_eq!((state.due_in(now), state.last_error()), (SECOND, Some("no answer")));
        state.begin(now);
        assert!(state.give_up(state.attempt(), "no answer".into(), now), "nobody took it up");
    }

    #[test]
    fn a_task_that_says_nothing_is_lost_and_a_clock_that_jumps_is_no_loss() {
        let mut state = loaded();
        assert!(!state.is_overdue(from_unix(1300 + 20)));
        let mut now = from_unix(1300 + 21);
        assert!(state.is_overdue(now) && !state.is_lost(now), "once is not enough");
        assert!(!state.is_overdue(now), "nobody asks again at once");
        now += 21 * SECOND;
        assert!(state.is_lost(now));
        state.begin_anew("lost".into(), now);
        assert_eq!(state.last_error(), Some("lost"));
        assert!(!state.is_overdue(now) && state.miss(Some("x"), now) == Miss::Wait);
        state.succeed("one".into(), Vec::new(), now);
        assert!(!state.is_overdue(now + 320 * SECOND));
        state.lose("nowhere".into(), now);
        assert_eq!(state.miss(Some("x"), now), Miss::Unavailable(SECOND));
    }

    #[test]
    fn the_generation_changes_with_the_document_only() {
        let mut state = loaded();
        let generation = |state: &State| state.held(from_unix(1000)).unwrap().generation;
        let first = generation(&state);
        state.succeed("one".into(), Vec::new(), from_unix(1300));
        assert_eq!(generation(&state), first);
        assert_eq!(state.age(from_unix(1300)), Some(Duration::ZERO), "it was looked at");
        state.succeed("two".into(), Vec::new(), from_unix(1300));
        assert_ne!(generation(&state), first);
    }
}
