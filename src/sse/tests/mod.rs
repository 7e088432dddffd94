//! The frames of a stream: their text, their time, and their size.

mod heartbeat;
mod slow;
mod support;
mod text;
