//! The log in memory. Each thread has a ring of events; each reader that waits has one waker in it.

mod account;
mod builder;
mod gauge;
mod limits;
mod log;
mod reader;
mod retention;
mod ring;
mod shared;
#[cfg(test)]
mod tests;
mod thread;
mod waiter;
mod waiting;

pub use builder::MemoryLogBuilder;
pub use log::MemoryLog;
pub use reader::MemoryReader;
