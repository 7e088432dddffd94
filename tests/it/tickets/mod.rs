//! Tickets: streams for browsers, which cannot send a token.

mod hosts;
mod opening;
mod service;
mod support;
