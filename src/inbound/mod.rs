//! Messages of clients. A client sends a type and data. The server sets tenant, env, thread and actor.

mod message;
mod receive;
#[cfg(test)]
mod tests;

pub use message::{ClientMessage, InvalidMessage};
pub use receive::OnForeignMembers;
