//! A guarded stream as server-sent events ([WHATWG HTML section 9.2][sse]), for any host.
//!
//! A stream opens at once with `retry:` and, if it has a position, a priming `id:` that names
//! where reading starts. Events are `id:`, `event:` (left out for `message`) and `data:`, the whole
//! envelope on one line. Notices are named events with data and no `id:`, so that they reach a
//! page and move no cursor. Comments keep quiet streams alive.
//!
//! [sse]: https://html.spec.whatwg.org/multipage/server-sent-events.html

use crate::{
    clock::Sleep,
    delivery::{Ending, Gap, Outbound},
    framing::{Block, HEARTBEAT, jittered},
    rejection::stream_headers,
    stream::{GuardedStream, IntoDelivery},
};
use bytes::Bytes;
use futures_core::Stream;
use http::Response;
use http_body::{Body, Frame};
use pin_project_lite::pin_project;
use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

/// A frame takes no more events once it is this long: back-pressure stays in the log.
const FRAME: usize = 16 * 1024;

impl<S> GuardedStream<S> {
    /// The stream as the body of an event-stream response.
    pub fn into_sse(self) -> SseBody<S> {
        let last_write = self.shared_clock().now();
        SseBody {
            guarded: self,
            retry: Duration::from_secs(3),
            heartbeat: Duration::from_secs(15),
            alarm: None,
            last_write,
            phase: Phase::Opening,
        }
    }
}

pin_project! {
    /// The body of an event-stream response. Made by [`GuardedStream::into_sse`].
    ///
    /// In axum it is a response by itself; elsewhere [`into_http`](Self::into_http) makes one. All
    /// events that are ready leave in one frame.
    #[must_use = "a body does nothing unless it is sent"]
    pub struct SseBody<S> {
        #[pin]
        guarded: GuardedStream<S>,
        retry: Duration,
        heartbeat: Duration,
        alarm: Option<Sleep>,
        last_write: SystemTime,
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
        self.retry = delay;
        self
    }

    /// How long the stream may be quiet before a comment is sent. Default: 15 seconds; shorter
    /// than the idle timeout of every proxy on the way.
    pub fn heartbeat(mut self, interval: Duration) -> Self {
        self.heartbeat = interval.max(Duration::from_millis(1));
        self
    }

    /// A `200 text/event-stream` response that nobody may store, transform or buffer.
    pub fn into_http(self) -> Response<Self> {
        let mut response = Response::new(self);
        stream_headers(response.headers_mut());
        response
    }
}

impl<S> Body for SseBody<S>
where
    S: Stream,
    S::Item: IntoDelivery,
{
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let mut this = self.project();
        let mut frame = Vec::new();
        if *this.phase == Phase::Ended {
            return Poll::Ready(None);
        }
        let mut opening = *this.phase == Phase::Opening;
        *this.phase = Phase::Open;
        while frame.len() < FRAME {
            let polled = this.guarded.as_mut().poll_next(cx);
            if std::mem::take(&mut opening) {
                // Without data nothing is dispatched; an `id` is committed all the same.
                let block = Block::new(&mut frame).retry(*this.retry);
                if let Poll::Ready(Some(Outbound::Position(cursor))) = polled {
                    block.id(&cursor.to_string()).end();
                    continue;
                }
                block.end();
            }
            match polled {
                Poll::Ready(Some(outbound)) => write(&mut frame, &outbound, *this.retry),
                Poll::Ready(None) => {
                    *this.phase = Phase::Ended;
                    *this.alarm = None;
                    break;
                }
                Poll::Pending => break,
            }
        }
        let clock = this.guarded.shared_clock();
        if !frame.is_empty() {
            *this.last_write = clock.now();
            return Poll::Ready(Some(Ok(Frame::data(frame.into()))));
        }
        if *this.phase == Phase::Ended {
            return Poll::Ready(None);
        }
        // The alarm is set once an interval, not once an event: when it rings, what was written
        // since then decides.
        loop {
            let heartbeat = *this.heartbeat;
            let alarm = this.alarm.get_or_insert_with(|| {
                let quiet = clock.now().duration_since(*this.last_write).unwrap_or_default();
                clock.sleep(heartbeat.saturating_sub(quiet))
            });
            if alarm.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            *this.alarm = None;
            let now = clock.now();
            let quiet = now.duration_since(*this.last_write).unwrap_or(heartbeat);
            if quiet >= heartbeat {
                *this.last_write = now;
                return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(HEARTBEAT)))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.phase == Phase::Ended
    }
}

fn write(frame: &mut Vec<u8>, outbound: &Outbound, retry: Duration) {
    let block = Block::new(frame);
    match outbound {
        Outbound::Event(stamped) => {
            let event = stamped.event();
            let block = match event.cursor() {
                Some(cursor) => block.id(&cursor.to_string()),
                None => block,
            };
            block.event(event.event_type().as_str()).data_line(stamped.pieces()).end();
        }
        Outbound::Position(cursor) => block.id(&cursor.to_string()).end(),
        // Notice and new position share a frame, so that a cut between them cannot hide the gap.
        Outbound::Gap(gap) => {
            notice(block, "stream.gap", gap_json(gap)).end();
            if let Some(cursor) = gap.resumes_at {
                Block::new(frame).id(&cursor.to_string()).end();
            }
        }
        // The gap itself was the notice.
        Outbound::End(Ending::Gap) => {}
        Outbound::End(ending) => {
            let block = if ending.is_retryable() { block.retry(jittered(retry)) } else { block };
            let json = serde_json::json!({ "code": ending.code(), "detail": ending.detail() });
            notice(block, ending.code(), json).end();
        }
    }
}

fn notice<'a>(block: Block<'a>, name: &str, json: serde_json::Value) -> Block<'a> {
    block.event(name).data(&json.to_string())
}

fn gap_json(gap: &Gap) -> serde_json::Value {
    let detail = match gap.resumes_at {
        Some(_) => "Events after the requested cursor are not there any more.",
        None => Ending::Gap.detail(),
    };
    serde_json::json!({
        "code": Ending::Gap.code(),
        "detail": detail,
        "reason": gap.reason,
        "requested": gap.requested,
        "oldest": gap.oldest,
        "resumes_at": gap.resumes_at,
    })
}

impl<S: fmt::Debug> fmt::Debug for SseBody<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SseBody").field("guarded", &self.guarded).finish_non_exhaustive()
    }
}
