//! Reads a thread's log for one subscriber.

use super::{
    error::LogError,
    event_log::{EventLog, LogItem, LogReader},
    extent::Extent,
};
use crate::{
    access::ThreadGrant,
    delivery::{Delivery, Gap, GapReason, Position},
    ending::Ending,
    event::{Cursor, LastEventId, StreamEvent},
    id::ThreadKey,
    rejection::{Rejection, RejectionKind},
};
use futures_core::Stream;
use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

/// Where a [`Subscription`] continues after a gap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnGap {
    /// At the oldest event that the log still holds.
    #[default]
    Oldest,
    /// After the newest event.
    Live,
    /// Nowhere. The stream ends.
    Close,
}

impl ThreadGrant {
    /// Reads the grant's thread from the position that the client asks for.
    ///
    /// # Errors
    ///
    /// `auth.expired` or `access.revoked` if the proof has ended; `log.unavailable` if the log does
    /// not answer; `auth.invalid` if the grant comes from a ticket that was used before, and `from`
    /// is not a cursor of the log's current epoch.
    pub async fn subscribe<L: EventLog>(
        &self,
        log: &L,
        from: impl Into<LastEventId>,
    ) -> Result<Subscription<L::Reader>, Rejection> {
        let (extent, reader) = self.open(log).await?;
        let from = from.into();
        // A client without a cursor of this epoch has never read this log.
        let goes_on = matches!(from, LastEventId::After(cursor) if cursor.epoch() == extent.epoch);
        if self.scope().auth().ticket().is_some_and(|ticket| ticket.reopens) && !goes_on {
            let rejection = Rejection::new(RejectionKind::AuthInvalid);
            return Err(rejection.with_source("a used ticket without a cursor of this log"));
        }
        Ok(Subscription::new(self.key().clone(), reader, extent, from))
    }

    /// The position after the newest event of the grant's thread. A client that reads the state
    /// from elsewhere resumes from here. Ask for the position first and then read the state, so that
    /// the client misses no event.
    ///
    /// # Errors
    ///
    /// `auth.expired` or `access.revoked` if the proof has ended; `log.unavailable` if the log does
    /// not answer.
    pub async fn position<L: EventLog>(&self, log: &L) -> Result<Cursor, Rejection> {
        let (extent, _) = self.open(log).await?;
        Ok(extent.head())
    }

    /// Opens the thread. Checks the proof before the call of the log and after it.
    pub(crate) async fn open<L: EventLog>(
        &self,
        log: &L,
    ) -> Result<(Extent, L::Reader), Rejection> {
        self.proof().check()?;
        let opened = log.open(self.key()).await?;
        self.proof().check()?;
        Ok(opened)
    }
}

/// A stream of a thread's events after a cursor. It replays events, and then waits for new ones.
///
/// It begins with a position, or with a gap if the log cannot serve the client's cursor. When the
/// thread is [erased](EventLog::erase_thread), it ends with [`Ending::AccessRevoked`], and drops the
/// events that it read ahead. Pass it to [`ThreadGrant::guard`]: a [`Delivery`] is opaque, and only
/// the guard can read it.
#[must_use = "streams do nothing unless polled"]
pub struct Subscription<R> {
    /// The thread of the grant.
    thread: ThreadKey,
    reader: R,
    /// The position after the last event that the stream returned.
    at: Cursor,
    start: Start,
    on_gap: OnGap,
    ended: bool,
}

/// The item that the stream returns before any event.
enum Start {
    Done,
    Position,
    /// Decided when the client subscribed: an invented cursor may be a valid position later.
    Gap(Box<(GapReason, Extent)>),
}

impl<R: LogReader> Subscription<R> {
    fn new(thread: ThreadKey, mut reader: R, extent: Extent, from: LastEventId) -> Self {
        let (at, start) = match from {
            LastEventId::Live => (extent.head(), Start::Position),
            LastEventId::Earliest => (extent.earliest(), Start::Position),
            LastEventId::After(cursor) => match extent.serves(cursor) {
                Ok(()) => (cursor, Start::Position),
                Err(reason) => (cursor, Start::Gap(Box::new((reason, extent)))),
            },
        };
        reader.seek(at);
        Self { thread, reader, at, start, on_gap: OnGap::default(), ended: false }
    }

    /// Sets where the stream continues after a gap.
    pub fn on_gap(mut self, choice: OnGap) -> Self {
        self.on_gap = choice;
        self
    }

    fn gap(&mut self, reason: GapReason, extent: Extent) -> Delivery {
        let requested = self.at;
        let resumes_at = match self.on_gap {
            OnGap::Oldest => Some(extent.earliest()),
            OnGap::Live => Some(extent.head()),
            OnGap::Close => None,
        };
        match resumes_at {
            Some(cursor) => {
                self.at = cursor;
                self.reader.seek(cursor);
            }
            None => self.ended = true,
        }
        Gap::of(&self.thread, reason, requested, extent.earliest(), resumes_at).into()
    }

    /// Ends the stream as if the client's access was revoked: a new thread with the same id may belong
    /// to other users.
    fn erased(&mut self) -> Delivery {
        self.ended = true;
        // Drops the events that the reader read ahead.
        self.reader.seek(self.at);
        Ending::AccessRevoked.into()
    }

    /// Accepts `event` if it is the next event of this thread.
    fn advance(&mut self, event: StreamEvent) -> Result<Delivery, LogError> {
        let next = Cursor::new(self.at.epoch(), self.at.seq() + 1);
        if event.routing().key() != &self.thread {
            return Err(LogError::Broken("an event belongs to another thread"));
        }
        if event.cursor() != Some(next) {
            return Err(LogError::Broken("an event does not have the next number of the epoch"));
        }
        self.at = next;
        Ok(event.into())
    }
}

impl<R: LogReader> Stream for Subscription<R> {
    type Item = Result<Delivery, LogError>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Delivery, LogError>>> {
        let this = &mut *self;
        if this.ended {
            return Poll::Ready(None);
        }
        // After an erasure, the stream must not return events that it read before.
        if this.reader.is_erased() {
            return Poll::Ready(Some(Ok(this.erased())));
        }
        match std::mem::replace(&mut this.start, Start::Done) {
            Start::Done => {}
            Start::Position => {
                let position = Position::of(&this.thread, this.at);
                return Poll::Ready(Some(Ok(position.into())));
            }
            Start::Gap(gap) => {
                let (reason, extent) = *gap;
                return Poll::Ready(Some(Ok(this.gap(reason, extent))));
            }
        }
        let item = match ready!(Pin::new(&mut this.reader).poll_next(cx)) {
            Some(Ok(LogItem::Event(event))) => this.advance(event),
            Some(Ok(LogItem::Gap(extent))) => match extent.serves(this.at) {
                Err(reason) => Ok(this.gap(reason, extent)),
                Ok(()) => Err(LogError::Broken("a gap, although the log serves the position")),
            },
            Some(Err(LogError::Erased)) => Ok(this.erased()),
            Some(Err(error)) => Err(error),
            None => Err(LogError::Broken("a reader ended without an error")),
        };
        this.ended |= item.is_err();
        Poll::Ready(Some(item))
    }
}

impl<R> fmt::Debug for Subscription<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("at", &self.at).finish_non_exhaustive()
    }
}
