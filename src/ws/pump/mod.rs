//! Moves messages between a guarded stream and a socket.

mod close;
mod read;
mod run;
mod timers;
mod write;

pub(super) use run::Pump;
