//! What a stream hands over: events, positions, gaps, and the reason for its end.

use crate::{
    event::{Cursor, Routing, StampedEvent, StreamEvent},
    id::ThreadKey,
};

/// What a source gives to [`ThreadGrant::guard`](crate::ThreadGrant::guard).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Delivery {
    /// An event.
    Event(StreamEvent),
    /// Where reading goes on.
    Position(Position),
    /// Events are missing here.
    Gap(Gap),
}

impl Delivery {
    /// Whose delivery this is.
    pub(crate) fn thread(&self) -> &ThreadKey {
        match self {
            Self::Event(event) => event.routing().key(),
            Self::Position(position) => &position.thread,
            Self::Gap(gap) => &gap.thread,
        }
    }
}

impl From<StreamEvent> for Delivery {
    fn from(event: StreamEvent) -> Self {
        Self::Event(event)
    }
}

impl From<Position> for Delivery {
    fn from(position: Position) -> Self {
        Self::Position(position)
    }
}

impl From<Gap> for Delivery {
    fn from(gap: Gap) -> Self {
        Self::Gap(gap)
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
        Self { thread: routing.key().clone(), cursor }
    }

    /// The position, as clients see it.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }
}

/// A client's cursor can no longer be served without loss.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
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
        Self { thread: routing.key().clone(), reason, requested, oldest, resumes_at }
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> GapReason {
        self.reason
    }

    /// The cursor that cannot be served.
    #[must_use]
    pub fn requested(&self) -> Cursor {
        self.requested
    }

    /// The position before the oldest event that is still there.
    #[must_use]
    pub fn oldest(&self) -> Cursor {
        self.oldest
    }

    /// Where reading goes on; `None` if the stream ends instead.
    #[must_use]
    pub fn resumes_at(&self) -> Option<Cursor> {
        self.resumes_at
    }
}

/// Why there is a [`Gap`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GapReason {
    /// Events after the cursor have left retention.
    Trimmed,
    /// The cursor is not one of this log as it is now: of an earlier incarnation, of another
    /// thread, or made up. Which of these is not told.
    Unknown,
}

/// Why a stream ended, told to its client in a last notice.
///
/// | code | client should |
/// |---|---|
/// | `auth.expired` | renew the token, then reconnect with its cursor |
/// | `stream.complete` | stop |
/// | `stream.source_failed` | reconnect with its cursor |
/// | `stream.gap` | fetch the state anew, then connect without a cursor |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ending {
    /// The token is over.
    AuthExpired,
    /// The source ended by intent: an agent is done.
    Complete,
    /// The source failed, or gave an event of another thread and the stream was to close then.
    SourceFailed,
    /// There is a gap, and the stream was to close then.
    Gap,
}

impl Ending {
    /// The stable code that clients match on, such as `auth.expired`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::AuthExpired => "auth.expired",
            Self::Complete => "stream.complete",
            Self::SourceFailed => "stream.source_failed",
            Self::Gap => "stream.gap",
        }
    }

    /// What the client is told to do.
    #[must_use]
    pub const fn detail(self) -> &'static str {
        match self {
            Self::AuthExpired => {
                "The token has expired. Renew it, then reconnect with your cursor."
            }
            Self::Complete => "The stream is complete. Do not reconnect.",
            Self::SourceFailed => {
                "The stream broke off. Reconnect, with your cursor if you have one."
            }
            Self::Gap => "Events were missed. Fetch the state anew, then connect without a cursor.",
        }
    }

    /// Whether the client should come back by itself, after a while.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::SourceFailed)
    }
}

/// What a guarded stream gives to its transport.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Outbound {
    /// An event of the grant's thread, stamped with the request's id.
    Event(StampedEvent),
    /// Where reading goes on.
    Position(Position),
    /// Events are missing here; reading goes on at [`Gap::resumes_at`].
    Gap(Gap),
    /// The last word. For [`Ending::Gap`] a [`Gap`] came right before.
    End(Ending),
}
