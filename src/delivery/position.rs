//! Where reading of a thread goes on.

use crate::{
    event::{Cursor, Routing},
    id::ThreadKey,
};

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

    pub(super) fn thread(&self) -> &ThreadKey {
        &self.thread
    }

    /// The position, as clients see it.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }
}
