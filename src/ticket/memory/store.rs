//! The store of one process.

use super::state::State;
use crate::{
    auth::Revocation,
    ticket::{
        record::TicketRecord,
        secret::TicketKey,
        store::{StoredTicket, TicketFuture, TicketState, TicketStore},
    },
};
use std::{
    fmt,
    future::ready,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

/// Keeps tickets in memory.
///
/// At most 64 of one caller, which take at most 1 MiB: one more, and the one is forgotten that is
/// least missed. At most 30 MiB of one tenant and env, which is 10,240 ordinary tickets: one more is
/// refused. At most 300 MiB in all: when there is no more room, the tenant and env with the most
/// gives or is refused, whoever asks. A ticket counts for 3 KiB at least, and for no less than it
/// keeps.
///
/// Which ticket is least missed: one that is used up, then one that opened nothing yet, then one in
/// use, and of several the oldest. A stream whose ticket is forgotten goes on until its token ends,
/// and is not re-opened.
#[derive(Default)]
pub struct MemoryTickets(Mutex<State>);

impl MemoryTickets {
    /// Keeps nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many bytes the tickets take that are kept, as the bounds count them.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.state().bytes
    }

    /// Every change is whole before the lock is given back.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
            // Outside the lock: it wakes the stream that is replaced.
            if let Some(replaced) = replaced {
                replaced.revoke();
            }
            revocation
        });
        Box::pin(ready(Ok(answer)))
    }
}
