//! The state of a key set, and the decisions when to fetch. This module does no I/O.

#[cfg(test)]
#[cfg(any(feature = "aws-lc-rs", feature = "rust-crypto"))]
mod tests;

use crate::auth::jwt::ready_key::ReadyKey;
use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// The most unknown `kid`s that the state remembers.
const MAX_MISSING: usize = 256;
/// The pause after the first failed fetch. Each further failure doubles it, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// Keys are fetched again at this age.
    pub(super) refresh_after: Duration,
    /// Older keys are not used any more.
    pub(super) stale_for: Duration,
    /// The pause after a fetch for an unknown `kid` that found no such key. During it, no unknown `kid`
    /// causes a fetch.
    pub(super) cooldown: Duration,
    /// How long one fetch may take.
    pub(super) timeout: Duration,
}

/// The keys of one document.
#[derive(Clone, Debug)]
pub(in crate::auth::jwt) struct Held {
    pub(in crate::auth::jwt) keys: Arc<[ReadyKey]>,
    /// The number of the document. It grows when the document changes.
    pub(in crate::auth::jwt) generation: u64,
}

#[derive(Clone, Debug)]
pub(super) struct State {
    times: Times,
    held: Option<(Held, SystemTime)>,
    document: String,
    generation: u64,
    /// Whether a fetch runs or was requested.
    running: bool,
    /// How many fetches have begun.
    attempt: u64,
    /// Whether the task has begun the current fetch.
    taken_up: bool,
    /// The time by which the task must have reported. After this time, the task may be lost.
    expected: SystemTime,
    /// Whether the task was late once. This is not enough to call it lost, because somebody may have changed
    /// the clock.
    late: bool,
    failures: u32,
    last_error: Option<String>,
    due: SystemTime,
    cooldown_until: Option<SystemTime>,
    missing: VecDeque<(String, SystemTime)>,
}

/// What to do with a token whose key is not in the set.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Miss {
    /// Refuse the token: the issuer has no such key.
    Refused,
    /// Wait for the current fetch, which may find the key.
    Wait,
    /// Wake the task, and wait for its fetch.
    Fetch,
    /// The set cannot decide, because the source fails. The next fetch begins after this time.
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

    /// The keys, unless they are too old.
    pub(super) fn held(&self, now: SystemTime) -> Option<&Held> {
        let (held, fetched_at) = self.held.as_ref()?;
        // If somebody has set the clock back, the age is zero.
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

    /// The time until the next fetch.
    pub(super) fn due_in(&self, now: SystemTime) -> Duration {
        let left = self.due.duration_since(now).unwrap_or_default();
        left.min(self.times.refresh_after.max(LONGEST_PAUSE))
    }

    /// Records that a fetch begins.
    pub(super) fn begin(&mut self, now: SystemTime) {
        self.running = true;
        self.taken_up = false;
        self.attempt += 1;
        self.expect_after(Duration::ZERO, now);
    }

    /// Whether the task has to fetch now, because a token needs it or the keys are old.
    pub(super) fn is_to_fetch(&mut self, now: SystemTime) -> bool {
        if !self.running && self.due_in(now).is_zero() {
            self.begin(now);
        }
        self.running
    }

    /// Records that the task has begun the current fetch.
    pub(super) fn take_up(&mut self) {
        self.taken_up = true;
    }

    /// The number of the current or last fetch.
    pub(super) fn attempt(&self) -> u64 {
        self.attempt
    }

    /// Records that a fetch took too long. Returns `true` if the task has not even begun the fetch: then the
    /// task is lost.
    pub(super) fn give_up(&mut self, attempt: u64, error: String, now: SystemTime) -> bool {
        if !self.running || self.attempt != attempt {
            return false;
        }
        let is_lost = !self.taken_up;
        self.fail(error, now);
        is_lost
    }

    /// Whether the task should have reported before now.
    pub(super) fn is_overdue(&self, now: SystemTime) -> bool {
        now > self.expected
    }

    /// Whether the task was late twice. If it was late only once, somebody may have changed the clock.
    pub(super) fn is_lost(&mut self, now: SystemTime) -> bool {
        if !self.is_overdue(now) || self.late {
            return self.is_overdue(now);
        }
        self.expect_after(Duration::ZERO, now);
        self.late = true;
        false
    }

    /// Records that the task was lost and that a new task begins.
    pub(super) fn begin_anew(&mut self, error: String, now: SystemTime) {
        self.last_error = Some(error);
        self.begin(now);
    }

    /// Records that the task was lost and that no new task can begin.
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

    /// Decides about a token whose key is not in the set.
    pub(super) fn miss(&mut self, kid: Option<&str>, now: SystemTime) -> Miss {
        if self.running {
            return Miss::Wait;
        }
        let due_in = self.due_in(now);
        if self.failures > 0 && !due_in.is_zero() {
            return Miss::Unavailable(due_in);
        }
        // This fetch is needed anyway, because the last one failed or there are no usable keys. So no
        // cooldown begins.
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

    /// Decides about a token whose key is still missing after a fetch.
    pub(super) fn missed(&mut self, kid: Option<&str>, now: SystemTime) -> Miss {
        // If the last fetch failed or there are no usable keys, nobody can know whether the issuer has this
        // key.
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

    /// Records that a fetch found the key. So the fetch was useful, and the cooldown ends.
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
        // `give_up` may have recorded this failure already.
        if !std::mem::take(&mut self.running) {
            return;
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(6)).min(LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        self.due = now.checked_add(pause).unwrap_or(now);
        self.expect_after(pause, now);
    }
}

/// Whether `until` is in the future, but no further away than `at_most`. If it is further away, somebody has
/// set the clock back.
fn lies_ahead(until: SystemTime, now: SystemTime, at_most: Duration) -> bool {
    until.duration_since(now).is_ok_and(|left| !left.is_zero() && left <= at_most)
}
