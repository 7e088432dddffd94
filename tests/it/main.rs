//! All integration tests in one binary, so that the linker runs only once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod browser;
mod browsers;
mod chat;
mod clients;
#[cfg(feature = "tonic")]
mod codegen;
#[cfg(feature = "tonic")]
mod grpc;
mod hosts;
#[cfg(feature = "test-util")]
mod keys;
mod layering;
mod layers;
mod links;
mod log;
#[path = "../minter/mod.rs"]
mod minter;
mod own_log;
#[cfg(feature = "test-util")]
mod proof;
mod providers;
mod proxies;
mod readiness;
mod refusals;
mod registry;
mod requests;
mod resume;
mod routes;
mod support;
mod ticket_model;
mod tickets;
mod ui;
mod websocket;
mod websocket_h2;
