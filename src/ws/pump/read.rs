//! What the client says.

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

/// Close codes of RFC 6455 section 7.4.1, for what a client does wrong.
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
        // Nobody listened to the peer meanwhile.
        *this.received_at = this.guarded.clock().now();
        if let Err(error) = outcome {
            self.refuse(error.into());
        }
        true
    }

    /// Takes in one message, if there is one and nobody is busy with the one before.
    pub(super) fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> bool {
        let this = self.as_mut().project();
        let tells = !this.outbox.is_empty() || this.held.is_some() || this.ending.is_some();
        let busy = this.handling.is_some() || tells;
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
                    // The library answers on its own, and its stream ends then.
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
            // The stream is about to say that it is over.
            Err(InvalidMessage::ProofEnded(_)) => {}
            Err(invalid) => self.refuse(invalid.into()),
        }
    }

    /// Closes for what the client does wrong, and says what.
    pub(super) fn break_off(mut self: Pin<&mut Self>, code: u16) {
        let detail = match code {
            UNSUPPORTED_DATA => "Send text messages, not binary ones.".to_owned(),
            MESSAGE_TOO_BIG => {
                format!("A message may have {} bytes at most.", self.options.max_message)
            }
            _ => "The message breaks the WebSocket protocol.".to_owned(),
        };
        let invalid = Rejection::new(RejectionKind::MessageInvalid).with_detail(detail);
        self.as_mut().refuse(invalid);
        self.close(code, "message.invalid");
    }

    /// Tells the client that its message was not taken, unless the session ends.
    ///
    /// The log is told of the first one at once, and of the others by their count when the session
    /// ends: a client that floods us does not flood the log.
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
            tracing::info!(count = self.refused, "messages of a client were not taken");
        }
    }
}
