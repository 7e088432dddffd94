//! Sessions over axum's `ws`.

use super::{
    message::{WsKind, WsMessage},
    session::WsSession,
};
use crate::{
    auth::is_bearer_protocol, inbound::ClientMessage, rejection::Rejection, stream::IntoDelivery,
};
use axum::extract::ws::{CloseFrame, Message, OnFailedUpgrade, WebSocketUpgrade};
use bytes::Bytes;
use futures_core::Stream;
use http::Response;
use std::future::Future;

impl WsMessage for Message {
    type Error = axum::Error;

    fn text(text: String) -> Self {
        Self::Text(text.into())
    }

    fn ping() -> Self {
        Self::Ping(Bytes::new())
    }

    fn close(code: u16, reason: &'static str) -> Self {
        Self::Close(Some(CloseFrame { code, reason: reason.into() }))
    }

    fn kind(&self) -> WsKind<'_> {
        match self {
            Self::Text(text) => WsKind::Text(text),
            Self::Binary(_) => WsKind::Binary,
            Self::Ping(_) | Self::Pong(_) => WsKind::Control,
            Self::Close(_) => WsKind::Close,
        }
    }

    fn fault(error: &axum::Error) -> Option<u16> {
        let cause = std::error::Error::source(error)?;
        super::tungstenite::fault(cause.downcast_ref()?)
    }
}

impl<S> WsSession<S> {
    /// Accepts the upgrade, and runs the session on its socket.
    ///
    /// If the client offers protocols and the handler chose none, this method chooses the first protocol
    /// that is not a token. Otherwise, a browser would close the connection.
    ///
    /// See [`run`](Self::run) for `on_message`, and the [module docs](crate::ws) for an example.
    pub fn on_upgrade<C, H, F, O, E>(
        self,
        mut upgrade: WebSocketUpgrade<C>,
        on_message: H,
    ) -> Response<axum::body::Body>
    where
        C: OnFailedUpgrade,
        S: Stream + Send + 'static,
        S::Item: IntoDelivery,
        H: FnMut(ClientMessage) -> F + Send + 'static,
        F: Future<Output = Result<O, E>> + Send + 'static,
        O: 'static,
        E: Into<Rejection> + 'static,
    {
        if upgrade.selected_protocol().is_none() {
            let mut offered = upgrade.requested_protocols();
            let plain = offered.find(|name| !name.to_str().is_ok_and(is_bearer_protocol)).cloned();
            drop(offered);
            if let Some(protocol) = plain {
                upgrade.set_selected_protocol(protocol);
            }
        }
        let config = super::tungstenite::config(self.options.max_message);
        upgrade
            .read_buffer_size(config.read_buffer_size)
            .write_buffer_size(config.write_buffer_size)
            .max_message_size(self.options.max_message)
            .max_frame_size(self.options.max_message)
            .on_upgrade(move |socket| self.run(socket, on_message))
    }
}
