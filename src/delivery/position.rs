//! A position in a thread.

use crate::{
    event::{Cursor, Routing},
    id::ThreadKey,
};

/// Where reading of a thread continues. A client that reconnects with this cursor misses nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    thread: ThreadKey,
    cursor: Cursor,
}

impl Position {
    /// A position in the thread of `routing`.
    #[must_use]
    pub fn new(routing: &Routing, cursor: Cursor) -> Self {
        Self::of(routing.key(), cursor)
    }

    pub(crate) fn of(thread: &ThreadKey, cursor: Cursor) -> Self {
        Self { thread: thread.clone(), cursor }
    }

    pub(super) fn thread(&self) -> &ThreadKey {
        &self.thread
    }

    /// The position as the cursor that clients see.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }
}
