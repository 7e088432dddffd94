//! The items of a stream: events, positions, gaps, and the ending.

mod gap;
mod item;
mod outbound;
mod position;

pub use gap::{Gap, GapReason};
pub use item::Delivery;
pub(crate) use item::Item;
pub use outbound::Outbound;
pub use position::Position;
