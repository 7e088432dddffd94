//! What a registry answers.

use super::{
    member::Member,
    roster::{OpenTo, Roster},
};
use crate::{
    auth::AuthContext,
    event::Routing,
    id::{Env, TenantId, ThreadId, ThreadKey},
};
use std::sync::Arc;

/// A thread as its registry knows it. Clones are one record.
///
/// A grant keeps the record that it was made from, and asks it again before each event: a registry
/// that keeps its records, as [`MemoryRegistry`](super::MemoryRegistry) does, ends the streams of a
/// member that it removes.
#[derive(Clone, Debug)]
pub struct ThreadRecord {
    key: ThreadKey,
    roster: Arc<Roster>,
}
impl ThreadRecord {
    /// A thread that is open to everybody in its tenant and env.
    #[must_use]
    pub fn new(tenant: TenantId, env: Env, thread: ThreadId) -> Self {
        Self::of(ThreadKey::new(tenant, env, thread))
    }

    fn of(key: ThreadKey) -> Self {
        Self { key, roster: Arc::new(Roster::new(OpenTo::Everybody)) }
    }

    /// The same thread, closed to everybody but `members`. An empty list closes it to all.
    #[must_use]
    pub fn with_members(self, members: impl IntoIterator<Item = Member>) -> Self {
        let members = OpenTo::Members(Arc::new(members.into_iter().collect()));
        Self { key: self.key, roster: Arc::new(Roster::new(members)) }
    }

    pub(super) fn key(&self) -> &ThreadKey {
        &self.key
    }

    pub(super) fn into_parts(self) -> (ThreadKey, Arc<Roster>) {
        (self.key, self.roster)
    }

    /// Whether both records are open to the same members.
    pub(super) fn has_members_of(&self, other: &Self) -> bool {
        self.roster.open_to() == other.roster.open_to()
    }

    /// Takes the members of `other`. Streams of callers that are no members any more end. Does
    /// nothing, and says so, if the thread was closed.
    pub(super) fn take_members_of(&self, other: &Self) -> bool {
        self.roster.open(other.roster.open_to())
    }

    /// Closes the thread to everybody, for good. All of its streams end.
    pub(super) fn close(&self) {
        self.roster.close();
    }

    /// A record of its own, of the same thread and members: whatever became of this one.
    pub(super) fn renewed(&self) -> Self {
        Self { key: self.key.clone(), roster: Arc::new(Roster::new(self.roster.open_to())) }
    }

    pub(super) fn admits(&self, auth: &AuthContext) -> bool {
        self.roster.admits(auth)
    }
}

impl From<&Routing> for ThreadRecord {
    /// The thread that the routing names, open to everybody in its tenant and env.
    fn from(routing: &Routing) -> Self {
        Self::of(routing.key().clone())
    }
}
