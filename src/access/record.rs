//! The record of a thread, which a registry returns.

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
/// A grant keeps the record that it was made from, and checks its members before each event. So a registry
/// that keeps its records, as [`MemoryRegistry`](super::MemoryRegistry) does, can end streams: by
/// [`replace_members`](Self::replace_members) and [`close`](Self::close). A registry that makes a
/// record for each answer only decides who is granted the thread from now on.
///
/// ```
/// use std::{collections::HashMap, sync::Mutex};
/// use tower_tenancy::{BoxError, Env, TenantId, ThreadId, ThreadRecord, ThreadRegistry};
///
/// /// Keeps the records of the threads that were asked for.
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

    /// The env that the thread lives in.
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

    /// Not public: with the key of any thread, anybody could read its log without a grant.
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

    /// Gives this record the members of `other`, in place of its own. The streams of callers that are
    /// no members any more end with `access.revoked`.
    ///
    /// Returns `false`, and does nothing, if the record is closed. Call it without a lock: it wakes
    /// streams.
    #[must_use = "a closed record keeps its members"]
    pub fn replace_members(&self, other: &Self) -> bool {
        self.roster.open(other.roster.open_to())
    }

    /// Closes the thread to everybody, for good: a registry calls it when it forgets the thread. All
    /// streams of the thread end with `access.revoked`. Call it without a lock: it wakes streams.
    pub fn close(&self) {
        self.roster.close();
    }

    /// A new record of the same thread and members. What happens to one record does not happen to the
    /// other, and a closed record gives an open one. A registry keeps such a record: grants of a
    /// thread that it forgot earlier must not become good again.
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
