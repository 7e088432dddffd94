//! The contract of a log and of its readers.

use super::{error::LogError, extent::Extent};
use crate::{
    event::{Cursor, NewEvent, Routing, StreamEvent},
    id::{TenantId, ThreadKey},
};
use futures_core::Stream;
use std::{future::Future, sync::Arc};

/// Keeps the events of threads, for a while.
///
/// Handlers do not call its methods. They read through [`ThreadGrant::subscribe`] and write through
/// [`ThreadGrant::publish`] or a [`Publisher`](crate::Publisher), which ask the proof first.
///
/// [`MemoryLog`](crate::MemoryLog) implements it in memory. A log of another kind implements it with
/// what is public here. A store keeps the routing, type, data, origin, number and time of each event,
/// and makes the event anew by [`StreamEvent::restored`]. It never takes an envelope over as it is.
/// [`DynEventLog`](super::DynEventLog) holds a log that is chosen when the program runs.
///
/// # Contract
///
/// - Within an [`Epoch`](crate::event::Epoch), the events of a thread are numbered from 1 without
///   holes. Readers see them in this order.
/// - A log that loses the numbering of a thread begins a new epoch, and never uses an epoch again.
/// - Two threads are the same if their whole [`ThreadKey`] is the same.
///
/// [`ThreadGrant::subscribe`]: crate::ThreadGrant::subscribe
/// [`ThreadGrant::publish`]: crate::ThreadGrant::publish
pub trait EventLog: Send + Sync + 'static {
    /// Reads one thread for one subscriber.
    type Reader: LogReader;

    /// Appends an event to the thread of [its key](NewEvent::key), gives it the next number,
    /// [seals](NewEvent::seal) it, and wakes the readers of that thread.
    ///
    /// # Errors
    ///
    /// [`LogError::TooLarge`]; [`LogError::Unavailable`].
    fn append(&self, event: NewEvent)
    -> impl Future<Output = Result<StreamEvent, LogError>> + Send;

    /// Opens one thread for reading. Tells what the log holds of it now, and gives a reader that
    /// stands at its [head](Extent::head).
    ///
    /// A thread without any event is fine.
    ///
    /// # Errors
    ///
    /// [`LogError::Unavailable`].
    fn open(
        &self,
        thread: &ThreadKey,
    ) -> impl Future<Output = Result<(Extent, Self::Reader), LogError>> + Send;

    /// Erases all events of the thread. A thread without any event is fine. Applications call
    /// [`erase_thread`].
    ///
    /// The thread begins a new epoch, so no cursor of before is good any more. Its open readers end
    /// with [`LogError::Erased`], and the log wakes those that wait. An append at the same time either
    /// comes before, and is erased as well, or is the first of the new epoch.
    ///
    /// # Errors
    ///
    /// [`LogError::Unavailable`]: then it is not known whether the log erased the thread. Try again.
    fn erase_thread(&self, thread: &ThreadKey)
    -> impl Future<Output = Result<(), LogError>> + Send;

    /// Erases all threads of the tenant, in all envs, each as [`erase_thread`](Self::erase_thread)
    /// does.
    ///
    /// # Errors
    ///
    /// [`LogError::Unavailable`]: then it is not known which threads the log erased. Try again.
    fn erase_tenant(&self, tenant: &TenantId) -> impl Future<Output = Result<(), LogError>> + Send;
}

/// Erases all events of the thread that `thread` names, as [`EventLog::erase_thread`] says.
///
/// It needs no grant: it is for the application's own housekeeping. Remove the thread from its
/// registry first. Until then, anybody may open it anew.
///
/// ```
/// use tower_tenancy::{MemoryLog, Routing, log::erase_thread};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let log = MemoryLog::new();
/// let thread: Routing = "t_alpha/prod/th-1".parse()?;
/// erase_thread(&log, &thread).await?;
/// # Ok(()) }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run()).unwrap();
/// ```
///
/// # Errors
///
/// [`LogError::Unavailable`]: then it is not known whether the log erased the thread. Try again.
pub async fn erase_thread<L: EventLog>(log: &L, thread: &Routing) -> Result<(), LogError> {
    log.erase_thread(thread.key()).await
}

/// What a reader gives.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum LogItem {
    /// The event after the reader's position, which moves behind it.
    Event(StreamEvent),
    /// The log does not [serve](Extent::serves) the reader's position. It holds this extent. The
    /// position stays where it is, until the reader [seeks](LogReader::seek) another.
    Gap(Extent),
}

/// Reads one thread of an [`EventLog`]: a stream of the events after a position.
///
/// Nothing is ready while the position is the head of the thread.
///
/// A reader may read ahead, about 16 KiB at most: a subscriber that does not read holds on to what was
/// read for it.
///
/// # Errors
///
/// [`LogError::Unavailable`]; [`LogError::Erased`]. A reader that gave an error is not polled again.
pub trait LogReader: Stream<Item = Result<LogItem, LogError>> + Send + Unpin + 'static {
    /// Moves the position, so that the next item is about the event after `after`.
    fn seek(&mut self, after: Cursor);

    /// Whether the thread was erased, as far as the reader knows without a wait.
    ///
    /// The crate asks before it gives out each event, so it must be cheap. Once it is true, it stays
    /// so.
    fn is_erased(&self) -> bool;
}

impl<R: LogReader + ?Sized> LogReader for Box<R> {
    fn seek(&mut self, after: Cursor) {
        (**self).seek(after);
    }

    fn is_erased(&self) -> bool {
        (**self).is_erased()
    }
}

impl<L: EventLog> EventLog for Arc<L> {
    type Reader = L::Reader;

    fn append(
        &self,
        event: NewEvent,
    ) -> impl Future<Output = Result<StreamEvent, LogError>> + Send {
        (**self).append(event)
    }

    fn open(
        &self,
        thread: &ThreadKey,
    ) -> impl Future<Output = Result<(Extent, Self::Reader), LogError>> + Send {
        (**self).open(thread)
    }

    fn erase_thread(
        &self,
        thread: &ThreadKey,
    ) -> impl Future<Output = Result<(), LogError>> + Send {
        (**self).erase_thread(thread)
    }

    fn erase_tenant(&self, tenant: &TenantId) -> impl Future<Output = Result<(), LogError>> + Send {
        (**self).erase_tenant(tenant)
    }
}
