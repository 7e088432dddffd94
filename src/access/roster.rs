//! Who may use one thread, as it changes.

use super::member::Member;
use crate::auth::AuthContext;
use std::{
    collections::{HashMap, HashSet},
    fmt,
    pin::pin,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::Notify;

/// Who may use one thread. A registry changes it; each grant of the thread asks it again.
pub(super) struct Roster {
    /// Grows by one with each change. A stream compares it before each event, without a lock.
    version: AtomicU64,
    state: RwLock<State>,
    changed: Notify,
}

struct State {
    open_to: OpenTo,
    /// The registry forgot the thread: it is closed to everybody, and stays so.
    closed: bool,
}

/// To whom a thread is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum OpenTo {
    /// To everybody in its tenant and env.
    Everybody,
    /// To these members only.
    Members(Arc<MemberSet>),
}

/// Members, found by name without a walk through all of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct MemberSet {
    by_issuer: HashMap<String, HashSet<String>>,
    unique_subjects: HashSet<String>,
    roles: HashSet<String>,
}

impl FromIterator<Member> for MemberSet {
    fn from_iter<I: IntoIterator<Item = Member>>(members: I) -> Self {
        let mut set = Self::default();
        for member in members {
            match member {
                Member::SubjectOf { issuer, subject } => {
                    set.by_issuer.entry(issuer).or_default().insert(subject);
                }
                Member::UniqueSubject(subject) => {
                    set.unique_subjects.insert(subject);
                }
                Member::Role(role) => {
                    set.roles.insert(role);
                }
            }
        }
        set
    }
}

impl MemberSet {
    fn admits(&self, auth: &AuthContext) -> bool {
        let subject = auth.subject().as_str();
        let of_issuer = auth.issuer().and_then(|issuer| self.by_issuer.get(issuer));
        self.unique_subjects.contains(subject)
            || of_issuer.is_some_and(|subjects| subjects.contains(subject))
            || (!self.roles.is_empty() && auth.roles().any(|role| self.roles.contains(role)))
    }
}

impl Roster {
    pub(super) fn new(open_to: OpenTo) -> Self {
        let state = RwLock::new(State { open_to, closed: false });
        Self { version: AtomicU64::new(0), state, changed: Notify::new() }
    }

    /// Tells two states of the roster apart.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub(super) fn open_to(&self) -> OpenTo {
        self.state.read().unwrap_or_else(PoisonError::into_inner).open_to.clone()
    }

    /// Whether the thread is open to this caller now.
    pub(super) fn admits(&self, auth: &AuthContext) -> bool {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        !state.closed
            && match &state.open_to {
                OpenTo::Everybody => true,
                OpenTo::Members(members) => members.admits(auth),
            }
    }

    /// Opens the thread to others, unless it was closed. The streams of callers that it is not open
    /// to any more end. Returns whether it was done.
    pub(super) fn open(&self, open_to: OpenTo) -> bool {
        let mut new = open_to;
        let closed = self.change(|state| {
            // A large set takes time to drop, so it is dropped outside the lock.
            if !state.closed {
                std::mem::swap(&mut state.open_to, &mut new);
            }
            state.closed
        });
        !closed
    }

    /// Closes the thread to everybody, for good. All of its streams end.
    pub(super) fn close(&self) {
        self.change(|state| state.closed = true);
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let outcome = {
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            let outcome = change(&mut state);
            self.version.fetch_add(1, Ordering::Release);
            outcome
        };
        self.changed.notify_waiters();
        outcome
    }

    /// Done once the thread is closed to this caller.
    pub(super) async fn closed_to(self: Arc<Self>, auth: AuthContext) {
        loop {
            let mut changed = pin!(self.changed.notified());
            // Before the question, so that no change between the two is missed.
            changed.as_mut().enable();
            if !self.admits(&auth) {
                return;
            }
            changed.await;
        }
    }
}

impl fmt::Debug for Roster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.open_to(), f)
    }
}
