//! Sessions over a socket of channels: what is said, when, and with which close code.

mod ends;
mod inbound;
mod support;
mod timing;
mod told;
