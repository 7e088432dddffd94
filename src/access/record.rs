//! The record of a thread that a registry returns.

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

/// A thread and its members. Clones share one state.
///
/// A grant keeps the record that it was made from, and checks its members before each event. So a registry
/// that keeps its records, as [`MemoryRegistry`](super::MemoryRegistry) does, can end streams with
/// [`replace_members`](Self::replace_members) and [`close`](Self::close). A registry that makes a new
/// record for each answer cannot end streams: its changes apply to new grants only.
///
/// ```
/// use std::{collections::HashMap, sync::Mutex};
/// use tower_tenancy::{BoxError, Env, TenantId, ThreadId, ThreadRecord, ThreadRegistry};
///
/// /// Keeps the record of each thread.
/// struct Rooms(Mutex<HashMap<String, ThreadRecord>>);
///
/// impl Rooms {
///     fn close(&self, room: &ThreadRecord) {
///         let known = self.0.lock().unwrap().remove(&room.to_path());
///         if let Some(record) = known {
///             record.close(); // its streams end
///         }
///     }
/// }
///
/// impl ThreadRegistry for Rooms {
///     async fn find(
///         &self,
///         tenant: &TenantId,
///         env: &Env,
///         thread: &ThreadId,
///     ) -> Result<Option<ThreadRecord>, BoxError> {
///         let asked = ThreadRecord::new(tenant.clone(), env.clone(), thread.clone());
///         Ok(self.0.lock().map_err(|_| "poisoned")?.get(&asked.to_path()).cloned())
///     }
/// }
/// ```
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

    /// The same thread, open to `members` only. With an empty list, it is open to nobody.
    #[must_use]
    pub fn with_members(self, members: impl IntoIterator<Item = Member>) -> Self {
        let members = OpenTo::Members(Arc::new(members.into_iter().collect()));
        Self { key: self.key, roster: Arc::new(Roster::new(members)) }
    }

    /// The tenant that the thread belongs to.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        self.key.tenant()
    }

    /// The env that the thread belongs to.
    #[must_use]
    pub fn env(&self) -> &Env {
        self.key.env()
    }

    /// The thread's id inside its tenant and env.
    #[must_use]
    pub fn thread(&self) -> &ThreadId {
        self.key.thread()
    }

    /// `tenant/env/thread`: different threads give different texts. The same as
    /// [`Routing::to_path`].
    #[must_use]
    pub fn to_path(&self) -> String {
        self.key.to_path()
    }

    /// Not public, because code that has the key of a thread can read its log without a grant.
    pub(super) fn key(&self) -> &ThreadKey {
        &self.key
    }

    pub(super) fn into_parts(self) -> (ThreadKey, Arc<Roster>) {
        (self.key, self.roster)
    }

    /// Whether both records are open to the same members.
    #[must_use]
    pub fn has_same_members(&self, other: &Self) -> bool {
        self.roster.open_to() == other.roster.open_to()
    }

    /// Replaces the members of this record with those of `other`. The streams of callers that are no
    /// longer members end with `access.revoked`.
    ///
    /// Returns `false`, and does nothing, if the record is closed. Do not hold a lock during the call: it
    /// wakes streams.
    #[must_use = "a closed record does not change its members"]
    pub fn replace_members(&self, other: &Self) -> bool {
        self.roster.open(other.roster.open_to())
    }

    /// Closes the thread to everybody, permanently. A registry calls this when it removes the thread. All
    /// streams of the thread end with `access.revoked`. Do not hold a lock during the call: it wakes
    /// streams.
    pub fn close(&self) {
        self.roster.close();
    }

    /// A new, open record of the same thread and members, with its own state. A registry stores this
    /// record when it registers a thread, so that grants of a thread with the same id that it removed
    /// earlier stay revoked.
    #[must_use]
    pub fn detached(&self) -> Self {
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
