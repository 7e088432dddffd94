//! The adapter: any stream of events, checked against a grant at the last moment.

mod guarded;
mod item;
mod observe;
mod poll;
#[cfg(test)]
mod tests;

pub use guarded::{GuardedStream, OnMismatch};
pub use item::IntoDelivery;
pub(crate) use poll::Polled;
