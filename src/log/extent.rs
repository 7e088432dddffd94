//! What a log holds of a thread.

use crate::event::{Cursor, Epoch};

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
