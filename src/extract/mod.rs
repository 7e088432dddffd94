//! Extractors for axum, and for any other host that uses axum-core.
//!
//! If the layer of an extractor is missing, the extractor refuses every request with
//! `server.misconfigured` (500), and the log line names the layer.

mod contexts;
mod json_text;
mod responses;
mod thread_access;

pub use json_text::JsonText;
pub use thread_access::ThreadAccess;
