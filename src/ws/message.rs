//! One message, of whatever WebSocket library.

/// One message of a WebSocket library. Implemented for those of axum and tokio-tungstenite, behind
/// their features.
pub trait WsMessage: Sized {
    /// What the library's sockets fail with.
    type Error;

    /// A text message.
    fn text(text: String) -> Self;

    /// A ping without data.
    fn ping() -> Self;

    /// A close frame. `reason` is short enough to fit.
    fn close(code: u16, reason: &'static str) -> Self;

    /// What kind of message this is.
    fn kind(&self) -> WsKind<'_>;

    /// The close code that answers what the client did wrong: 1002, 1007, 1009. `None` if the
    /// connection is just broken.
    fn fault(error: &Self::Error) -> Option<u16>;
}

/// What a [`WsMessage`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WsKind<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary,
    /// A ping or a pong: the peer is alive. The library answers pings.
    Control,
    /// The peer closes. The library answers.
    Close,
}
