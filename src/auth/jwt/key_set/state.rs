//! What a key set knows and when it looks again: plain decisions over plain values.

#[cfg(test)]
#[cfg(any(feature = "aws-lc-rs", feature = "rust-crypto"))]
mod tests;

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
pub(in crate::auth::jwt) struct Held {
    pub(in crate::auth::jwt) keys: Arc<[ReadyKey]>,
    /// One more with each document that differs from the one before.
    pub(in crate::auth::jwt) generation: u64,
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
