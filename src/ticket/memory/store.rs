//! The ticket store of one process.

use super::state::State;
use crate::{
    auth::Revocation,
    sync::Mutex,
    ticket::{
        record::{TicketRecord, TicketState},
        secret::TicketKey,
        store::{StoredTicket, TicketFuture, TicketStore},
    },
};
use std::{fmt, future::ready, sync::Arc, time::SystemTime};

/// Keeps tickets in memory.
///
/// A caller has at most 64 tickets, of at most 1 MiB together. A further ticket evicts others of the same
/// caller. One tenant and env has at most 30 MiB, which is 10,240 ordinary tickets. The store refuses a
/// further ticket. All tickets together have at most 300 MiB. For a further ticket, the tenant and env
/// with the most bytes loses tickets. If the new ticket makes its own tenant and env the largest, the
/// store refuses it. A ticket counts for the bytes that it takes, and for at least 3 KiB.
///
/// The order of eviction: first the tickets that are used up, then the tickets that have not opened a
/// stream yet, then the tickets in use. Within each of these groups, the oldest ticket is the first. A
/// stream whose ticket was evicted continues until its token expires, and cannot be re-opened.
#[derive(Default)]
pub struct MemoryTickets(pub(super) Mutex<State>);

impl MemoryTickets {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of bytes that the tickets in the store count for.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.lock().bytes
    }
}

impl fmt::Debug for MemoryTickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tickets, bytes) = {
            let state = self.0.lock();
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
        let inserted = self.0.lock().insert(key, record, now);
        Box::pin(ready(inserted.map_err(Into::into)))
    }

    fn get(&self, key: TicketKey) -> TicketFuture<'_, Option<StoredTicket>> {
        let state = self.0.lock();
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
        let swapped = self.0.lock().swap(key, revision, next);
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
