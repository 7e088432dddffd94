//! The head of a request, and its query.

mod head;
pub(crate) mod query;

pub use head::RequestHead;
#[cfg(feature = "tokio-tungstenite")]
pub(crate) use head::tokens;
