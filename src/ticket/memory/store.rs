//! The store of one process.

use super::state::State;
use crate::{
    auth::Revocation,
    sync::{Mutex, MutexGuard},
    ticket::{
        record::{TicketRecord, TicketState},
        secret::TicketKey,
        store::{StoredTicket, TicketFuture, TicketStore},
    },
};
use std::{fmt, future::ready, sync::Arc, time::SystemTime};

/// Keeps tickets in memory.
///
/// A caller has at most 64 tickets, of at most 1 MiB together. For a further ticket, one of the caller's
/// own tickets is evicted. One tenant and env has at most 30 MiB, which is 10,240 ordinary tickets. A
/// further ticket is refused. All tickets together have at most 300 MiB. When that is full, the largest
/// tenant and env loses a ticket, or is refused a new one. A ticket counts for at least 3 KiB, and for no
/// less than it takes.
///
/// The order of eviction: first tickets that are used up, then tickets that have opened nothing yet, then
/// tickets in use; within each of these, the oldest first. A stream whose ticket was evicted goes on
/// until its token ends, and cannot be re-opened.
#[derive(Default)]
pub struct MemoryTickets(Mutex<State>);

impl MemoryTickets {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many bytes the tickets in the store count for.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.state().bytes
    }

    /// Every change is whole before the lock is given back.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }
}

impl fmt::Debug for MemoryTickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tickets, bytes) = {
            let state = self.state();
            (state.tickets.len(), state.bytes)
        };
        f.debug_struct("MemoryTickets")
            .field("tickets", &tickets)
            .field("bytes", &bytes)
            .finish_non_exhaustive()
    }
}

impl TicketStore for MemoryTickets {
    fn insert(
        &self,
        key: TicketKey,
        record: TicketRecord,
        now: SystemTime,
    ) -> TicketFuture<'_, bool> {
        let inserted = self.state().insert(key, record, now);
        Box::pin(ready(inserted.map_err(Into::into)))
    }

    fn get(&self, key: TicketKey) -> TicketFuture<'_, Option<StoredTicket>> {
        let state = self.state();
        let stored = state
            .tickets
            .get(&key)
            .map(|entry| StoredTicket::new(Arc::clone(&entry.record), entry.revision, entry.state));
        drop(state);
        Box::pin(ready(Ok(stored)))
    }

    fn swap(
        &self,
        key: TicketKey,
        revision: u64,
        next: TicketState,
    ) -> TicketFuture<'_, Option<Revocation>> {
        let swapped = self.state().swap(key, revision, next);
        let answer = swapped.map(|(revocation, replaced)| {
            // Outside the lock, because it wakes the stream that is replaced.
            if let Some(replaced) = replaced {
                replaced.revoke();
            }
            revocation
        });
        Box::pin(ready(Ok(answer)))
    }
}
