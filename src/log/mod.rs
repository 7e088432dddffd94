//! The log of each thread: appended to under a grant or a [`Publisher`], read by cursor.
//!
//! The log is the queue. A [`Subscription`] is a cursor over it; replay and live are the same
//! read, so there is no hand-over in which an event could be lost or doubled, and a slow reader
//! costs a cursor and no queue. A reader that falls out of retention gets a
//! [`Gap`](crate::Gap), never silence.
//!
//! [`MemoryLog`] is the default. An engine of one's own implements [`EventLog`].

mod memory;
mod publisher;
mod subscription;

pub use memory::{MemoryLog, MemoryLogBuilder, MemoryReader};
pub use publisher::{PublishError, Publisher};
pub use subscription::{OnGap, Subscription};

use crate::{
    event::{Cursor, Epoch, NewEvent, Routing, StreamEvent},
    id::{TenantId, ThreadKey},
    rejection::{BoxError, Rejection, RejectionKind},
};
use std::{
    collections::VecDeque,
    future::Future,
    sync::Arc,
    task::{Context, Poll},
};

/// What a log holds of one thread at one moment: events `oldest` to `next - 1`.
///
/// Events are numbered from 1, without holes. If none is held, `oldest` equals `next`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The incarnation of the thread's log. A new one is random.
    pub epoch: Epoch,
    /// The number of the oldest event that is held.
    pub oldest: u64,
    /// The number that the next event will have.
    pub next: u64,
}

impl Extent {
    /// The position before the oldest event that is held.
    #[must_use]
    pub fn earliest(&self) -> Cursor {
        Cursor::new(self.epoch, self.oldest.saturating_sub(1))
    }

    /// The position after the newest event.
    #[must_use]
    pub fn head(&self) -> Cursor {
        Cursor::new(self.epoch, self.next.saturating_sub(1))
    }
}

/// Why a log could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The event alone is larger than what the log retains of a thread.
    #[error("the event is larger than the {max} bytes that the log retains of a thread")]
    TooLarge {
        /// What the log retains of a thread, in bytes.
        max: usize,
    },
    /// The log does not answer.
    #[error("the log does not answer")]
    Unavailable(#[source] BoxError),
    /// The thread was erased while it was being read. What is published into it from now on belongs
    /// to a new epoch, and needs a new reader.
    #[error("the thread was erased")]
    Erased,
    /// The log broke its contract: events out of order, doubled, or with a hole.
    #[error("the log broke its contract: {0}")]
    Broken(&'static str),
}

impl From<LogError> for Rejection {
    fn from(error: LogError) -> Self {
        match error {
            LogError::TooLarge { .. } => Self::new(RejectionKind::MessageInvalid)
                .with_detail(format!("Not published: {error}.")),
            // To the client it is a thread like any other that does not exist.
            LogError::Erased => Self::new(RejectionKind::ThreadForbidden).with_source(error),
            LogError::Unavailable(_) | LogError::Broken(_) => {
                Self::new(RejectionKind::LogUnavailable).with_source(error)
            }
        }
    }
}

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
