//! One subscriber's cursor over a thread's log.

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

/// Where reading goes on after a gap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnGap {
    /// At the oldest event that is still there.
    #[default]
    Oldest,
    /// Live, from now.
    Live,
    /// Nowhere: the stream ends.
    Close,
}

impl ThreadGrant {
    /// Reads the grant's thread from where the client asks to start.
    ///
    /// # Errors
    ///
    /// `auth.expired` or `access.revoked` if the proof is over; `log.unavailable` if the log does
    /// not answer; `auth.invalid` if the grant stems from a ticket that was used before, and `from`
    /// is no cursor of this log as it is now.
    pub async fn subscribe<L: EventLog>(
        &self,
        log: &L,
        from: impl Into<LastEventId>,
    ) -> Result<Subscription<L::Reader>, Rejection> {
        let (extent, reader) = self.open(log).await?;
        let from = from.into();
        // A client without a cursor of this epoch never read this log.
        let goes_on = matches!(from, LastEventId::After(cursor) if cursor.epoch() == extent.epoch);
        if self.scope().auth().ticket().is_some_and(|ticket| ticket.reopens) && !goes_on {
            let rejection = Rejection::new(RejectionKind::AuthInvalid);
            return Err(rejection.with_source("a used ticket without a cursor of this log"));
        }
        Ok(Subscription::new(self.key().clone(), reader, extent, from))
    }

    /// The position after the newest event of the grant's thread: what a client resumes from that
    /// gets the state from elsewhere. Ask for the position first and read the state after it, so
    /// that nothing which comes in between is missed.
    ///
    /// # Errors
    ///
    /// `auth.expired` or `access.revoked` if the proof is over; `log.unavailable` if the log does
    /// not answer.
    pub async fn position<L: EventLog>(&self, log: &L) -> Result<Cursor, Rejection> {
        let (extent, _) = self.open(log).await?;
        Ok(extent.head())
    }

    /// Opens the thread, if the proof holds before the log was asked and once it has answered.
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

/// A stream of a thread's events after a cursor, live once it has caught up.
///
/// It begins with a position, or with a gap if the client's cursor cannot be served. It ends with
/// [`Ending::AccessRevoked`] once the thread is [erased](EventLog::erase_thread), and gives out
/// nothing that it had read before. It is meant for [`ThreadGrant::guard`], which alone can read what
/// it gives: a [`Delivery`] is opaque.
#[must_use = "streams do nothing unless polled"]
pub struct Subscription<R> {
    /// Of the grant: whose thread this is.
    thread: ThreadKey,
    reader: R,
    /// The position after the last event that was given out.
    at: Cursor,
    start: Start,
    on_gap: OnGap,
    ended: bool,
}

/// What is to be said before any event.
enum Start {
    Said,
    Position,
    /// Decided when the client asked: what was made up then may be a position by now.
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

    /// Where reading goes on after a gap.
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

    /// Ends for the client as if its access was withdrawn: what it reads is no more, and a thread of
    /// the same id may be somebody else's.
    fn erased(&mut self) -> Delivery {
        self.ended = true;
        // Lets go of what was read ahead.
        self.reader.seek(self.at);
        Ending::AccessRevoked.into()
    }

    /// Gives out `event` if it is the very next one.
    fn advance(&mut self, event: StreamEvent) -> Result<Delivery, LogError> {
        let next = Cursor::new(self.at.epoch(), self.at.seq() + 1);
        if event.routing().key() != &self.thread {
            return Err(LogError::Broken("an event is of another thread"));
        }
        if event.cursor() != Some(next) {
            return Err(LogError::Broken("an event is not the one after its predecessor"));
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
        // What was read before the erasure is not to be given out after it either.
        if this.reader.is_erased() {
            return Poll::Ready(Some(Ok(this.erased())));
        }
        match std::mem::replace(&mut this.start, Start::Said) {
            Start::Said => {}
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
                Ok(()) => Err(LogError::Broken("a gap where there is none")),
            },
            Some(Err(LogError::Erased)) => Ok(this.erased()),
            Some(Err(error)) => Err(error),
            None => Err(LogError::Broken("a reader ended without a reason")),
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
