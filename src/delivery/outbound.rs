//! What the guard gives to a transport.

use super::{gap::Gap, position::Position};
use crate::{ending::Ending, event::StampedEvent};

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
