//! Events that are missing.

use crate::{
    ending::Ending,
    event::{Cursor, Routing},
    id::ThreadKey,
};
use serde_json::{Map, Value, json};

/// The client's cursor cannot be served without loss.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap(Box<Missing>);

/// Boxed, because a gap is rare and would make every delivery larger.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Missing {
    thread: ThreadKey,
    reason: GapReason,
    requested: Cursor,
    oldest: Cursor,
    resumes_at: Option<Cursor>,
}

impl Gap {
    /// A gap in the thread of `routing`. The log cannot serve `requested`. `oldest` is the position
    /// before the oldest event that it still has. Reading continues at `resumes_at`; if that is `None`,
    /// the stream ends.
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

    pub(super) fn thread(&self) -> &ThreadKey {
        &self.0.thread
    }

    /// The reason.
    #[must_use]
    pub fn reason(&self) -> GapReason {
        self.0.reason
    }

    /// The cursor that the log cannot serve.
    #[must_use]
    pub fn requested(&self) -> Cursor {
        self.0.requested
    }

    /// The position before the oldest event that the log still has.
    #[must_use]
    pub fn oldest(&self) -> Cursor {
        self.0.oldest
    }

    /// Where reading continues; `None` if the stream ends instead.
    #[must_use]
    pub fn resumes_at(&self) -> Option<Cursor> {
        self.0.resumes_at
    }

    /// The text that the client reads.
    #[must_use]
    pub fn detail(&self) -> &'static str {
        match (self.0.resumes_at, self.0.reason) {
            (None, _) => Ending::Gap.detail(),
            (Some(_), GapReason::Trimmed) => {
                "Events after the cursor are no longer kept. Fetch what you missed, then continue from here."
            }
            (Some(_), GapReason::Unknown) => {
                "The cursor is unknown. Discard your local state and continue from here."
            }
        }
    }

    /// The members of the notice, for SSE and WebSocket.
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

/// The reason for a [`Gap`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GapReason {
    /// The log no longer has the events after the cursor.
    Trimmed,
    /// The log does not know the cursor: the cursor belongs to another epoch or another thread, is ahead
    /// of the head, or was made up. The notice does not say which.
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
