//! Tickets in the memory of one process.

mod entry;
mod limits;
mod state;
mod store;
#[cfg(test)]
mod tests;

pub use store::MemoryTickets;
