//! Messages and errors of tungstenite.

use super::message::{WsKind, WsMessage};
use bytes::Bytes;
use tokio_tungstenite::tungstenite::{
    Error, Message,
    error::ProtocolError,
    protocol::{CloseFrame, WebSocketConfig},
};

/// Small, because each connection allocates it at once, and most connections are quiet.
const READ_BUFFER: usize = 4 * 1024;

/// The messages that are ready go out in writes of about this size, like frames of server-sent events.
const WRITE_BUFFER: usize = 16 * 1024;

pub(super) fn config(max_message: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_message_size(Some(max_message))
        .max_frame_size(Some(max_message))
}

/// The close code of RFC 6455 section 7.4.1 for a fault of the client.
pub(super) fn fault(error: &Error) -> Option<u16> {
    match error {
        Error::Capacity(_) => Some(1009),
        Error::Utf8(_) => Some(1007),
        Error::Protocol(error) => {
            // The client is gone.
            let gone = ProtocolError::ResetWithoutClosingHandshake;
            (*error != gone).then_some(1002)
        }
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Io(_)
        | Error::Tls(_)
        | Error::WriteBufferFull(_)
        | Error::AttackAttempt
        | Error::Url(_)
        | Error::Http(_)
        | Error::HttpFormat(_) => None,
    }
}

impl WsMessage for Message {
    type Error = Error;

    fn text(text: String) -> Self {
        Self::Text(text.into())
    }

    fn ping() -> Self {
        Self::Ping(Bytes::new())
    }

    fn close(code: u16, reason: &'static str) -> Self {
        Self::Close(Some(CloseFrame { code: code.into(), reason: reason.into() }))
    }

    fn kind(&self) -> WsKind<'_> {
        match self {
            Self::Text(text) => WsKind::Text(text),
            Self::Binary(_) => WsKind::Binary,
            Self::Ping(_) | Self::Pong(_) | Self::Frame(_) => WsKind::Control,
            Self::Close(_) => WsKind::Close,
        }
    }

    fn fault(error: &Error) -> Option<u16> {
        fault(error)
    }
}
