//! Events that are missing.

use crate::{
    ending::Ending,
    event::{Cursor, Routing},
    id::ThreadKey,
};
use serde_json::{Map, Value, json};

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

    pub(super) fn thread(&self) -> &ThreadKey {
        &self.0.thread
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
                "Events after the cursor are no longer kept. Fetch what you missed, then continue from here."
            }
            (Some(_), GapReason::Unknown) => {
                "The cursor is unknown. Discard your local state and continue from here."
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
