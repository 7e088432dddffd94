//! The items that the guard gives to a transport.

use super::{gap::Gap, position::Position};
use crate::{ending::Ending, event::StampedEvent};

/// What a guarded stream gives to its transport.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Outbound {
    /// An event of the grant's thread, stamped with the request's id.
    Event(StampedEvent),
    /// Where reading starts, or continues.
    Position(Position),
    /// Events are missing here. Reading continues at [`Gap::resumes_at`].
    Gap(Gap),
    /// The end of the stream. This is the last item. If a gap ends the stream, the [`Gap`] comes first,
    /// and then [`Ending::Gap`].
    End(Ending),
}
