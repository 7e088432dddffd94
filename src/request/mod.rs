//! A request, as layers and applications look at it.

mod head;
pub(crate) mod query;

pub use head::RequestHead;
#[cfg(feature = "tokio-tungstenite")]
pub(crate) use head::tokens;
