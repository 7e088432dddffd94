//! What a source gives to the guard.

use super::{gap::Gap, position::Position};
use crate::{ending::Ending, event::StreamEvent, id::ThreadKey};

/// What a source gives to [`ThreadGrant::guard`](crate::ThreadGrant::guard): an event, a position, a gap,
/// or an ending.
///
/// A `Delivery` is opaque, and only the guard can read it. The guard checks and stamps each item, and
/// gives it out as an [`Outbound`](super::Outbound). So code that sends a `Delivery` to a client without
/// the guard does not compile.
///
/// ```
/// use tower_tenancy::{Delivery, Ending};
///
/// // A source can choose the ending of its stream. The guard gives out nothing after it.
/// let last = Delivery::from(Ending::Drain);
/// # let _ = last;
/// ```
#[derive(Clone, Debug)]
pub struct Delivery(pub(crate) Item);

/// The content of a [`Delivery`].
#[derive(Clone, Debug)]
pub(crate) enum Item {
    Event(StreamEvent),
    Position(Position),
    Gap(Gap),
    End(Ending),
}

impl Item {
    /// The thread that the item belongs to; `None` for an ending.
    pub(crate) fn thread(&self) -> Option<&ThreadKey> {
        match self {
            Self::Event(event) => Some(event.routing().key()),
            Self::Position(position) => Some(position.thread()),
            Self::Gap(gap) => Some(gap.thread()),
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
