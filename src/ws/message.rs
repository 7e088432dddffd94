//! One message of any WebSocket library.

/// One message of a WebSocket library. The crate implements it for the messages of axum and
/// tokio-tungstenite, behind their features.
pub trait WsMessage: Sized {
    /// The error of the library's sockets.
    type Error;

    /// A text message.
    fn text(text: String) -> Self;

    /// A ping without data.
    fn ping() -> Self;

    /// A close frame. `reason` is short enough for a control frame.
    fn close(code: u16, reason: &'static str) -> Self;

    /// The kind of this message.
    fn kind(&self) -> WsKind<'_>;

    /// The close code for a fault of the client: 1002, 1007 or 1009. `None` if the connection is broken.
    fn fault(error: &Self::Error) -> Option<u16>;
}

/// The kind of a [`WsMessage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WsKind<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary,
    /// A ping or a pong: the client is alive. The library answers pings.
    Control,
    /// The client closes the connection. The library answers with a close frame.
    Close,
}
