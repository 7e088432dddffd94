//! Keys that rotate. A set fetches new keys before the old ones are too old, and keeps the old keys while the
//! source fails.

mod builder;
#[cfg(feature = "jwks-client")]
mod client;
mod fetch;
mod file;
mod http_get;
mod set;
mod shared;
mod shown;
mod source;
mod state;
mod task;
mod web;

pub use builder::KeySetBuilder;
#[cfg(feature = "jwks-client")]
pub use client::HttpClient;
pub use file::KeyFile;
pub use http_get::{HttpFuture, HttpGet, HttpResponse};
pub use set::{KeyHealth, KeySet};
pub use source::{KeyFuture, KeySource};
pub use web::{Discovery, JwksUrl};
