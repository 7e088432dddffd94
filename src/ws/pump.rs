//! What a session does between a guarded stream and a socket.

use super::{Options, WsKind, WsMessage};
use crate::{
    access::Woken,
    clock::Sleep,
    delivery::Outbound,
    ending::{Ending, jittered},
    event::Cursor,
    id::RequestId,
    inbound::{ClientMessage, InvalidMessage},
    rejection::{Rejection, RejectionKind},
    stream::{GuardedStream, IntoDelivery},
};
use futures_core::Stream;
use futures_sink::Sink;
use pin_project_lite::pin_project;
use serde_json::Value;
use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

/// Most rounds of one poll, and most messages that one round writes: other sessions want to run.
const BUDGET: usize = 64;
/// How long the peer has to answer a close frame once it is sent. What is unread by then is lost.
const CLOSE_WAIT: Duration = Duration::from_secs(5);
/// How long a connection stays whose peer broke the protocol: it cannot be heard any more, and what it
/// has not read when the connection closes may be lost.
const DEAF_WAIT: Duration = Duration::from_secs(1);
/// How long a socket that takes nothing may still take its last words once the proof is over.
const LAST_WORDS_WAIT: Duration = Duration::from_secs(1);
/// What a socket may hold and still be waited for then, in bytes. With more, it is dropped at once.
const MAX_UNFLUSHED: usize = 64 * 1024;

/// Close codes of RFC 6455 section 7.4.1, for what a client does wrong.
const UNSUPPORTED_DATA: u16 = 1003;
const MESSAGE_TOO_BIG: u16 = 1009;

pin_project! {
    /// Moves messages both ways until either side ends.
    pub(super) struct Pump<T, M, S, H, F> {
        #[pin]
        socket: T,
        #[pin]
        guarded: GuardedStream<S>,
        on_message: H,
        // One message at a time: meanwhile nothing is read, and the client has to wait.
        handling: Option<Pin<Box<F>>>,
        options: Options,
        // Notices, pings and the close frame that the socket has not taken yet. While there is one,
        // nothing is read: a client that does not listen is not listened to.
        outbox: VecDeque<M>,
        // Taken from the stream, and not written yet: the socket had room for one message only.
        held: Option<Outbound>,
        // Why the session ends. It becomes a notice and a close frame when the socket has room.
        ending: Option<Ending>,
        // The client is told, or will be, that its proof is over. Nothing overrules that.
        proof_ended: bool,
        // Messages of the client's that were not taken.
        refused: u64,
        // Given to the socket since it was last flushed, in bytes.
        unflushed: usize,
        opened: bool,
        phase: Phase,
        // The socket will give nothing more, but may still take a close frame.
        deaf: bool,
        heard_at: SystemTime,
        pinged_at: SystemTime,
        // Nothing goes out: not one message was taken whole since.
        blocked_since: Option<SystemTime>,
        alarm: Option<Sleep>,
    }
}

