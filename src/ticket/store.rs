//! Where tickets are kept.

use super::{
    record::{TicketRecord, TicketState},
    secret::TicketKey,
};
use crate::{auth::Revocation, rejection::BoxError};
use std::{future::Future, pin::Pin, sync::Arc, time::SystemTime};

/// A ticket in a store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StoredTicket {
    /// What the ticket proves, and how it may be used.
    pub record: Arc<TicketRecord>,
    /// 0 after [`insert`](TicketStore::insert), and one more after each [`swap`](TicketStore::swap). A
    /// number is never used twice.
    pub revision: u64,
    /// The state of the ticket.
    pub state: TicketState,
}

impl StoredTicket {
    /// The ticket as the store has it now.
    #[must_use]
    pub fn new(record: Arc<TicketRecord>, revision: u64, state: TicketState) -> Self {
        Self { record, revision, state }
    }
}

/// The future of a method of [`TicketStore`].
pub type TicketFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send + 'a>>;

/// Keeps tickets, from their issue until they end.
///
/// [`MemoryTickets`](super::MemoryTickets) serves one process. Several processes that serve the same
/// clients need a store that they share. Such a store can use all that `MemoryTickets` uses.
/// [`TicketRecord`] has text forms through serde, and gives its account, its holder, its size and its
/// end. [`TicketKey`] has bytes and a text form. [`Revocation::new`] is public.
///
/// The [`TicketIssuer`](super::TicketIssuer) has all rules. A store only inserts, gets, compares and
/// swaps. Each method is atomic, and small enough to be one script or one statement of a database. The
/// contract, for each ticket:
///
/// - The store holds the record, the revision and the state. Only [`insert`](Self::insert) and
///   [`swap`](Self::swap) change them.
/// - The revision is 0 at first, and one more after each swap. A caller of `swap` names the revision
///   that it saw. Of all callers that saw the same revision, one succeeds. A revision is never used
///   twice, so a caller cannot mistake a later state for the one that it saw.
/// - The store keeps a ticket until [`keep_until`](TicketRecord::keep_until) of its state. It may forget
///   a ticket earlier, to make room. The ticket is unknown then, and a stream that it opened continues.
pub trait TicketStore: Send + Sync + 'static {
    /// Keeps a record, in the state [`Unused`](TicketState::Unused) and at revision 0, unless the store
    /// already has this ticket. Returns whether the store kept the record. `now` is the current time.
    ///
    /// Fails with [`TooManyTickets`] if there is no room for the record.
    fn insert(
        &self,
        key: TicketKey,
        record: TicketRecord,
        now: SystemTime,
    ) -> TicketFuture<'_, bool>;

    /// The ticket as it is now, or `None` if the store does not know it.
    fn get(&self, key: TicketKey) -> TicketFuture<'_, Option<StoredTicket>>;

    /// Puts the ticket into the state `next`, at the next revision, if it is at `revision` now.
    /// Otherwise, or if the ticket is unknown, nothing changes, and the result is `None`.
    ///
    /// The result of a swap is a new [`Revocation`] for the connection that the swap is for. At the next
    /// swap of this ticket, in any process, the store revokes it. This ends the connection that is
    /// replaced. A swap to [`Unused`](TicketState::Unused) gives the ticket back: no connection has it
    /// then, and nobody uses the result.
    fn swap(
        &self,
        key: TicketKey,
        revision: u64,
        next: TicketState,
    ) -> TicketFuture<'_, Option<Revocation>>;
}

impl<T: TicketStore + ?Sized> TicketStore for Arc<T> {
    fn insert(
        &self,
        key: TicketKey,
        record: TicketRecord,
        now: SystemTime,
    ) -> TicketFuture<'_, bool> {
        (**self).insert(key, record, now)
    }

    fn get(&self, key: TicketKey) -> TicketFuture<'_, Option<StoredTicket>> {
        (**self).get(key)
    }

    fn swap(
        &self,
        key: TicketKey,
        revision: u64,
        next: TicketState,
    ) -> TicketFuture<'_, Option<Revocation>> {
        (**self).swap(key, revision, next)
    }
}

/// A [`TicketStore`] has no room for another ticket of this caller, of this tenant and env, or at all.
/// The client gets `stream.limit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many tickets")]
pub struct TooManyTickets;
