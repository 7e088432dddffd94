//! The stream adapter: it checks each item of any stream against a grant, just before the item goes out.

mod guarded;
mod item;
mod observe;
mod poll;
#[cfg(test)]
mod tests;

pub use guarded::{GuardedStream, OnMismatch};
pub use item::IntoDelivery;
pub(crate) use poll::Polled;
