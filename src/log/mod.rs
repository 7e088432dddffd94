//! The log of each thread. A grant or a [`Publisher`] appends to it; subscribers read it by cursor.
//!
//! A [`Subscription`] is a cursor over the log. Replay and live delivery are the same read, so there
//! is no hand-over that could lose or duplicate an event. A slow reader costs a cursor, not a queue.
//! A reader that asks for an event which the log no longer keeps gets a [`Gap`](crate::Gap).
//!
//! [`MemoryLog`] is the default. Your own engine implements [`EventLog`].

mod dyn_log;
mod error;
mod event_log;
mod extent;
mod memory;
mod publisher;
mod subscription;
#[cfg(test)]
mod tests;

pub use dyn_log::DynEventLog;
pub use error::LogError;
pub use event_log::{EventLog, LogItem, LogReader, erase_thread};
pub use extent::Extent;
pub use memory::{MemoryLog, MemoryLogBuilder, MemoryReader};
pub use publisher::{PublishError, Publisher};
pub use subscription::{OnGap, Subscription};
