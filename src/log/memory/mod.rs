//! The log in memory: one ring a thread, one waker slot a waiting reader.

mod account;
mod builder;
mod log;
mod reader;
mod retention;
mod ring;
#[cfg(test)]
mod tests;
mod thread;
mod waiting;

pub use builder::MemoryLogBuilder;
pub use log::MemoryLog;
pub use reader::MemoryReader;
