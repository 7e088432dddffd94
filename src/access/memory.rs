//! A registry in memory.

use super::{record::ThreadRecord, registry::ThreadRegistry};
use crate::{
    event::Routing,
    id::{Env, TenantId, ThreadId, ThreadKey},
    rejection::BoxError,
    sync::RwLock,
};
use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

/// A registry in memory, for examples, tests and single-node services. Clones share it.
///
/// ```
/// use tower_tenancy::{Member, MemoryRegistry, Registered, Routing, ThreadRecord};
///
/// let threads = MemoryRegistry::new();
/// let thread: Routing = "t_alpha/prod/th-1".parse()?;
/// assert_eq!(threads.register(&thread), Registered::New);
///
/// // From now on, only Ada may use the thread. The streams of other callers end.
/// let ada = Member::subject_of("https://id.example.com", "ada");
/// assert!(threads.set_members(ThreadRecord::from(&thread).with_members([ada])));
/// # Ok::<(), tower_tenancy::event::InvalidRouting>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct MemoryRegistry(Arc<RwLock<HashMap<ThreadKey, ThreadRecord>>>);

/// What [`MemoryRegistry::register`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Registered {
    /// The thread is registered now.
    New,
    /// The thread was registered before, with these members. Nothing changed.
    Known,
    /// The thread was registered before, with other members. Nothing changed.
    /// [`MemoryRegistry::set_members`] changes members.
    KnownWithOtherMembers,
}

impl MemoryRegistry {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers a thread, unless it is already registered.
    pub fn register(&self, thread: impl Into<ThreadRecord>) -> Registered {
        let record = thread.into();
        let mut threads = self.0.write();
        let known = match threads.entry(record.key().clone()) {
            Entry::Vacant(place) => {
                // Grants of a removed thread share its record. They must not become valid again.
                place.insert(record.detached());
                return Registered::New;
            }
            Entry::Occupied(known) => known.get().clone(),
        };
        drop(threads);
        if known.has_same_members(&record) {
            return Registered::Known;
        }
        tracing::warn!(
            thread = record.key().to_path(),
            "the thread is registered with other members and keeps them; call set_members to change them"
        );
        Registered::KnownWithOtherMembers
    }

    /// Replaces the members of a thread with those of this record. The streams of callers that are no
    /// longer members end with `access.revoked`.
    ///
    /// Returns `false`, and does nothing, if the thread is not registered.
    pub fn set_members(&self, thread: impl Into<ThreadRecord>) -> bool {
        let record = thread.into();
        // Without the registry's lock, because this wakes streams. If another call removes the thread
        // now, it stays removed.
        self.get(record.key()).is_some_and(|known| known.replace_members(&record))
    }

    /// Removes a thread. Its streams end with `access.revoked`. Returns whether it was registered.
    ///
    /// The log still holds the thread's events, and a thread that you register later with the same id
    /// would show them. [Erase](crate::log::erase_thread) them as well.
    #[expect(clippy::must_use_candidate, reason = "most callers want the removal alone")]
    pub fn remove(&self, thread: &Routing) -> bool {
        let mut threads = self.0.write();
        let removed = threads.remove(thread.key());
        drop(threads);
        if let Some(record) = &removed {
            // Without the registry's lock, because this wakes streams.
            record.close();
        }
        removed.is_some()
    }

    fn get(&self, key: &ThreadKey) -> Option<ThreadRecord> {
        self.0.read().get(key).cloned()
    }
}

impl ThreadRegistry for MemoryRegistry {
    async fn find(
        &self,
        tenant: &TenantId,
        env: &Env,
        thread: &ThreadId,
    ) -> Result<Option<ThreadRecord>, BoxError> {
        Ok(self.get(&ThreadKey::new(tenant.clone(), env.clone(), thread.clone())))
    }
}
