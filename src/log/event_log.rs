//! The contract of a log.

use super::{error::LogError, extent::Extent};
use crate::{
    event::{Cursor, NewEvent, Routing, StreamEvent},
    id::{TenantId, ThreadKey},
};
use std::{
    collections::VecDeque,
    future::Future,
    sync::Arc,
    task::{Context, Poll},
};

/// Keeps the events of threads, for a while.
///
/// Handlers do not call its methods: they read through [`ThreadGrant::subscribe`] and write through
/// [`ThreadGrant::publish`] or a [`Publisher`], which ask the proof first.
///
/// An engine that stores events elsewhere keeps their routing, type, data, origin, number and
/// time, and makes them anew by [`StreamEvent::restored`]. Envelopes are never taken over from a
/// store as they are.
///
/// [`ThreadGrant::subscribe`]: crate::ThreadGrant::subscribe
/// [`ThreadGrant::publish`]: crate::ThreadGrant::publish
///
/// Contract: per thread, events are numbered from 1 without holes within an [`Epoch`]; what was
/// appended first is read first; an epoch is never used again once its numbering is lost. Threads
/// are told apart by the whole [`ThreadKey`].
pub trait EventLog: Send + Sync {
    /// Reads one thread for one subscriber.
    type Reader: LogReader;

    /// Appends an event to the thread of [its routing](NewEvent::routing), gives it the next
    /// number, [seals](NewEvent::seal) it, and wakes that thread's readers.
    ///
    /// # Errors
    ///
    /// [`LogError::TooLarge`]; [`LogError::Unavailable`].
    fn append(&self, event: NewEvent)
    -> impl Future<Output = Result<StreamEvent, LogError>> + Send;

    /// A reader of one thread. Only grants give keys away.
    fn reader(&self, thread: &ThreadKey) -> Self::Reader;

    /// Erases all events of the thread that the routing names. A thread without any is fine.
    ///
    /// The thread begins a new [`Epoch`]: no cursor that was given out before is good any more. Its
    /// open readers end with [`LogError::Erased`], and the log wakes those that wait. An append at
    /// the same time either comes before, and is erased as well, or is the first of the new epoch.
    ///
    /// Remove the thread from its registry first: until then anybody may open it anew.
    ///
    /// # Errors
    ///
    /// [`LogError::Unavailable`]: then it is not known whether the thread was erased. Try again.
    fn erase_thread(&self, thread: &Routing) -> impl Future<Output = Result<(), LogError>> + Send;

    /// Erases all threads of the tenant, in all envs, each as [`erase_thread`](Self::erase_thread)
    /// does.
    ///
    /// # Errors
    ///
    /// [`LogError::Unavailable`]: then it is not known which threads were erased. Try again.
    fn erase_tenant(&self, tenant: &TenantId) -> impl Future<Output = Result<(), LogError>> + Send;
}

/// Reads one thread of an [`EventLog`].
pub trait LogReader: Send {
    /// What the log holds of the thread now.
    ///
    /// # Errors
    ///
    /// [`LogError::Unavailable`]; [`LogError::Erased`].
    fn poll_extent(&mut self, cx: &mut Context<'_>) -> Poll<Result<Extent, LogError>>;

    /// Appends the events after `after` to `into`, oldest first, until they take `max_bytes`
    /// ([`StreamEvent::encoded_len`]) or more, and gives the extent they were read under. Pending,
    /// with the waker kept, while `after` is the head.
    ///
    /// If `after` is not a position within the extent, nothing is read and the extent tells so.
    ///
    /// # Errors
    ///
    /// [`LogError::Unavailable`]; [`LogError::Erased`].
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        after: Cursor,
        max_bytes: usize,
        into: &mut VecDeque<StreamEvent>,
    ) -> Poll<Result<Extent, LogError>>;

    /// Whether the thread was erased, as far as is known here.
    ///
    /// It is asked before each event is given out, those that were read before among them. So it
    /// must be cheap, and once it is true it stays so.
    fn is_erased(&self) -> bool;
}

impl<L: EventLog> EventLog for Arc<L> {
    type Reader = L::Reader;

    fn append(
        &self,
        event: NewEvent,
    ) -> impl Future<Output = Result<StreamEvent, LogError>> + Send {
        (**self).append(event)
    }

    fn reader(&self, thread: &ThreadKey) -> Self::Reader {
        (**self).reader(thread)
    }

    fn erase_thread(&self, thread: &Routing) -> impl Future<Output = Result<(), LogError>> + Send {
        (**self).erase_thread(thread)
    }

    fn erase_tenant(&self, tenant: &TenantId) -> impl Future<Output = Result<(), LogError>> + Send {
        (**self).erase_tenant(tenant)
    }
}
