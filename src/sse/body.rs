//! A guarded stream as a response body.

use super::{
    blocks::{FRAME, open, write},
    cut_off::CutOff,
    window::Window,
};
use crate::{
    access::Woken,
    clock::millis,
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
    /// In axum, a handler can return it as a response. In other hosts, [`into_http`](Self::into_http)
    /// makes the response. Events that are ready at the same time share frames of about 16 KiB.
    ///
    /// # A client that does not read
    ///
    /// The body gives out at most 64 KiB that the host has not written. A frame counts as written when
    /// the host drops it. hyper drops a frame once the socket has taken it. While the client does not
    /// read, the body waits for this, for the [timeout](Self::timeout), and for the end of the proof.
    /// When the timeout passes or the proof ends, the body fails with [`CutOff`], and the host closes the
    /// connection. So at most 64 KiB go out after the end of the proof, and a blocked socket is closed at
    /// that time.
    ///
    /// - hyper copies each frame where the transport has no vectored writes, and with
    ///   `http1::Builder::writev(false)`. Limit with `max_buf_size` what hyper keeps. The body cannot
    ///   notice a blocked socket then, neither at the timeout nor at the end of the proof, until the
    ///   socket takes data again. The same is true over HTTP/2 for a client whose flow-control window is
    ///   closed.
    /// - Code that keeps all frames of a body until the end, such as `BodyExt::collect` in a test, gets
    ///   at most 64 KiB. Read frame by frame, and drop each frame.
    #[must_use = "a body does nothing unless it is sent"]
    pub struct SseBody<S> {
        #[pin]
        guarded: GuardedStream<S>,
        // Milliseconds in 32 bits, to save memory: each stream has one body.
        retry: u32,
        heartbeat: Duration,
        timeout: Duration,
        last_write: SystemTime,
        // The time when the window became full.
        stalled_since: Option<SystemTime>,
        window: Window,
        // The rest of a large event. Its first part was given out.
        rest: Option<Bytes>,
        phase: Phase,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Opening,
    Open,
    /// The last notice was a gap that ends the stream. It has reported the ending.
    GapReported,
    Ended,
}

impl<S> SseBody<S> {
    /// How long a browser waits before it reconnects. Default: 3 seconds.
    pub fn retry(mut self, delay: Duration) -> Self {
        self.retry = u32::try_from(millis(delay)).unwrap_or(u32::MAX);
        self
    }

    /// How long the stream may be quiet before it sends a comment. Default: 15 seconds. It must be
    /// shorter than the idle timeout of every proxy on the way.
    pub fn heartbeat(mut self, interval: Duration) -> Self {
        self.heartbeat = interval.max(Duration::from_millis(1));
        self
    }

    /// How long the body waits for a client that reads nothing, before it cuts the stream off
    /// ([`CutOff::Slow`]). Default: two minutes. It is at least one heartbeat.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// A `200 text/event-stream` response that no cache and no proxy may store, transform or buffer.
    pub fn into_http(self) -> Response<Self> {
        let mut response = Response::new(self);
        stream_headers(response.headers_mut());
        response
    }

    /// Waits until the window has room, the proof ends, or the timeout passes.
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
            // The heartbeat uses the same alarm, so the alarm is never set for longer than a heartbeat.
            let limit = |now| left(now).min(*this.heartbeat);
            match ready!(this.guarded.as_mut().poll_end(cx, limit)) {
                Woken::ProofEnded(_) => return Poll::Ready(Err(CutOff::ProofEnded)),
                Woken::AlarmFired(now) if left(now).is_zero() => {
                    this.guarded.end(Ending::Slow);
                    return Poll::Ready(Err(CutOff::Slow));
                }
                Woken::AlarmFired(now) => {
                    // If the clock was set back, the time starts again.
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
            // Part of the event was given out, so no notice can come before its end.
            let now = this.guarded.clock().now();
            if this.guarded.as_mut().end_with_proof(now).is_some() {
                *this.rest = None;
                *this.phase = Phase::Ended;
                return Poll::Ready(Some(Err(CutOff::ProofEnded)));
            }
            let piece = rest.split_to(this.window.piece().min(rest.len()));
            if rest.is_empty() {
                *this.rest = None;
            }
            return Poll::Ready(Some(Ok(Frame::data(this.window.give(piece)))));
        }
        let mut frame = String::new();
        let mut proof_ended = false;
        let opening = *this.phase == Phase::Opening;
        if opening {
            *this.phase = Phase::Open;
        }
        let retry = Duration::from_millis((*this.retry).into());
        let heartbeat = *this.heartbeat;
        loop {
            let last_write = *this.last_write;
            let polled = this.guarded.as_mut().poll_each(
                cx,
                // The alarm is set once for each interval, not for each event. When it fires, the time of
                // the last write decides.
                |now| heartbeat.saturating_sub(now.duration_since(last_write).unwrap_or_default()),
                |outbound, trace_id| {
                    if opening && frame.is_empty() {
                        if let Outbound::Position(position) = &outbound {
                            open(&mut frame, trace_id, Some(position.cursor()), Some(retry));
                            return ControlFlow::Continue(());
                        }
                        open(&mut frame, trace_id, None, Some(retry));
                    }
                    if let Outbound::Gap(gap) = &outbound
                        && gap.resumes_at().is_none()
                    {
                        *this.phase = Phase::GapReported;
                    } else if matches!(outbound, Outbound::End(Ending::Gap))
                        && *this.phase == Phase::GapReported
                    {
                        return ControlFlow::Break(());
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
                    // If the clock was set back, a heartbeat is due as well.
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
                // The socket is blocked, so the client cannot get a notice. After an error, the host does
                // not wait for the socket.
                return Poll::Ready(Some(Err(CutOff::ProofEnded)));
            }
            if opening && frame.is_empty() {
                let trace_id = this.guarded.grant().scope().request_id();
                open(&mut frame, trace_id, None, Some(retry));
            }
            if frame.is_empty() {
                return Poll::Ready(None);
            }
            // The frame may wait for a slow client, so it must not take more memory than its text.
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