enum Phase {
    Open,
    /// Somebody closes. The time runs once all that there was to tell is sent.
    Closing(Option<Sleep>),
    /// Nobody is there any more.
    Gone,
}

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
    pub(super) fn new(
        socket: T,
        guarded: GuardedStream<S>,
        on_message: H,
        mut options: Options,
    ) -> Self {
        options.timeout = options.timeout.max(options.heartbeat);
        let now = guarded.clock().now();
        Self {
            socket,
            guarded,
            on_message,
            handling: None,
            options,
            outbox: VecDeque::new(),
            held: None,
            ending: None,
            proof_ended: false,
            refused: 0,
            unflushed: 0,
            opened: false,
            phase: Phase::Open,
            deaf: false,
            heard_at: now,
            pinged_at: now,
            blocked_since: None,
            alarm: None,
        }
    }

    /// Done when nobody is there any more. Gives what was taken in and is not handled yet.
    pub(super) fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Pin<Box<F>>>> {
        for _ in 0..BUDGET {
            if self.as_mut().poll_write(cx).is_err() {
                self.as_mut().leave();
            }
            let handled = self.as_mut().poll_handling(cx);
            let heard = self.as_mut().poll_read(cx);
            let fired = self.as_mut().poll_timers(cx);
            if matches!(self.phase, Phase::Gone) {
                self.log_refused();
                return Poll::Ready(self.project().handling.take());
            }
            if !(handled || heard || fired) {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn leave(self: Pin<&mut Self>) {
        *self.project().phase = Phase::Gone;
    }

    fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    /// Gives the socket what there is to tell, for as long as it takes it.
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Result<(), M::Error> {
        if matches!(self.phase, Phase::Gone) {
            return Ok(());
        }
        let now = self.guarded.clock().now();
        if self.unflushed > MAX_UNFLUSHED && !self.proof_ended {
            // Before the socket takes more of what it has.
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

    /// The socket takes nothing. It is not waited for beyond the end of the proof.
    fn poll_blocked(mut self: Pin<&mut Self>, cx: &mut Context<'_>) {
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

    /// The proof is over: whatever waits for the socket is not told any more, and the end is.
    fn end_with_proof(self: Pin<&mut Self>, ending: Ending) {
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

    /// What the socket gets next. It has room for one message.
    fn next_message(mut self: Pin<&mut Self>, cx: &mut Context<'_>, now: SystemTime) -> Option<M> {
        let waits = !self.outbox.is_empty() || self.held.is_some() || self.ending.is_some();
        // What waited is asked again now that it is written.
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

    /// The peer made room. It was not pinged, and perhaps not listened to, meanwhile.
    fn unblocked(self: Pin<&mut Self>, now: SystemTime) {
        let this = self.project();
        if this.blocked_since.take().is_some() {
            *this.heard_at = now;
        }
    }

    /// Takes from the stream what it says next, if it says something.
    fn poll_guarded(mut self: Pin<&mut Self>, cx: &mut Context<'_>) {
        let polled = self.as_mut().project().guarded.poll_next(cx);
        let opening = !std::mem::replace(self.as_mut().project().opened, true);
        let is_position = matches!(polled, Poll::Ready(Some(Outbound::Position(_))));
        match polled {
            Poll::Pending => {}
            // The stream said why it ended, and then is not asked again.
            Poll::Ready(None) => self.as_mut().end(Ending::Complete),
            Poll::Ready(Some(Outbound::End(ending))) => self.as_mut().end(ending),
            Poll::Ready(Some(outbound)) => *self.as_mut().project().held = Some(outbound),
        }
        // The first word comes at once, with the place where reading starts if there is one.
        if opening && !is_position {
            self.notice("open", None, "{}");
        }
    }

    /// Writes down what was taken from the stream.
    fn write_held(mut self: Pin<&mut Self>) {
        match self.as_mut().project().held.take() {
            Some(Outbound::Event(stamped)) => {
                self.project().outbox.push_back(M::text(stamped.to_json()));
            }
            Some(Outbound::Position(position)) => {
                self.notice("open", Some(position.cursor()), "{}");
            }
            Some(Outbound::Gap(gap)) => {
                let data = Value::Object(gap.members()).to_string();
                self.notice(Ending::Gap.code(), gap.resumes_at(), &data);
            }
            // An end is kept as the ending.
            Some(Outbound::End(_)) | None => {}
        }
    }

    /// A message of ours, told apart from events by its type.
    fn notice(self: Pin<&mut Self>, name: &str, at: Option<Cursor>, data: &str) {
        let this = self.project();
        let trace_id = this.guarded.grant().scope().request_id();
        this.outbox.push_back(M::text(notice(name, at, trace_id, data)));
    }

    /// Ends the session. The client is told once the socket has room.
    fn end(self: Pin<&mut Self>, ending: Ending) {
        if matches!(ending, Ending::AuthExpired | Ending::AccessRevoked) {
            return self.end_with_proof(ending);
        }
        let this = self.project();
        if matches!(this.phase, Phase::Open) {
            *this.ending = Some(ending);
            *this.phase = Phase::Closing(None);
        }
    }

    /// Writes down why the session ends, and the close frame.
    fn write_ending(mut self: Pin<&mut Self>) {
        let Some(ending) = self.as_mut().project().ending.take() else { return };
        // The gap itself was the notice.
        if ending != Ending::Gap {
            let delay = ending.retry_after(self.options.retry).map(jittered);
            let delay = delay.map(|delay| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX));
            let mut members = ending.members();
            members.insert("retry_ms".to_owned(), delay.into());
            self.as_mut().notice(ending.code(), None, &Value::Object(members).to_string());
        }
        self.project().outbox.push_back(M::close(ending.close_code(), ending.code()));
    }

    fn close(self: Pin<&mut Self>, code: u16, reason: &'static str) {
        let this = self.project();
        if matches!(this.phase, Phase::Open) {
            this.outbox.push_back(M::close(code, reason));
            *this.phase = Phase::Closing(None);
        }
    }

    /// Closes for what the client does wrong, and says what.
    fn break_off(mut self: Pin<&mut Self>, code: u16) {
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
    fn refuse(mut self: Pin<&mut Self>, mut rejection: Rejection) {
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

    fn log_refused(&self) {
        if self.refused > 1 {
            tracing::info!(count = self.refused, "messages of a client were not taken");
        }
    }

    fn poll_handling(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> bool {
        let this = self.as_mut().project();
        let Some(handling) = this.handling else { return false };
        let Poll::Ready(outcome) = handling.as_mut().poll(cx) else { return false };
        *this.handling = None;
        // Nobody listened to the peer meanwhile.
        *this.heard_at = this.guarded.clock().now();
        if let Err(error) = outcome {
            self.refuse(error.into());
        }
        true
    }

    /// Takes in one message, if there is one and nobody is busy with the one before.
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> bool {
        let this = self.as_mut().project();
        let tells = !this.outbox.is_empty() || this.held.is_some() || this.ending.is_some();
        let busy = this.handling.is_some() || tells;
        if busy || *this.deaf || matches!(this.phase, Phase::Gone) {
            return false;
        }
        let message = match this.socket.poll_next(cx) {
            Poll::Pending => return false,
            Poll::Ready(Some(Ok(message))) => message,
            Poll::Ready(Some(Err(error))) => {
                *this.deaf = true;
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
        *this.heard_at = this.guarded.clock().now();
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

    fn take_in(self: Pin<&mut Self>, text: &str) {
        let this = self.as_ref().get_ref();
        match this.guarded.grant().receive(text, this.options.on_claims) {
            Ok(message) => {
                let this = self.project();
                *this.handling = Some(Box::pin((this.on_message)(message)));
            }
            // The stream is about to say that it is over.
            Err(InvalidMessage::ProofEnded(_)) => {}
            Err(invalid) => self.refuse(invalid.into()),
        }
    }

    fn poll_timers(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> bool {
        let this = self.as_mut().project();
        let clock = this.guarded.clock();
        let now = clock.now();
        let mut set_back = false;
        // A clock that was set back starts them anew.
        let mut since = |then: &mut SystemTime| {
            set_back |= now < *then;
            *then = (*then).min(now);
            now.duration_since(*then).unwrap_or_default()
        };
        let blocked = this.blocked_since.as_mut().map_or(Duration::ZERO, &mut since);
        let (timeout, heartbeat) = (this.options.timeout, this.options.heartbeat);
        if blocked >= timeout && !matches!(this.phase, Phase::Gone) {
            if !*this.proof_ended {
                let code = Ending::Slow.code();
                tracing::info!(code, "a client took nothing in, and is cut off");
            }
            self.leave();
            return true;
        }
        let next = match this.phase {
            Phase::Gone => return false,
            Phase::Closing(until)
                if this.outbox.is_empty()
                    && this.ending.is_none()
                    && this.blocked_since.is_none() =>
            {
                // One that is not heard any more cannot answer, only take in what was sent.
                let wait = if *this.deaf { DEAF_WAIT } else { CLOSE_WAIT };
                let until = until.get_or_insert_with(|| clock.sleep(wait));
                let over = until.as_mut().poll(cx).is_ready();
                if over {
                    self.leave();
                }
                return over;
            }
            Phase::Closing(_) => timeout - blocked,
            Phase::Open => {
                if this.handling.is_some() {
                    *this.heard_at = now;
                }
                let (silent, unpinged) = (since(this.heard_at), since(this.pinged_at));
                // However far the clock jumped, the peer has a heartbeat's time to answer.
                let asked = *this.pinged_at > *this.heard_at && unpinged >= heartbeat;
                if silent >= timeout && asked {
                    tracing::info!(
                        code = Ending::Slow.code(),
                        "a client is silent, and is cut off"
                    );
                    self.end(Ending::Slow);
                    return true;
                }
                if unpinged >= heartbeat {
                    *this.pinged_at = now;
                    *this.alarm = None;
                    // Behind whatever the socket has not taken yet, a ping would be no question.
                    if this.outbox.is_empty() && this.held.is_none() && this.blocked_since.is_none()
                    {
                        this.outbox.push_back(M::ping());
                    }
                    return true;
                }
                (heartbeat - unpinged).min(timeout - blocked)
            }
        };
        if set_back {
            // An alarm that was set before would be late.
            *this.alarm = None;
        }
        let alarm = this.alarm.get_or_insert_with(|| clock.sleep(next));
        let fired = alarm.as_mut().poll(cx).is_ready();
        if fired {
            *this.alarm = None;
        }
        fired
    }
}

fn notice(name: &str, at: Option<Cursor>, trace_id: &RequestId, data: &str) -> String {
    let id = at.map(|cursor| format!(r#","id":"{cursor}""#)).unwrap_or_default();
    // Names, cursors and request ids need no escaping.
    format!(r#"{{"v":1,"type":"{name}"{id},"meta":{{"trace_id":"{trace_id}"}},"data":{data}}}"#)
}
