//! Reads the client's messages.

use super::run::{Phase, Pump};
use crate::{
    inbound::{ClientMessage, InvalidMessage},
    rejection::{Rejection, RejectionKind},
    stream::IntoDelivery,
    ws::message::{WsKind, WsMessage},
};
use futures_core::Stream;
use futures_sink::Sink;
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

/// Close codes of RFC 6455 section 7.4.1 for faults of the client.
const UNSUPPORTED_DATA: u16 = 1003;

const MESSAGE_TOO_BIG: u16 = 1009;

impl<T, M, S, H, F, O, E> Pump<T, M, S, H, F>
where
    T: Stream<Item = Result<M, M::Error>> + Sink<M, Error = M::Error>,
    M: WsMessage,
    S: Stream,
    S::Item: IntoDelivery,
    H: FnMut(ClientMessage) -> F,
    F: Future<Output = Result<O, E>>,
    E: Into<Rejection>,
{
    pub(super) fn poll_handling(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> bool {
        let this = self.as_mut().project();
        let Some(handling) = this.handling else { return false };
        let Poll::Ready(outcome) = handling.as_mut().poll(cx) else { return false };
        *this.handling = None;
        // The session did not read meanwhile, so the client's silence starts now.
        *this.received_at = this.guarded.clock().now();
        if let Err(error) = outcome {
            self.refuse(error.into());
        }
        true
    }

    /// Reads one message, if there is one and the earlier message is handled.
    pub(super) fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> bool {
        let this = self.as_mut().project();
        let has_output = !this.outbox.is_empty() || this.held.is_some() || this.ending.is_some();
        let busy = this.handling.is_some() || has_output;
        if busy || *this.read_failed || matches!(this.phase, Phase::Gone) {
            return false;
        }
        let message = match this.socket.poll_next(cx) {
            Poll::Pending => return false,
            Poll::Ready(Some(Ok(message))) => message,
            Poll::Ready(Some(Err(error))) => {
                *this.read_failed = true;
                match M::fault(&error) {
                    Some(code) => self.break_off(code),
                    None => self.leave(),
                }
                return true;
            }
            Poll::Ready(None) => {
                self.leave();
                return true;
            }
        };
        *this.received_at = this.guarded.clock().now();
        match message.kind() {
            WsKind::Control => {}
            WsKind::Close => {
                if self.is_open() {
                    // The library answers by itself, and then the socket's stream ends.
                    *self.project().phase = Phase::Closing(None);
                }
            }
            WsKind::Text(_) | WsKind::Binary if !self.is_open() => {}
            WsKind::Binary => self.break_off(UNSUPPORTED_DATA),
            WsKind::Text(text) if text.len() > self.options.max_message => {
                self.break_off(MESSAGE_TOO_BIG);
            }
            WsKind::Text(text) => self.take_in(text),
        }
        true
    }

    pub(super) fn take_in(self: Pin<&mut Self>, text: &str) {
        let this = self.as_ref().get_ref();
        match this.guarded.grant().receive(text, this.options.on_foreign_members) {
            Ok(message) => {
                let this = self.project();
                *this.handling = Some(Box::pin((this.on_message)(message)));
            }
            // The stream is about to end, and the client gets the ending.
            Err(InvalidMessage::ProofEnded(_)) => {}
            Err(invalid) => self.refuse(invalid.into()),
        }
    }

    /// Closes the session for a fault of the client, and sends the reason.
    pub(super) fn break_off(mut self: Pin<&mut Self>, code: u16) {
        let detail = match code {
            UNSUPPORTED_DATA => "Send text messages, not binary messages.".to_owned(),
            MESSAGE_TOO_BIG => {
                format!("A message may have at most {} bytes.", self.options.max_message)
            }
            _ => "The message breaks the WebSocket protocol (RFC 6455). Correct the client."
                .to_owned(),
        };
        let invalid = Rejection::new(RejectionKind::MessageInvalid).with_detail(detail);
        self.as_mut().refuse(invalid);
        self.close(code, "message.invalid");
    }

    /// Sends an `error` notice for a refused message, unless the session is ending.
    ///
    /// Logs a line for the first refused message. If there were more, a second line has the number of all
    /// when the session ends. So a client that floods the server does not flood the log.
    pub(super) fn refuse(mut self: Pin<&mut Self>, mut rejection: Rejection) {
        if self.refused == 0 {
            rejection.log();
        }
        *self.as_mut().project().refused += 1;
        if self.is_open() {
            let (code, detail) = (rejection.code(), rejection.detail());
            let data = serde_json::json!({ "code": code, "detail": detail });
            self.notice("error", None, &data.to_string());
        }
    }

    pub(super) fn log_refused(&self) {
        if self.refused > 1 {
            tracing::info!(count = self.refused, "messages of a client were refused");
        }
    }
}
