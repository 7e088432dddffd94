//! Sessions over a socket of channels: their messages, timing and close codes.

mod ends;
mod inbound;
mod messages;
mod support;
mod timing;
