//! The contract of a log and of its readers.

use super::{error::LogError, extent::Extent};
use crate::{
    event::{Cursor, NewEvent, Routing, StreamEvent},
    id::{TenantId, ThreadKey},
};
use futures_core::Stream;
use std::{future::Future, sync::Arc};

/// Keeps the events of threads for a limited time.
///
/// Handlers do not call its methods. They read through [`ThreadGrant::subscribe`] and write through
/// [`ThreadGrant::publish`] or [`ThreadGrant::publisher`], which check the proof first.
///
/// [`MemoryLog`](crate::MemoryLog) implements it in memory. You can implement it for another store with
/// the public API. Store the routing, type, data, origin, number and time of each event, and rebuild
/// the event with [`StreamEvent::restored`]. Never use a stored envelope unchanged.
/// [`DynEventLog`](super::DynEventLog) holds a log that you choose at run time.
///
/// # Contract
///
/// - Within an [`Epoch`](crate::event::Epoch), the events of a thread are numbered from 1 without
///   holes. Readers see them in this order.
/// - A log that loses the numbering of a thread begins a new epoch. It never uses an epoch twice.
/// - Two threads are the same if all parts of their [`ThreadKey`] are the same.
///
/// [`ThreadGrant::subscribe`]: crate::ThreadGrant::subscribe
/// [`ThreadGrant::publish`]: crate::ThreadGrant::publish
/// [`ThreadGrant::publisher`]: crate::ThreadGrant::publisher
pub trait EventLog: Send + Sync + 'static {
    /// Reads one thread for one subscriber.
    type Reader: LogReader;

    /// Gives the event the next number of its [thread](NewEvent::key), [seals](NewEvent::seal) and
    /// appends it, and wakes the readers of that thread.
    ///
    /// # Errors
    ///
    /// [`LogError::TooLarge`]; [`LogError::Unavailable`].
    fn append(&self, event: NewEvent)
    -> impl Future<Output = Result<StreamEvent, LogError>> + Send;

    /// Opens one thread for reading. Returns what the log holds of it now, and a reader at its
    /// [head](Extent::head).
    ///
    /// The thread may have no events.
    ///
    /// # Errors
    ///
    /// [`LogError::Unavailable`].
    fn open(
        &self,
        thread: &ThreadKey,
    ) -> impl Future<Output = Result<(Extent, Self::Reader), LogError>> + Send;

    /// Erases all events of the thread. The thread may have no events. Applications call
    /// [`erase_thread`].
    ///
    /// The thread begins a new epoch, so the log no longer serves earlier cursors. Its open readers end
    /// with [`LogError::Erased`], and the log wakes those that wait. An append at the same time is
    /// either erased as well, or belongs to the new epoch.
    ///
    /// # Errors
    ///
    /// [`LogError::Unavailable`]: the log may or may not have erased the thread. Try again.
    fn erase_thread(&self, thread: &ThreadKey)
    -> impl Future<Output = Result<(), LogError>> + Send;

    /// Erases all threads of the tenant in all envs, as [`erase_thread`](Self::erase_thread) does.
    ///
    /// # Errors
    ///
    /// [`LogError::Unavailable`]: the log may have erased some of the threads. Try again.
    fn erase_tenant(&self, tenant: &TenantId) -> impl Future<Output = Result<(), LogError>> + Send;
}

/// Erases all events of a thread, as [`EventLog::erase_thread`] describes.
///
/// This needs no grant: the application itself calls it. Remove the thread from the registry first.
/// Until then, a client with access may open it again.
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
/// [`LogError::Unavailable`]: the log may or may not have erased the thread. Try again.
pub async fn erase_thread<L: EventLog>(log: &L, thread: &Routing) -> Result<(), LogError> {
    log.erase_thread(thread.key()).await
}

/// An item of a [`LogReader`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum LogItem {
    /// The event after the reader's position. The reader's position moves to this event.
    Event(StreamEvent),
    /// The log does not [serve](Extent::serves) the reader's position. It holds this extent. The
    /// position does not change until a call of [`seek`](LogReader::seek).
    Gap(Extent),
}

/// Reads one thread of an [`EventLog`]: a stream of the events after a position.
///
/// The stream is pending while the position is the head of the thread.
///
/// A reader may read ahead, but about 16 KiB at most: that memory stays in use while the subscriber
/// does not read.
///
/// # Errors
///
/// [`LogError::Unavailable`]; [`LogError::Erased`]. The crate does not poll a reader after an error.
pub trait LogReader: Stream<Item = Result<LogItem, LogError>> + Send + Unpin + 'static {
    /// Moves the position to `after`, so that the next item concerns the event after it.
    fn seek(&mut self, after: Cursor);

    /// Whether the reader knows that the thread was erased. It answers without waiting.
    ///
    /// The crate calls it before each item, so it must be cheap. Once it returns `true`, it must
    /// always return `true`.
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
