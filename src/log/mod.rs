//! The log of each thread: appended to under a grant or a [`Publisher`], read by cursor.
//!
//! The log is the queue. A [`Subscription`] is a cursor over it; replay and live are the same
//! read, so there is no hand-over in which an event could be lost or doubled, and a slow reader
//! costs a cursor and no queue. A reader that falls out of retention gets a
//! [`Gap`](crate::Gap), never silence.
//!
//! [`MemoryLog`] is the default. An engine of one's own implements [`EventLog`].

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
