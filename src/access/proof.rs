//! The proof of a grant, and how a stream watches it.

use super::roster::Roster;
use crate::{
    auth::{AuthContext, revoked},
    clock::{Clock, Sleep},
    ending::Ending,
    rejection::{Rejection, RejectionKind},
};
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, SystemTime},
};

/// The longest time for which the alarm is set. When it fires, the stream reads the time of day, which
/// may have jumped.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

/// The proof of a grant: the caller's token, and the thread's members. Everything that comes from a grant
/// checks the proof again, and ends when the proof ends.
#[derive(Clone, Debug)]
pub(crate) struct Proof {
    auth: AuthContext,
    roster: Arc<Roster>,
}

impl Proof {
    pub(super) fn new(auth: AuthContext, roster: Arc<Roster>) -> Self {
        Self { auth, roster }
    }

    /// Checks that the proof holds now.
    ///
    /// # Errors
    ///
    /// `access.revoked` if the token was revoked, or if the caller may no longer use the thread;
    /// `auth.expired` if the token has expired.
    pub(crate) fn check(&self) -> Result<(), Rejection> {
        self.auth.remaining()?;
        if self.roster.admits(&self.auth) {
            Ok(())
        } else {
            Err(Rejection::new(RejectionKind::AccessRevoked)
                .with_source("the caller may no longer use the thread"))
        }
    }

    /// Watches the proof for a stream.
    pub(crate) fn watch(&self) -> ProofWatch {
        ProofWatch {
            valid_until: self.auth.valid_until(),
            clock: Arc::clone(self.auth.clock()),
            // Another version, so that the first check reads the roster.
            version: self.roster.version().wrapping_sub(1),
            proof: self.clone(),
            withdrawn: None,
            alarm: None,
        }
    }
}

/// Completes once a proof is revoked.
type Withdrawn = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

/// Watches a proof for one stream. It checks the proof before each event, and wakes the stream when the
/// proof ends.
pub(crate) struct ProofWatch {
    proof: Proof,
    /// A copy of the token's time, so that a check follows no pointer.
    valid_until: SystemTime,
    clock: Arc<dyn Clock>,
    /// The version of the roster at the last check that found the caller.
    version: u64,
    /// Wakes the stream when the proof is revoked. It is made when the stream is first idle.
    withdrawn: Option<Withdrawn>,
    /// The stream's only alarm: for the end of the token, and for a transport's heartbeat.
    alarm: Option<Alarm>,
}

struct Alarm {
    /// The time of day at which the alarm was set. If the time is now earlier, the clock was set back.
    set_at: SystemTime,
    sleep: Sleep,
}

/// The reason why a waiting stream was woken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// The proof has ended.
    ProofEnded(Ending),
    /// The alarm fired, at this time.
    AlarmFired(SystemTime),
}

impl ProofWatch {
    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The ending, if the proof has ended at this time.
    pub(crate) fn ended(&mut self, now: SystemTime) -> Option<Ending> {
        if self.proof.auth.is_revoked() || !self.is_admitted() {
            return Some(Ending::AccessRevoked);
        }
        // The clock was set back: the alarm would be late.
        if self.alarm.as_ref().is_some_and(|alarm| now < alarm.set_at) {
            self.alarm = None;
        }
        (now >= self.valid_until).then_some(Ending::AuthExpired)
    }

    /// Reads the roster only if it has changed since the last check.
    fn is_admitted(&mut self) -> bool {
        let version = self.proof.roster.version();
        if version == self.version {
            return true;
        }
        let admitted = self.proof.roster.admits(&self.proof.auth);
        if admitted {
            self.version = version;
        }
        admitted
    }

    /// Waits until the proof ends, or for the time that `idle_limit` returns. It calls `idle_limit` when
    /// it sets the alarm.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        idle_limit: impl FnOnce(SystemTime) -> Duration,
    ) -> Poll<Woken> {
        // Polled each time, because the revocation may be what woke this task.
        if self.withdrawn(cx).is_ready() {
            return Poll::Ready(Woken::ProofEnded(Ending::AccessRevoked));
        }
        let mut fired = false;
        if let Some(alarm) = &mut self.alarm {
            ready!(alarm.sleep.as_mut().poll(cx));
            fired = true;
        }
        let now = self.clock.now();
        if let Some(ending) = self.ended(now) {
            return Poll::Ready(Woken::ProofEnded(ending));
        }
        if fired {
            self.alarm = None;
            return Poll::Ready(Woken::AlarmFired(now));
        }
        let left = self.valid_until.duration_since(now).unwrap_or_default();
        let sleep = self.clock.sleep(left.min(idle_limit(now)).min(LONGEST_SLEEP));
        let alarm = self.alarm.insert(Alarm { set_at: now, sleep });
        if alarm.sleep.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.alarm = None;
        Poll::Ready(Woken::AlarmFired(now))
    }

    /// Ready once the proof is revoked.
    fn withdrawn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Proof { auth, roster } = &self.proof;
        let withdrawn = self.withdrawn.get_or_insert_with(|| {
            let closed = Arc::clone(roster).closed_to(auth.clone());
            revoked(auth.revocations(), closed)
        });
        ready!(withdrawn.as_mut().poll(cx));
        self.withdrawn = None;
        Poll::Ready(())
    }
}
