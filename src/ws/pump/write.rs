//! Writes messages to the socket.

use super::run::{BUDGET, Phase, Pump};
use crate::{
    access::Woken,
    clock::millis,
    delivery::Outbound,
    ending::{Ending, jittered},
    event::Cursor,
    id::RequestId,
    inbound::ClientMessage,
    rejection::Rejection,
    stream::IntoDelivery,
    ws::message::{WsKind, WsMessage},
};
use futures_core::Stream;
use futures_sink::Sink;
use serde_json::Value;
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

/// The limit of unflushed bytes when the proof ends. A socket with more is dropped at once. Any other
/// socket gets time to send them.
const MAX_UNFLUSHED: usize = 64 * 1024;

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
    /// Writes the messages that are ready, for as long as the socket takes them.
    pub(super) fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Result<(), M::Error> {
        if matches!(self.phase, Phase::Gone) {
            return Ok(());
        }
        let now = self.guarded.clock().now();
        if self.unflushed > MAX_UNFLUSHED && !self.proof_ended {
            // Check this before the socket sends more of what it holds.
            let over = self.as_mut().project().guarded.end_with_proof(now);
            if let Some(ending) = over {
                self.as_mut().end_with_proof(ending);
                self.leave();
                return Ok(());
            }
        }
        for sent in 0.. {
            if sent == BUDGET {
                cx.waker().wake_by_ref();
                break;
            }
            if self.as_mut().project().socket.poll_ready(cx)?.is_pending() {
                self.as_mut().project().blocked_since.get_or_insert(now);
                self.poll_blocked(cx);
                return Ok(());
            }
            let Some(message) = self.as_mut().next_message(cx, now) else { break };
            let this = self.as_mut().project();
            if let WsKind::Text(text) = message.kind() {
                *this.unflushed += text.len();
            }
            this.socket.start_send(message)?;
            self.as_mut().unblocked(now);
        }
        if self.as_mut().project().socket.poll_flush(cx)?.is_ready() {
            *self.as_mut().project().unflushed = 0;
            self.unblocked(now);
        } else {
            self.as_mut().project().blocked_since.get_or_insert(now);
            self.poll_blocked(cx);
        }
        Ok(())
    }

    /// Ends the session if the proof ends while the socket is blocked.
    pub(super) fn poll_blocked(mut self: Pin<&mut Self>, cx: &mut Context<'_>) {
        while !self.proof_ended && !matches!(self.phase, Phase::Gone) {
            let polled = self.as_mut().project().guarded.poll_end(cx, |_| Duration::MAX);
            match polled {
                Poll::Pending => return,
                Poll::Ready(Woken::AlarmFired(_)) => {}
                Poll::Ready(Woken::ProofEnded(ending)) => {
                    self.as_mut().end_with_proof(ending);
                    if self.unflushed > MAX_UNFLUSHED {
                        self.as_mut().leave();
                    }
                }
            }
        }
    }

    /// The next message. The socket has room for one.
    pub(super) fn next_message(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        now: SystemTime,
    ) -> Option<M> {
        let waits = !self.outbox.is_empty() || self.held.is_some() || self.ending.is_some();
        // A message that waited was taken earlier, so the proof is checked again.
        if waits && !self.proof_ended {
            let over = self.as_mut().project().guarded.end_with_proof(now);
            if let Some(ending) = over {
                self.as_mut().end_with_proof(ending);
            }
        }
        if let Some(message) = self.as_mut().project().outbox.pop_front() {
            return Some(message);
        }
        if self.held.is_none() && self.ending.is_none() && self.is_open() {
            self.as_mut().poll_guarded(cx);
        }
        if self.outbox.is_empty() {
            self.as_mut().write_held();
        }
        if self.outbox.is_empty() {
            self.as_mut().write_ending();
        }
        self.project().outbox.pop_front()
    }

    /// The socket took a message or was flushed. If it was blocked, the session did not ping the client
    /// and may not have read from it, so the client's silence starts now.
    pub(super) fn unblocked(self: Pin<&mut Self>, now: SystemTime) {
        let this = self.project();
        if this.blocked_since.take().is_some() {
            *this.received_at = now;
        }
    }

    /// Takes the next item of the stream, if there is one.
    pub(super) fn poll_guarded(mut self: Pin<&mut Self>, cx: &mut Context<'_>) {
        let polled = self.as_mut().project().guarded.poll_next(cx);
        let opening = !std::mem::replace(self.as_mut().project().opened, true);
        let is_position = matches!(polled, Poll::Ready(Some(Outbound::Position(_))));
        match polled {
            Poll::Pending => {}
            // This does not happen: the stream gives its ending first, and is not polled after it.
            Poll::Ready(None) => self.as_mut().end(Ending::Complete),
            Poll::Ready(Some(Outbound::End(ending))) => self.as_mut().end(ending),
            Poll::Ready(Some(outbound)) => *self.as_mut().project().held = Some(outbound),
        }
        // The first message goes out at once, with the position if there is one.
        if opening && !is_position {
            self.notice("open", None, "{}");
        }
    }

    /// Queues the item that was taken from the stream.
    pub(super) fn write_held(mut self: Pin<&mut Self>) {
        match self.as_mut().project().held.take() {
            Some(Outbound::Event(stamped)) => {
                self.project().outbox.push_back(M::text(stamped.to_json()));
            }
            Some(Outbound::Position(position)) => {
                self.notice("open", Some(position.cursor()), "{}");
            }
            Some(Outbound::Gap(gap)) => {
                *self.as_mut().project().gap_reported = gap.resumes_at().is_none();
                let data = Value::Object(gap.members()).to_string();
                self.notice(Ending::Gap.code(), gap.resumes_at(), &data);
            }
            // `poll_guarded` puts an ending into `ending`, not into `held`.
            Some(Outbound::End(_)) | None => {}
        }
    }

    /// Queues a notice: a message of the server that is not an event.
    pub(super) fn notice(self: Pin<&mut Self>, name: &str, at: Option<Cursor>, data: &str) {
        let this = self.project();
        let trace_id = this.guarded.grant().scope().request_id();
        this.outbox.push_back(M::text(notice(name, at, trace_id, data)));
    }

    /// Queues the ending and the close frame.
    pub(super) fn write_ending(mut self: Pin<&mut Self>) {
        let Some(ending) = self.as_mut().project().ending.take() else { return };
        // The notice of a gap that ends the stream has reported this ending.
        if ending != Ending::Gap || !self.gap_reported {
            let delay = ending.retry_after(self.options.retry).map(jittered);
            let delay = delay.map(millis);
            let mut members = ending.members();
            members.insert("retry_ms".to_owned(), delay.into());
            self.as_mut().notice(ending.code(), None, &Value::Object(members).to_string());
        }
        self.project().outbox.push_back(M::close(ending.close_code(), ending.code()));
    }
}

fn notice(name: &str, at: Option<Cursor>, trace_id: &RequestId, data: &str) -> String {
    let id = at.map(|cursor| format!(r#","id":"{cursor}""#)).unwrap_or_default();
    // Names, cursors and request ids need no escaping.
    format!(r#"{{"v":1,"type":"{name}"{id},"meta":{{"trace_id":"{trace_id}"}},"data":{data}}}"#)
}
