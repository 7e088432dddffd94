//! Where tickets are kept.

use super::{record::TicketRecord, secret::TicketKey};
use crate::{auth::Revocation, rejection::BoxError};
use serde::{Deserialize, Serialize};
use std::{future::Future, pin::Pin, sync::Arc, time::SystemTime};

/// What has become of a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum TicketState {
    /// It opens a stream: it never did, or was given back.
    Unused,
    /// It has opened a stream, which it may re-open.
    Open,
    /// It has opened a stream, and opens nothing more. It is kept only so that it can be given back.
    UsedUp,
}

/// A ticket as a store has it.
#[derive(Clone, Debug)]
pub struct StoredTicket {
    /// What the ticket stands for.
    pub record: Arc<TicketRecord>,
    /// 0 when the ticket is inserted, and one more with each [`swap`](TicketStore::swap): no number
    /// comes back.
    pub revision: u64,
    /// What has become of it.
    pub state: TicketState,
}

/// An answer of a [`TicketStore`].
pub type TicketFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send + 'a>>;

/// Keeps tickets between being issued and being used. [`MemoryTickets`] serves one process; several
/// that share their clients need a shared one.
///
/// All rules are the issuer's; a store inserts, looks, compares and swaps. Each method is atomic,
/// and small enough to be one script or one statement of a database. The contract, for each ticket:
///
/// - The store holds the record, the revision and the state. Nothing but [`insert`](Self::insert)
///   and [`swap`](Self::swap) changes them.
/// - The revision is 0 at first, and one more after each swap. Who swaps names the revision that it
///   saw: of all who saw the same one, one succeeds. A revision never comes back, so nobody takes a
///   later state for the one that it saw.
/// - A ticket is kept until [`keep_until`](TicketRecord::keep_until) of its state. It may be
///   forgotten earlier for lack of room: it then is unknown, and a stream that it opened goes on.
pub trait TicketStore: Send + Sync {
    /// Keeps a record, [`Unused`](TicketState::Unused) and at revision 0, if the store has nothing
    /// of this ticket, and says whether that was so. It is `now`.
    ///
    /// Fails with [`TooManyTickets`] if there is no room for it.
    fn insert(
        &self,
        key: TicketKey,
        record: TicketRecord,
        now: SystemTime,
    ) -> TicketFuture<'_, bool>;

    /// The ticket as it is. `None` if it is not, or no longer, known.
    fn look(&self, key: TicketKey) -> TicketFuture<'_, Option<StoredTicket>>;

    /// If the ticket is at `revision`: puts it into the state `next`, at the next revision, and uses
    /// the [`Revocation`] that the last swap answered, in whichever process that was: it ends the
    /// connection that is replaced. `None` if the ticket is at another revision, or unknown: nothing
    /// happens then.
    ///
    /// The answer is what the store uses at the next swap. A swap to [`Unused`](TicketState::Unused)
    /// gives the ticket back: no connection has it then, and the answer is of no use.
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

    fn look(&self, key: TicketKey) -> TicketFuture<'_, Option<StoredTicket>> {
        (**self).look(key)
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

/// A [`TicketStore`] keeps no more tickets of this caller, of this tenant and env, or in all: told
/// to the client as `stream.limit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many tickets")]
pub struct TooManyTickets;
