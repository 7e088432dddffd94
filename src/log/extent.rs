//! The range of events that a log holds of a thread.

use crate::{
    delivery::GapReason,
    event::{Cursor, Epoch},
};

/// The range of events that a log holds of one thread at one moment: `oldest` to `next - 1`.
///
/// The log numbers events from 1, without holes. If it holds none, `oldest` equals `next`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Extent {
    /// The incarnation of the thread's log. Each new one is random.
    pub epoch: Epoch,
    /// The number of the oldest event that the log holds.
    pub oldest: u64,
    /// The number that the next event will have.
    pub next: u64,
}

impl Extent {
    /// The events `oldest` to `next - 1` of an epoch.
    #[must_use]
    pub const fn new(epoch: Epoch, oldest: u64, next: u64) -> Self {
        Self { epoch, oldest, next }
    }

    /// The position before the oldest event that the log holds.
    #[must_use]
    pub fn earliest(&self) -> Cursor {
        Cursor::new(self.epoch, self.oldest.saturating_sub(1))
    }

    /// The position after the newest event.
    #[must_use]
    pub fn head(&self) -> Cursor {
        Cursor::new(self.epoch, self.next.saturating_sub(1))
    }

    /// Checks that the log can serve all events after `after`. All reads use this rule.
    ///
    /// # Errors
    ///
    /// [`GapReason::Unknown`] for a cursor of another epoch or ahead of the head;
    /// [`GapReason::Trimmed`] if the log no longer holds the event after the cursor.
    ///
    /// ```
    /// use tower_tenancy::{Cursor, GapReason, event::Epoch, log::Extent};
    ///
    /// let epoch = Epoch::random();
    /// let extent = Extent::new(epoch, 5, 9);
    /// assert_eq!(extent.serves(Cursor::new(epoch, 4)), Ok(()));
    /// assert_eq!(extent.serves(Cursor::new(epoch, 3)), Err(GapReason::Trimmed));
    /// assert_eq!(extent.serves(Cursor::new(Epoch::random(), 4)), Err(GapReason::Unknown));
    /// ```
    pub fn serves(&self, after: Cursor) -> Result<(), GapReason> {
        if after.epoch() != self.epoch || after.seq() > self.head().seq() {
            Err(GapReason::Unknown)
        } else if after.seq() < self.earliest().seq() {
            Err(GapReason::Trimmed)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Extent;
    use crate::{
        delivery::GapReason,
        event::{Cursor, Epoch},
    };

    #[test]
    fn the_log_serves_only_cursors_inside_the_extent() {
        let epoch = Epoch::random();
        let extent = Extent::new(epoch, 5, 9);
        for (seq, expected) in [
            (0, Err(GapReason::Trimmed)),
            (3, Err(GapReason::Trimmed)),
            (4, Ok(())),
            (8, Ok(())),
            (9, Err(GapReason::Unknown)),
            (u64::MAX, Err(GapReason::Unknown)),
        ] {
            assert_eq!(extent.serves(Cursor::new(epoch, seq)), expected, "{seq}");
        }
        let foreign = Cursor::new(Epoch::random(), 6);
        assert_eq!(extent.serves(foreign), Err(GapReason::Unknown));
        let empty = Extent::new(epoch, 1, 1);
        assert_eq!(empty.serves(Cursor::new(epoch, 0)), Ok(()));
    }
}
