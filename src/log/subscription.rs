//! One subscriber's cursor over a thread's log.

use super::{EventLog, Extent, LogError, LogReader};
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
    collections::VecDeque,
    fmt,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

/// How much is taken from the log at once, in bytes: what a stalled subscriber holds on to.
const BATCH: usize = 16 * 1024;

/// Where reading goes on after a gap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
        let (reader, extent) = self.extent(log).await?;
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
        let (_, extent) = self.extent(log).await?;
        Ok(extent.head())
    }

    /// What the log holds of the thread, if the proof holds once the log has answered.
    pub(crate) async fn extent<L: EventLog>(
        &self,
        log: &L,
    ) -> Result<(L::Reader, Extent), Rejection> {
        self.proof().check()?;
        let mut reader = log.reader(self.key());
        let extent = poll_fn(|cx| reader.poll_extent(cx)).await?;
        self.proof().check()?;
        Ok((reader, extent))
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
    /// Read, and not given out yet.
    batch: VecDeque<StreamEvent>,
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
    fn new(thread: ThreadKey, reader: R, extent: Extent, from: LastEventId) -> Self {
        let (at, start) = match from {
            LastEventId::Live => (extent.head(), Start::Position),
            LastEventId::Earliest => (extent.earliest(), Start::Position),
            LastEventId::After(cursor) => match unservable(cursor, extent) {
                None => (cursor, Start::Position),
                Some(reason) => (cursor, Start::Gap(Box::new((reason, extent)))),
            },
        };
        Self {
            thread,
            reader,
            at,
            start,
            on_gap: OnGap::default(),
            batch: VecDeque::new(),
            ended: false,
        }
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
            Some(cursor) => self.at = cursor,
            None => self.ended = true,
        }
        Gap::of(&self.thread, reason, requested, extent.earliest(), resumes_at).into()
    }

    /// Ends for the client as if its access was withdrawn: what it reads is no more, and a thread of
    /// the same id may be somebody else's.
    fn erased(&mut self) -> Delivery {
        self.ended = true;
        self.batch = VecDeque::new();
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

/// The one rule of resuming: why the events after `cursor` cannot be served, if they cannot.
fn unservable(cursor: Cursor, extent: Extent) -> Option<GapReason> {
    if cursor.epoch() != extent.epoch || cursor.seq() > extent.head().seq() {
        Some(GapReason::Unknown)
    } else if cursor.seq() < extent.earliest().seq() {
        Some(GapReason::Trimmed)
    } else {
        None
    }
}

impl<R: LogReader + Unpin> Stream for Subscription<R> {
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
        if this.batch.is_empty() {
            let read = ready!(this.reader.poll_read(cx, this.at, BATCH, &mut this.batch));
            match read.map(|extent| (unservable(this.at, extent), extent)) {
                Ok((None, _)) => {}
                Ok((Some(reason), extent)) => {
                    this.batch.clear();
                    return Poll::Ready(Some(Ok(this.gap(reason, extent))));
                }
                Err(LogError::Erased) => return Poll::Ready(Some(Ok(this.erased()))),
                Err(error) => {
                    this.ended = true;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
        let item = match this.batch.pop_front() {
            Some(event) => this.advance(event),
            None => Err(LogError::Broken("a read gave nothing and did not wait")),
        };
        this.ended = item.is_err();
        Poll::Ready(Some(item))
    }
}

impl<R> fmt::Debug for Subscription<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("at", &self.at).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::unservable;
    use crate::{
        delivery::{Delivery, GapReason, Item},
        event::{Cursor, Epoch, EventType, LastEventId, NewEvent, Routing, StreamEvent},
        id::{TenantId, ThreadKey},
        log::{EventLog, Extent, LogError, LogReader},
        testing::fixtures::{grant, routing, scope},
    };
    use futures_util::{FutureExt as _, StreamExt as _};
    use std::{
        collections::VecDeque,
        future::{Future, ready},
        task::{Context, Poll},
        time::UNIX_EPOCH,
    };

    #[test]
    fn a_cursor_is_served_only_from_inside_what_is_retained() {
        let epoch = Epoch::random();
        let extent = Extent { epoch, oldest: 5, next: 9 };
        for (seq, expected) in [
            (0, Some(GapReason::Trimmed)),
            (3, Some(GapReason::Trimmed)),
            (4, None),
            (8, None),
            (9, Some(GapReason::Unknown)),
            (u64::MAX, Some(GapReason::Unknown)),
        ] {
            assert_eq!(unservable(Cursor::new(epoch, seq), extent), expected, "{seq}");
        }
        let foreign = Cursor::new(Epoch::random(), 6);
        assert_eq!(unservable(foreign, extent), Some(GapReason::Unknown));
        let empty = Extent { epoch, oldest: 1, next: 1 };
        assert_eq!(unservable(Cursor::new(epoch, 0), empty), None);
    }

    /// A log that breaks its contract: whoever reads gets these events.
    #[derive(Clone)]
    struct Lying(Extent, Vec<StreamEvent>);

    impl EventLog for Lying {
        type Reader = Self;

        fn append(
            &self,
            _: NewEvent,
        ) -> impl Future<Output = Result<StreamEvent, LogError>> + Send {
            ready(Err(LogError::Unavailable("read only".into())))
        }

        fn reader(&self, _: &ThreadKey) -> Self {
            self.clone()
        }

        fn erase_thread(&self, _: &Routing) -> impl Future<Output = Result<(), LogError>> + Send {
            ready(Err(LogError::Unavailable("read only".into())))
        }

        fn erase_tenant(&self, _: &TenantId) -> impl Future<Output = Result<(), LogError>> + Send {
            ready(Err(LogError::Unavailable("read only".into())))
        }
    }

    impl LogReader for Lying {
        fn poll_extent(&mut self, _: &mut Context<'_>) -> Poll<Result<Extent, LogError>> {
            Poll::Ready(Ok(self.0))
        }

        fn poll_read(
            &mut self,
            _: &mut Context<'_>,
            _: Cursor,
            _: usize,
            into: &mut VecDeque<StreamEvent>,
        ) -> Poll<Result<Extent, LogError>> {
            into.extend(self.1.drain(..));
            Poll::Ready(Ok(self.0))
        }

        fn is_erased(&self) -> bool {
            false
        }
    }

    #[test]
    fn a_log_that_breaks_its_contract_ends_the_stream_and_hides_no_gap() {
        let epoch = Epoch::random();
        let extent = Extent { epoch, oldest: 1, next: 4 };
        let event = |tenant: &str, epoch: Epoch, seq: u64| {
            let event_type = EventType::new("x").unwrap();
            let draft = NewEvent::new(routing(tenant, "th"), event_type, "y", None).unwrap();
            draft.seal(Cursor::new(epoch, seq), UNIX_EPOCH)
        };
        let ours = |seq| event("t_a", epoch, seq);
        for (second, what) in [
            (vec![ours(3)], "a hole"),
            (vec![ours(1)], "doubled"),
            (vec![event("t_b", epoch, 2)], "another tenant's"),
            (vec![event("t_a", Epoch::random(), 2)], "of another epoch"),
            (vec![], "nothing, and no wait"),
        ] {
            let log = Lying(extent, [vec![ours(1)], second].concat());
            let grant = grant(scope("t_a"), "th");
            let read = grant.subscribe(&log, LastEventId::Earliest).now_or_never().unwrap();
            let items: Vec<_> = read.unwrap().collect::<Vec<_>>().now_or_never().unwrap();
            let [
                Ok(Delivery(Item::Position(_))),
                Ok(Delivery(Item::Event(_))),
                Err(LogError::Broken(_)),
            ] = &items[..]
            else {
                panic!("{what}: {items:?}");
            };
        }
    }
}
