//! A guarded stream as a response body.

use super::{
    blocks::{FRAME, open, write},
    cut_off::CutOff,
    window::{PIECE, Window},
};
use crate::{
    access::Woken,
    delivery::Outbound,
    ending::Ending,
    event::StreamEvent,
    event_stream::{HEARTBEAT, stream_headers},
    stream::{GuardedStream, IntoDelivery, Polled},
};
use bytes::Bytes;
use futures_core::Stream;
use http::Response;
use http_body::{Body, Frame};
use pin_project_lite::pin_project;
use std::{
    fmt,
    ops::ControlFlow,
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, SystemTime},
};

impl<S> GuardedStream<S> {
    /// The stream as the body of an event-stream response.
    pub fn into_sse(self) -> SseBody<S> {
        let last_write = self.clock().now();
        SseBody {
            guarded: self,
            retry: 3000,
            heartbeat: Duration::from_secs(15),
            timeout: Duration::from_secs(120),
            last_write,
            stalled_since: None,
            window: Window::default(),
            rest: None,
            phase: Phase::Opening,
        }
    }
}

pin_project! {
    /// The body of an event-stream response. Made by [`GuardedStream::into_sse`].
    ///
    /// In axum it is a response by itself; elsewhere [`into_http`](Self::into_http) makes one. All
    /// events that are ready leave in one frame.
    ///
    /// # A client that does not read
    ///
    /// The body gives out at most 64 KiB that its host has not written. It learns what is written
    /// when the host drops a frame, as hyper does once the socket took it. While a client takes
    /// nothing in, the body waits for that, and for the end of the proof: then it fails with
    /// [`CutOff`], and the host breaks the connection. So at most 64 KiB leave after the proof's end,
    /// and a socket that is blocked is dropped with it.
    ///
    /// - hyper copies what it is given where the transport has no vectored writes, and with
    ///   `http1::Builder::writev(false)`. Bound what it keeps by `max_buf_size`. A blocked socket is not
    ///   noticed there until it takes something again, neither by the timeout nor by the end of the
    ///   proof. Over HTTP/2 it is the same for a client whose window is closed.
    /// - Whatever keeps all frames of a body until its end, such as `BodyExt::collect` in a test,
    ///   gets a stream of 64 KiB and no more. Read frame by frame, and drop each one.
    #[must_use = "a body does nothing unless it is sent"]
    pub struct SseBody<S> {
        #[pin]
        guarded: GuardedStream<S>,
        // In milliseconds, and no wider than they need: a body is kept for each stream.
        retry: u32,
        heartbeat: Duration,
        timeout: Duration,
        last_write: SystemTime,
        // The window has been full since.
        stalled_since: Option<SystemTime>,
        window: Window,
        // What is left of a large event whose first part was given out.
        rest: Option<Bytes>,
        phase: Phase,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Opening,
    Open,
    Ended,
}

impl<S> SseBody<S> {
    /// How long a browser waits before it reconnects. Default: 3 seconds.
    pub fn retry(mut self, delay: Duration) -> Self {
        self.retry = u32::try_from(delay.as_millis()).unwrap_or(u32::MAX);
        self
    }

    /// How long the stream may be quiet before a comment is sent. Default: 15 seconds; shorter
    /// than the idle timeout of every proxy on the way.
    pub fn heartbeat(mut self, interval: Duration) -> Self {
        self.heartbeat = interval.max(Duration::from_millis(1));
        self
    }

    /// How long a client may take to take in what it was given, 64 KiB at most, before the stream is
    /// cut off ([`CutOff::Slow`]). Default: two minutes; at least one heartbeat.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// A `200 text/event-stream` response that nobody may store, transform or buffer.
    pub fn into_http(self) -> Response<Self> {
        let mut response = Response::new(self);
        stream_headers(response.headers_mut());
        response
    }

    /// Waits while the client takes nothing in: for room, for the end of the proof, or until it took
    /// too long.
    fn poll_room(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), CutOff>> {
        let mut this = self.project();
        if this.window.poll_room(cx).is_ready() {
            *this.stalled_since = None;
            return Poll::Ready(Ok(()));
        }
        let clock = this.guarded.clock();
        let since = *this.stalled_since.get_or_insert_with(|| clock.now());
        let timeout = (*this.timeout).max(*this.heartbeat);
        let left =
            |now: SystemTime| timeout.saturating_sub(now.duration_since(since).unwrap_or_default());
        loop {
            // The one alarm of the stream serves the heartbeat as well, so it is never set for longer.
            let limit = |now| left(now).min(*this.heartbeat);
            match ready!(this.guarded.as_mut().poll_end(cx, limit)) {
                Woken::ProofEnded(_) => return Poll::Ready(Err(CutOff::ProofEnded)),
                Woken::AlarmFired(now) if left(now).is_zero() => {
                    this.guarded.end(Ending::Slow);
                    return Poll::Ready(Err(CutOff::Slow));
                }
                Woken::AlarmFired(now) => {
                    // A clock that was set back starts the time anew.
                    let stalled = this.stalled_since.get_or_insert(now);
                    *stalled = (*stalled).min(now);
                }
            }
        }
    }
}

impl<S> Body for SseBody<S>
where
    S: Stream,
    S::Item: IntoDelivery,
{
    type Data = Bytes;
    type Error = CutOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        if self.phase == Phase::Ended {
            return Poll::Ready(None);
        }
        if let Err(cut) = ready!(self.as_mut().poll_room(cx)) {
            *self.as_mut().project().rest = None;
            *self.as_mut().project().phase = Phase::Ended;
            return Poll::Ready(Some(Err(cut)));
        }
        let mut this = self.project();
        if let Some(rest) = this.rest {
            // The event was begun, so nothing can be said before its end.
            let now = this.guarded.clock().now();
            if this.guarded.as_mut().end_with_proof(now).is_some() {
                *this.rest = None;
                *this.phase = Phase::Ended;
                return Poll::Ready(Some(Err(CutOff::ProofEnded)));
            }
            let piece = rest.split_to(PIECE.min(rest.len()));
            if rest.is_empty() {
                *this.rest = None;
            }
            return Poll::Ready(Some(Ok(Frame::data(this.window.give(piece)))));
        }
        let mut frame = String::new();
        let mut proof_ended = false;
        let opening = *this.phase == Phase::Opening;
        *this.phase = Phase::Open;
        let retry = Duration::from_millis((*this.retry).into());
        let heartbeat = *this.heartbeat;
        loop {
            let last_write = *this.last_write;
            let polled = this.guarded.as_mut().poll_each(
                cx,
                // The alarm is set once an interval, not once an event: when it fires, what was
                // written since then decides.
                |now| heartbeat.saturating_sub(now.duration_since(last_write).unwrap_or_default()),
                |outbound, trace_id| {
                    if opening && frame.is_empty() {
                        if let Outbound::Position(position) = &outbound {
                            open(&mut frame, trace_id, Some(position.cursor()), Some(retry));
                            return ControlFlow::Continue(());
                        }
                        open(&mut frame, trace_id, None, Some(retry));
                    }
                    proof_ended = matches!(
                        outbound,
                        Outbound::End(Ending::AuthExpired | Ending::AccessRevoked)
                    );
                    *this.rest =
                        write(&mut frame, &outbound, trace_id, retry).map(StreamEvent::into_rest);
                    if frame.len() < FRAME && this.rest.is_none() {
                        ControlFlow::Continue(())
                    } else {
                        ControlFlow::Break(())
                    }
                },
            );
            match polled {
                Poll::Ready(Polled::Given(at)) => *this.last_write = at,
                Poll::Ready(Polled::Ended) => *this.phase = Phase::Ended,
                Poll::Ready(Polled::AlarmFired(now)) => {
                    // A clock that was set back does not silence the stream.
                    if now.duration_since(last_write).unwrap_or(heartbeat) < heartbeat {
                        continue;
                    }
                    *this.last_write = now;
                    if !opening {
                        let comment = Bytes::from_static(HEARTBEAT);
                        return Poll::Ready(Some(Ok(Frame::data(this.window.give(comment)))));
                    }
                }
                Poll::Pending if !opening => return Poll::Pending,
                Poll::Pending => {}
            }
            if proof_ended && this.window.waits() {
                // The socket is blocked: nothing can be said, and nobody waits for it any more.
                return Poll::Ready(Some(Err(CutOff::ProofEnded)));
            }
            if opening && frame.is_empty() {
                let trace_id = this.guarded.grant().scope().request_id();
                open(&mut frame, trace_id, None, Some(retry));
            }
            if frame.is_empty() {
                return Poll::Ready(None);
            }
            // What waits for a slow client is no larger than what it will get.
            frame.shrink_to_fit();
            let frame = this.window.give(frame.into_bytes().into());
            return Poll::Ready(Some(Ok(Frame::data(frame))));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.phase == Phase::Ended
    }
}

impl<S: fmt::Debug> fmt::Debug for SseBody<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SseBody").field("guarded", &self.guarded).finish_non_exhaustive()
    }
}
