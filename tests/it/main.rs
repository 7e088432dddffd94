//! One binary: it links once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod browser;
mod chat;
mod hosts;
mod layering;
mod layers;
mod resume;
mod support;
mod ui;
