//! What a client may say: a type and its data, and nothing about whose it is.

mod message;
mod receive;
#[cfg(test)]
mod tests;

pub use message::{ClientMessage, InvalidMessage};
pub use receive::OnForeignMembers;
