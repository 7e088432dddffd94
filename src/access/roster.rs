//! The members of one thread, which can change while streams are open.

use super::member::Member;
use crate::{auth::AuthContext, sync::RwLock};
use std::{
    collections::{HashMap, HashSet},
    fmt,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::Notify;

/// The members of one thread. A registry changes them, and each grant of the thread checks them again.
pub(super) struct Roster {
    /// The number of changes. A stream compares it before each event, without a lock.
    version: AtomicU64,
    state: RwLock<State>,
    changed: Notify,
}

struct State {
    open_to: OpenTo,
    /// The registry removed the thread. It stays closed to everybody.
    closed: bool,
}

/// The callers that a thread is open to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum OpenTo {
    /// Everybody in its tenant and env.
    Everybody,
    /// These members only.
    Members(Arc<MemberSet>),
}

/// Members, indexed by name.
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
        let state = RwLock::from(State { open_to, closed: false });
        Self { version: AtomicU64::new(0), state, changed: Notify::new() }
    }

    /// The number of changes so far. Each state of the roster has another number.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub(super) fn open_to(&self) -> OpenTo {
        self.state.read().open_to.clone()
    }

    /// Whether this caller may use the thread now.
    pub(super) fn admits(&self, auth: &AuthContext) -> bool {
        let state = self.state.read();
        !state.closed
            && match &state.open_to {
                OpenTo::Everybody => true,
                OpenTo::Members(members) => members.admits(auth),
            }
    }

    /// Replaces the members, unless the thread is closed. Ends the streams of callers that may no longer
    /// use it. Returns whether it replaced the members.
    pub(super) fn open(&self, open_to: OpenTo) -> bool {
        let mut new = open_to;
        let closed = self.change(|state| {
            // The swap moves the old set out of the lock, because the drop of a large set takes time.
            if !state.closed {
                std::mem::swap(&mut state.open_to, &mut new);
            }
            state.closed
        });
        !closed
    }

    /// Closes the thread to everybody, permanently. Ends all of its streams.
    pub(super) fn close(&self) {
        self.change(|state| state.closed = true);
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let outcome = {
            let mut state = self.state.write();
            let outcome = change(&mut state);
            self.version.fetch_add(1, Ordering::Release);
            outcome
        };
        self.changed.notify_waiters();
        outcome
    }

    /// Completes once this caller may no longer use the thread.
    pub(super) async fn closed_to(self: Arc<Self>, auth: AuthContext) {
        loop {
            let mut changed = pin!(self.changed.notified());
            // Registers before the check, so that it does not miss a change between the two.
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
