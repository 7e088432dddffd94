//! How a session ends.

use super::run::{Phase, Pump};
use crate::{
    ending::Ending, inbound::ClientMessage, rejection::Rejection, stream::IntoDelivery,
    ws::message::WsMessage,
};
use futures_core::Stream;
use futures_sink::Sink;
use std::{future::Future, pin::Pin, time::Duration};

/// How long a blocked socket has to take the last messages after the proof has ended.
const LAST_WORDS_WAIT: Duration = Duration::from_secs(1);

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
    /// Ends the session. The client gets the reason once the socket has room.
    pub(super) fn end(self: Pin<&mut Self>, ending: Ending) {
        if matches!(ending, Ending::AuthExpired | Ending::AccessRevoked) {
            return self.end_with_proof(ending);
        }
        let this = self.project();
        if matches!(this.phase, Phase::Open) {
            *this.ending = Some(ending);
            *this.phase = Phase::Closing(None);
        }
    }

    /// Ends the session because the proof has ended. Drops the messages that wait for the socket, and
    /// sends the ending.
    pub(super) fn end_with_proof(self: Pin<&mut Self>, ending: Ending) {
        let this = self.project();
        *this.proof_ended = true;
        this.outbox.clear();
        *this.held = None;
        *this.ending = Some(ending);
        this.options.timeout = LAST_WORDS_WAIT;
        if let Some(since) = this.blocked_since {
            *since = this.guarded.clock().now();
        }
        *this.alarm = None;
        if !matches!(this.phase, Phase::Gone) {
            *this.phase = Phase::Closing(None);
        }
    }

    pub(super) fn close(self: Pin<&mut Self>, code: u16, reason: &'static str) {
        let this = self.project();
        if matches!(this.phase, Phase::Open) {
            this.outbox.push_back(M::close(code, reason));
            *this.phase = Phase::Closing(None);
        }
    }

    pub(super) fn leave(self: Pin<&mut Self>) {
        *self.project().phase = Phase::Gone;
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }
}
