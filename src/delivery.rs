//! What a stream hands over: events, positions, gaps, and the reason for its end.

use crate::{
    ending::Ending,
    event::{Cursor, Routing, StampedEvent, StreamEvent},
    id::ThreadKey,
};
use serde_json::{Map, Value, json};

/// What a source gives to [`ThreadGrant::guard`](crate::ThreadGrant::guard): an event, a position, a
/// gap, or the reason for its end.
///
/// It is opaque. What a log or another source has for a thread is read only after the guard has
/// checked and stamped it, as [`Outbound`]: a stream that is written by hand past the guard does not
/// compile.
///
/// ```
/// use tower_tenancy::{Delivery, Ending};
///
/// // A source ends its stream for a reason of its own. Nothing that comes after is given out.
/// let last = Delivery::from(Ending::Drain);
/// # let _ = last;
/// ```
#[derive(Clone, Debug)]
pub struct Delivery(pub(crate) Item);

/// What is in a [`Delivery`].
#[derive(Clone, Debug)]
pub(crate) enum Item {
    Event(StreamEvent),
    Position(Position),
    Gap(Gap),
    End(Ending),
}

impl Item {
    /// The thread that it belongs to; `None` for an end, which says nothing of any thread.
    pub(crate) fn thread(&self) -> Option<&ThreadKey> {
        match self {
            Self::Event(event) => Some(event.routing().key()),
            Self::Position(position) => Some(&position.thread),
            Self::Gap(gap) => Some(&gap.0.thread),
            Self::End(_) => None,
        }
    }
}

impl From<StreamEvent> for Delivery {
    fn from(event: StreamEvent) -> Self {
        Self(Item::Event(event))
    }
}

impl From<Position> for Delivery {
    fn from(position: Position) -> Self {
        Self(Item::Position(position))
    }
}

impl From<Gap> for Delivery {
    fn from(gap: Gap) -> Self {
        Self(Item::Gap(gap))
    }
}

impl From<Ending> for Delivery {
    fn from(ending: Ending) -> Self {
        Self(Item::End(ending))
    }
}

/// Where reading of a thread goes on: a client that reconnects there has missed nothing before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    thread: ThreadKey,
    cursor: Cursor,
}

impl Position {
    /// A position in the thread that `routing` names.
    #[must_use]
    pub fn new(routing: &Routing, cursor: Cursor) -> Self {
        Self::of(routing.key(), cursor)
    }

    pub(crate) fn of(thread: &ThreadKey, cursor: Cursor) -> Self {
        Self { thread: thread.clone(), cursor }
    }

    /// The position, as clients see it.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }
}

/// A client's cursor can no longer be served without loss.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap(Box<Missing>);

/// Kept out of line: a gap is rare, and would make every delivery as large as itself.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Missing {
    thread: ThreadKey,
    reason: GapReason,
    requested: Cursor,
    oldest: Cursor,
    resumes_at: Option<Cursor>,
}

impl Gap {
    /// A gap in the thread that `routing` names: `requested` cannot be served, `oldest` is the
    /// position before the oldest event that is still there, and reading goes on at `resumes_at`,
    /// or ends.
    #[must_use]
    pub fn new(
        routing: &Routing,
        reason: GapReason,
        requested: Cursor,
        oldest: Cursor,
        resumes_at: Option<Cursor>,
    ) -> Self {
        Self::of(routing.key(), reason, requested, oldest, resumes_at)
    }

    pub(crate) fn of(
        thread: &ThreadKey,
        reason: GapReason,
        requested: Cursor,
        oldest: Cursor,
        resumes_at: Option<Cursor>,
    ) -> Self {
        Self(Box::new(Missing { thread: thread.clone(), reason, requested, oldest, resumes_at }))
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> GapReason {
        self.0.reason
    }

    /// The cursor that cannot be served.
    #[must_use]
    pub fn requested(&self) -> Cursor {
        self.0.requested
    }

    /// The position before the oldest event that is still there.
    #[must_use]
    pub fn oldest(&self) -> Cursor {
        self.0.oldest
    }

    /// Where reading goes on; `None` if the stream ends instead.
    #[must_use]
    pub fn resumes_at(&self) -> Option<Cursor> {
        self.0.resumes_at
    }

    /// What the client is told.
    #[must_use]
    pub fn detail(&self) -> &'static str {
        match (self.0.resumes_at, self.0.reason) {
            (None, _) => Ending::Gap.detail(),
            (Some(_), GapReason::Trimmed) => {
                "Events after the requested cursor are not kept any more."
            }
            (Some(_), GapReason::Unknown) => {
                "The requested cursor is not one of this thread's log as it is now. Start anew from here."
            }
        }
    }

    /// What the notice says, on the transports that write JSON.
    pub(crate) fn members(&self) -> Map<String, Value> {
        let mut members = Ending::Gap.members();
        members.extend([
            ("detail".to_owned(), self.detail().into()),
            ("reason".to_owned(), self.0.reason.as_str().into()),
            ("requested".to_owned(), json!(self.0.requested)),
            ("oldest".to_owned(), json!(self.0.oldest)),
            ("resumes_at".to_owned(), json!(self.0.resumes_at)),
        ]);
        members
    }
}

/// Why there is a [`Gap`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GapReason {
    /// Events after the cursor have left retention.
    Trimmed,
    /// The cursor is not one of this log as it is now: of an earlier incarnation, of another
    /// thread, or made up. Which of these is not told.
    Unknown,
}

impl GapReason {
    /// `trimmed` or `unknown`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trimmed => "trimmed",
            Self::Unknown => "unknown",
        }
    }
}

/// What a guarded stream gives to its transport.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Outbound {
    /// An event of the grant's thread, stamped with the request's id.
    Event(StampedEvent),
    /// Where reading starts, or goes on.
    Position(Position),
    /// Events are missing here; reading goes on at [`Gap::resumes_at`].
    Gap(Gap),
    /// The last word. For [`Ending::Gap`] a [`Gap`] came right before.
    End(Ending),
}
