//! A guarded stream as server-sent events ([WHATWG HTML section 9.2][sse]), for any host.
//!
//! A stream opens at once with `retry:` and, if it has a position, a priming `id:` that names
//! where reading starts. Events are `id:`, `event:` (left out for `message`) and `data:`, the whole
//! envelope on one line. Notices are named events with data and no `id:`, so that they reach a
//! page and move no cursor. Comments keep quiet streams alive.
//!
//! [sse]: https://html.spec.whatwg.org/multipage/server-sent-events.html

use crate::{
    delivery::Outbound,
    ending::Ending,
    event::{Cursor, StreamEvent},
    framing::{Block, HEARTBEAT, jittered},
    rejection::stream_headers,
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
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

/// A frame takes no more events once it is this long: back-pressure stays in the log.
const FRAME: usize = 16 * 1024;
/// From this length on, what comes after an event's trace id is shared by its readers, as a frame of
/// its own. Below, a copy costs less than a second frame.
const SHARED: usize = 8 * 1024;

impl<S> GuardedStream<S> {
    /// The stream as the body of an event-stream response.
    pub fn into_sse(self) -> SseBody<S> {
        let last_write = self.clock().now();
        SseBody {
            guarded: self,
            retry: 3000,
            heartbeat: Duration::from_secs(15),
            last_write,
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
    #[must_use = "a body does nothing unless it is sent"]
    pub struct SseBody<S> {
        #[pin]
        guarded: GuardedStream<S>,
        // In milliseconds, and no wider than they need: a body is kept for each stream.
        retry: u32,
        heartbeat: Duration,
        last_write: SystemTime,
        // A large event whose first part was given out.
        rest: Option<StreamEvent>,
        phase: Phase,
    }
}

/// A stream was cut off within an event of 8 KiB or more: its token expired or was withdrawn after the
/// first part was given out, while the client did not read.
///
/// Nothing can be said there. A server that is given this closes the connection without the mark of an
/// end ([RFC 9112 section 8]; on HTTP/2 it resets the stream), so that no client takes half an event for
/// a whole one. What comes of reconnecting tells the client why.
///
/// [RFC 9112 section 8]: https://www.rfc-editor.org/rfc/rfc9112#section-8
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stream was cut off within an event: what it was opened with does not hold any more")]
#[non_exhaustive]
pub struct CutOff;

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
    type Error = CutOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        let mut this = self.project();
        if let Some(event) = this.rest.take() {
            if this.guarded.as_mut().end_if_void() {
                *this.phase = Phase::Ended;
                return Poll::Ready(Some(Err(CutOff)));
            }
            return Poll::Ready(Some(Ok(Frame::data(event.into_rest()))));
        }
        let mut frame = String::new();
        if *this.phase == Phase::Ended {
            return Poll::Ready(None);
        }
        let opening = *this.phase == Phase::Opening;
        *this.phase = Phase::Open;
        let retry = Duration::from_millis((*this.retry).into());
        let heartbeat = *this.heartbeat;
        loop {
            let last_write = *this.last_write;
            let polled = this.guarded.as_mut().poll_each(
                cx,
                // The alarm is set once an interval, not once an event: when it rings, what was
                // written since then decides.
                |now| heartbeat.saturating_sub(now.duration_since(last_write).unwrap_or_default()),
                |outbound| {
                    if opening && frame.is_empty() {
                        if let Outbound::Position(position) = &outbound {
                            open(&mut frame, retry, Some(position.cursor()));
                            return ControlFlow::Continue(());
                        }
                        open(&mut frame, retry, None);
                    }
                    *this.rest = write(&mut frame, &outbound, retry);
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
                Poll::Ready(Polled::Rang(now)) => {
                    // A clock that was set back does not silence the stream.
                    if now.duration_since(last_write).unwrap_or(heartbeat) < heartbeat {
                        continue;
                    }
                    *this.last_write = now;
                    if !opening {
                        let comment = Bytes::from_static(HEARTBEAT);
                        return Poll::Ready(Some(Ok(Frame::data(comment))));
                    }
                }
                Poll::Pending if !opening => return Poll::Pending,
                Poll::Pending => {}
            }
            if opening && frame.is_empty() {
                open(&mut frame, retry, None);
            }
            if frame.is_empty() {
                return Poll::Ready(None);
            }
            // What waits for a slow client is no larger than what it will get.
            frame.shrink_to_fit();
            return Poll::Ready(Some(Ok(Frame::data(frame.into_bytes().into()))));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.phase == Phase::Ended
    }
}

/// The first block of a stream. Without data nothing is dispatched; an `id` is committed all the same.
fn open(frame: &mut String, retry: Duration, position: Option<Cursor>) {
    let block = Block::new(frame).retry(retry);
    match position {
        Some(cursor) => block.id(cursor).end(),
        None => block.end(),
    }
}

/// Gives the event whose rest is still to be written.
fn write(frame: &mut String, outbound: &Outbound, retry: Duration) -> Option<StreamEvent> {
    let block = Block::new(frame);
    match outbound {
        Outbound::Event(stamped) => {
            let mut pieces = stamped.block();
            let [.., rest] = &mut pieces;
            let is_large = rest.len() >= SHARED;
            if is_large {
                *rest = "";
            }
            let needed = pieces.iter().map(|piece| piece.len()).sum();
            // Most frames hold one event: these take just what they need. Where there is a second
            // there are more, and room for all is made at once. A large one is the last of its frame.
            if frame.is_empty() || is_large {
                frame.reserve_exact(needed);
            } else if frame.capacity() - frame.len() < needed {
                frame.reserve_exact(needed.max(FRAME.saturating_sub(frame.len())));
            }
            pieces.iter().for_each(|piece| frame.push_str(piece));
            return is_large.then(|| stamped.event().clone());
        }
        Outbound::Position(position) => block.id(position.cursor()).end(),
        // Notice and new position share a frame, so that a cut between them cannot hide the gap.
        Outbound::Gap(gap) => {
            notice(block, Ending::Gap.code(), gap.to_json()).end();
            if let Some(cursor) = gap.resumes_at() {
                Block::new(frame).id(cursor).end();
            }
        }
        // The gap itself was the notice.
        Outbound::End(Ending::Gap) => {}
        Outbound::End(ending) => {
            let block = match ending.retry_after(retry) {
                Some(delay) => block.retry(jittered(delay)),
                None => block,
            };
            notice(block, ending.code(), ending.to_json()).end();
        }
    }
    None
}

fn notice<'a>(block: Block<'a>, name: &str, json: serde_json::Value) -> Block<'a> {
    block.event(name).data(&json.to_string())
}

impl<S: fmt::Debug> fmt::Debug for SseBody<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SseBody").field("guarded", &self.guarded).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{CutOff, FRAME, SHARED, SseBody};
    use crate::{
        access::tests::grant,
        auth::Revocation,
        clock::manual::ManualClock,
        delivery::{Delivery, Gap, GapReason, Position},
        event::{Cursor, Epoch, EventType, NewEvent, StreamEvent, tests::routing},
        rejection::BoxError,
        scope::{
            TenantScope,
            tests::{self as scopes, scope},
        },
    };
    use eventsource_stream::EventStream;
    use futures_channel::mpsc;
    use futures_util::{FutureExt as _, Stream, StreamExt as _, stream};
    use http_body_util::BodyExt as _;
    use proptest::{collection::vec, prop_assert_eq, proptest};
    use std::{
        convert::Infallible,
        time::{Duration, UNIX_EPOCH},
    };

    /// A message as a log gives it.
    fn message(cursor: Cursor) -> Delivery {
        let event_type = EventType::new("message").unwrap();
        let draft = NewEvent::new(routing("t_a", "th"), event_type, "hi", None).unwrap();
        draft.seal(cursor, UNIX_EPOCH).into()
    }

    /// An event of a stream that has no log.
    fn own() -> Delivery {
        StreamEvent::new(routing("t_a", "th"), "x.y", "hi").unwrap().into()
    }

    fn body<S: Stream<Item = Delivery>>(source: S) -> SseBody<S> {
        grant(scope("t_a"), "th").guard(source).into_sse()
    }

    /// The frames that are there now.
    fn frames<S>(body: &mut std::pin::Pin<Box<SseBody<S>>>) -> Vec<String>
    where
        S: Stream,
        S::Item: crate::stream::IntoDelivery,
    {
        let mut frames = Vec::new();
        while let Some(Some(frame)) = body.frame().now_or_never() {
            let data = frame.unwrap().into_data().unwrap();
            frames.push(String::from_utf8(data.to_vec()).unwrap());
        }
        frames
    }

    fn all<S: Stream<Item = Delivery>>(source: S) -> String {
        frames(&mut Box::pin(body(source))).concat()
    }

    #[tokio::test]
    async fn a_stream_opens_at_once_with_retry_and_priming_id() {
        let cursor = Cursor::new(Epoch::random(), 7);
        let source = stream::iter([Position::new(&routing("t_a", "th"), cursor).into()])
            .chain(stream::pending());
        let mut primed = Box::pin(body(source).retry(Duration::from_millis(1500)));
        assert_eq!(frames(&mut primed), [format!("retry: 1500\nid: {cursor}\n\n")]);
        let mut silent = Box::pin(body(stream::pending::<Delivery>()));
        assert_eq!(frames(&mut silent), ["retry: 3000\n\n"], "no position, no id");
    }

    #[test]
    fn events_have_id_type_and_the_envelope_on_one_line() {
        let cursor = Cursor::new(Epoch::random(), 1);
        let text = all(stream::iter([message(cursor)]));
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[2], format!("id: {cursor}"));
        assert!(lines[3].starts_with(r#"data: {"v":1,"id":""#), "no event line for `message`");
        assert!(lines[3].contains(r#""trace_id":"req-1""#));
        let own = all(stream::iter([own()]));
        assert!(own.contains("\n\nevent: x.y\ndata: {") && !own.contains("\nid:"), "{own}");
    }

    proptest! {
        #[test]
        fn any_event_arrives_whole_at_an_independent_parser(
            texts in vec("(\r|\n|\"|\\\\|:|data|\u{0}|\u{feff}|\u{2028}|\\PC){0,20}", 1..8),
            types in vec("[A-Za-z0-9._:/~-]{1,12}", 8),
            chunk in 1..64_usize,
        ) {
            let epoch = Epoch::random();
            let named = texts.iter().zip(&types).zip(1..).filter_map(|((text, name), seq)| {
                let draft = NewEvent::new(routing("t_a", "th"), EventType::new(name).ok()?, text, None);
                Some(draft.unwrap().seal(Cursor::new(epoch, seq), UNIX_EPOCH))
            });
            let sent: Vec<_> = named.collect();
            let text = all(stream::iter(sent.clone().into_iter().map(Delivery::from)));
            let chunks = text.as_bytes().chunks(chunk).map(Ok::<_, Infallible>);
            let parsed = EventStream::new(stream::iter(chunks)).map(Result::unwrap);
            let mut parsed: Vec<_> = parsed.collect::<Vec<_>>().now_or_never().expect("ready");
            prop_assert_eq!(parsed.pop().unwrap().event, "stream.complete");
            prop_assert_eq!(parsed.len(), sent.len());
            for (event, parsed) in sent.iter().zip(parsed) {
                let envelope: serde_json::Value = serde_json::from_str(&parsed.data).unwrap();
                prop_assert_eq!(&parsed.event, event.event_type().as_str());
                prop_assert_eq!(&parsed.id, &event.cursor().unwrap().to_string());
                prop_assert_eq!(&envelope["type"], &parsed.event);
                let seq = envelope["meta"]["seq"].as_u64().unwrap() as usize;
                prop_assert_eq!(&envelope["data"], &serde_json::json!(texts[seq - 1]));
            }
        }
    }

    #[test]
    fn gap_notice_and_new_position_share_a_frame_and_the_notice_has_no_id() {
        let epoch = Epoch::random();
        let at = |seq| Cursor::new(epoch, seq);
        let gap = |resumes_at| -> Delivery {
            Gap::new(&routing("t_a", "th"), GapReason::Trimmed, at(1), at(5), resumes_at).into()
        };
        let text = all(stream::iter([gap(Some(at(5)))]));
        let (_, notice) = text.split_once("\n\n").unwrap();
        let (notice, rest) = notice.split_once("\n\n").unwrap();
        assert!(notice.starts_with("event: stream.gap\ndata: {"), "{notice}");
        assert!(notice.contains(r#""reason":"trimmed""#) && !notice.contains("\nid:"));
        assert!(rest.starts_with(&format!("id: {}\n\n", at(5))), "{rest}");

        let source = stream::iter([gap(None), message(at(6))]);
        let closed = all(source);
        assert_eq!(closed.matches("event: ").count(), 1, "one notice, no event: {closed}");
        assert!(closed.contains("stream.gap") && closed.contains(r#""resumes_at":null"#));
    }

    #[test]
    fn a_stream_says_why_it_ends() {
        let complete = all(stream::iter([]));
        assert!(complete.contains("event: stream.complete\ndata: {"), "{complete}");
        let failed = stream::iter([Err::<Delivery, BoxError>("boom".into())]);
        let mut failed = Box::pin(grant(scope("t_a"), "th").guard(failed).into_sse());
        let text = frames(&mut failed).concat();
        assert_eq!(text.matches("retry: ").count(), 2, "a jittered delay of its own: {text}");
        assert!(text.contains("event: stream.source_failed\n") && !text.contains("boom"));
        assert!(http_body::Body::is_end_stream(&*failed));
    }

    #[test]
    fn what_is_ready_leaves_in_frames_of_bounded_size() {
        let epoch = Epoch::random();
        let events = (1..=500).map(move |seq| message(Cursor::new(epoch, seq)));
        let frames = frames(&mut Box::pin(body(stream::iter(events))));
        assert_eq!(frames.concat().matches("data: {\"v\":1").count(), 500);
        assert!(frames.len() < 12, "{} frames", frames.len());
        assert!(frames.iter().all(|frame| frame.len() < FRAME + 1024));
    }

    #[test]
    fn the_rest_of_a_large_event_is_shared_by_its_readers_and_nothing_comes_before_it() {
        let large = "x".repeat(2 * SHARED);
        let event = |data: &str| StreamEvent::new(routing("t_a", "th"), "x.y", data).unwrap();
        let events = [event("first"), event(&large), event("last")];
        let [one, other] = [(); 2].map(|()| {
            let mut body = Box::pin(body(stream::iter(events.clone().map(Delivery::from))));
            let frames = std::iter::from_fn(|| body.frame().now_or_never().flatten());
            frames.map(|frame| frame.unwrap().into_data().unwrap()).collect::<Vec<_>>()
        });
        let text = String::from_utf8(one.concat()).unwrap();
        let data: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        for (line, data) in data.iter().zip(["first", &large, "last"]) {
            let envelope: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(envelope["data"], data);
            assert_eq!(envelope["meta"]["trace_id"], "req-1");
        }
        assert_eq!(one.len(), 3, "up to the large one's trace id, its rest, and what follows");
        assert!(one[1].len() > 2 * SHARED && one[1].as_ptr() == other[1].as_ptr());
    }

    #[test]
    fn the_rest_of_a_large_event_does_not_outlive_what_was_withdrawn() {
        let session = Revocation::new();
        let auth = scopes::auth(&["t_a"], &["prod"]).with_revocation(session.clone());
        let scope = TenantScope::agree(&scopes::request("t_a", "prod"), &auth).unwrap();
        let event = StreamEvent::new(routing("t_a", "th"), "x.y", &"x".repeat(2 * SHARED)).unwrap();
        let mut body = Box::pin(grant(scope, "th").guard(stream::repeat(event)).into_sse());
        let mut next = || body.frame().now_or_never().unwrap();
        let lengths = [(); 3].map(|()| next().unwrap().unwrap().into_data().unwrap().len());
        assert!(lengths[1] > 2 * SHARED && lengths[2] < SHARED, "{lengths:?}");
        session.revoke();
        assert_eq!(next().unwrap().err(), Some(CutOff));
        assert!(next().is_none(), "and nothing after it");
    }

    /// A stream with a heartbeat of ten seconds by this clock.
    fn beating<S: Stream<Item = Delivery>>(
        clock: &ManualClock,
        source: S,
    ) -> std::pin::Pin<Box<SseBody<S>>> {
        let auth = scopes::auth(&["t_a"], &["prod"]).with_clock(clock.shared());
        let scope = TenantScope::agree(&scopes::request("t_a", "prod"), &auth).unwrap();
        let guarded = grant(scope, "th").guard(source);
        Box::pin(guarded.into_sse().heartbeat(Duration::from_secs(10)))
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_silence_a_stream() {
        let clock = ManualClock::at(1000);
        let mut body = beating(&clock, stream::pending());
        clock.set_back(Duration::from_secs(500));
        assert_eq!(frames(&mut body).len(), 1);
        clock.advance(Duration::from_secs(10));
        assert_eq!(frames(&mut body), [":\n\n"]);
    }

    #[test]
    fn a_quiet_stream_is_kept_alive_and_a_busy_one_needs_no_comment() {
        let clock = ManualClock::at(1000);
        let (send, receive) = mpsc::unbounded();
        let mut body = beating(&clock, receive);
        assert_eq!(frames(&mut body).len(), 1);
        for _ in 0..3 {
            clock.advance(Duration::from_secs(9));
            send.unbounded_send(own()).unwrap();
            assert_eq!(frames(&mut body).len(), 1, "an event, no comment");
        }
        clock.advance(Duration::from_secs(9));
        assert!(frames(&mut body).is_empty());
        clock.advance(Duration::from_secs(1));
        assert_eq!(frames(&mut body), [":\n\n"]);
        clock.advance(Duration::from_secs(10));
        assert_eq!(frames(&mut body), [":\n\n"]);
    }
}
