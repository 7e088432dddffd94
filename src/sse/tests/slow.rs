//! The frames of a stream: their text, their time, and their size.

use super::{
    CutOff, SseBody,
    blocks::{FRAME, SHARED},
};
use crate::{
    access::tests::grant,
    auth::Revocation,
    clock::{manual::ManualClock, tests::ByTimeOfDay},
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
use proptest::{collection::vec, prop_assert, prop_assert_eq, proptest};
use std::{
    convert::Infallible,
    time::{Duration, UNIX_EPOCH},
};

/// A message from a log.
fn message(cursor: Cursor) -> Delivery {
    let event_type = EventType::new("message").unwrap();
    let draft = NewEvent::new(routing("t_a", "th"), event_type, "hi", None).unwrap();
    draft.seal(cursor, UNIX_EPOCH).into()
}

/// An event of a stream without a log.
fn own() -> Delivery {
    StreamEvent::new(routing("t_a", "th"), "x.y", "hi").unwrap().into()
}

fn body<S: Stream<Item = Delivery>>(source: S) -> SseBody<S> {
    grant(scope("t_a"), "th").guard(source).into_sse()
}

/// The frames that are ready now.
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
async fn a_stream_opens_at_once_and_its_first_position_comes_with_data() {
    let cursor = Cursor::new(Epoch::random(), 7);
    let source = stream::iter([Position::new(&routing("t_a", "th"), cursor).into()])
        .chain(stream::pending());
    let mut primed = Box::pin(body(source).retry(Duration::from_millis(1500)));
    let data = r#"data: {"code":"stream.open","meta":{"trace_id":"req-1"}}"#;
    let opening = format!("event: stream.open\nid: {cursor}\nretry: 1500\n{data}\n\n");
    assert_eq!(frames(&mut primed), [opening]);
    let mut silent = Box::pin(body(stream::pending::<Delivery>()));
    let opening = format!("event: stream.open\nretry: 3000\n{data}\n\n");
    assert_eq!(frames(&mut silent), [opening], "no position, no id");
}

#[test]
fn events_have_id_type_and_the_envelope_on_one_line() {
    let cursor = Cursor::new(Epoch::random(), 1);
    let text = all(stream::iter([message(cursor)]));
    let (_, event) = text.split_once("\n\n").unwrap();
    let lines: Vec<_> = event.lines().collect();
    assert_eq!(lines[0], format!("id: {cursor}"));
    assert!(lines[1].starts_with(r#"data: {"v":1,"id":""#), "no event line for `message`");
    assert!(lines[1].contains(r#""trace_id":"req-1""#));
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
        prop_assert_eq!(parsed.remove(0).event, "stream.open");
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
fn a_gap_notice_bears_the_position_where_reading_goes_on() {
    let epoch = Epoch::random();
    let at = |seq| Cursor::new(epoch, seq);
    let gap = |resumes_at| -> Delivery {
        Gap::new(&routing("t_a", "th"), GapReason::Trimmed, at(1), at(5), resumes_at).into()
    };
    let text = all(stream::iter([gap(Some(at(5)))]));
    let (_, notice) = text.split_once("\n\n").unwrap();
    let (notice, rest) = notice.split_once("\n\n").unwrap();
    let resumed = format!("event: stream.gap\nid: {}\ndata: {{", at(5));
    assert!(notice.starts_with(&resumed) && notice.contains(r#""reason":"trimmed""#), "{notice}");
    assert!(rest.starts_with("event: stream.complete\ndata: {"), "{rest}");

    let source = stream::iter([gap(None), message(at(6))]);
    let closed = all(source);
    assert_eq!(closed.matches("event: ").count(), 2, "the opening and one notice: {closed}");
    assert!(!closed.contains("\nid: "), "nothing goes on: {closed}");
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

/// No block is without data: Firefox and Safari drop such a block, and simple parsers take it for an
/// event without data.
#[test]
fn every_block_has_data_and_every_notice_names_its_request() {
    let clock = ManualClock::at(1000);
    let (send, receive) = mpsc::unbounded();
    let mut body = beating(&clock, receive);
    let mut text = frames(&mut body).concat();
    let (thread, cursor) = (routing("t_a", "th"), |seq| Cursor::new(Epoch::random(), seq));
    let gap = Gap::new(&thread, GapReason::Unknown, cursor(1), cursor(2), Some(cursor(3)));
    let position = || Position::new(&thread, cursor(4));
    for delivery in [position().into(), own(), gap.into(), message(cursor(5)), position().into()] {
        clock.advance(Duration::from_secs(10));
        text.extend(frames(&mut body));
        send.unbounded_send(delivery).unwrap();
        text.extend(frames(&mut body));
    }
    drop(send);
    text.extend(frames(&mut body));
    assert_eq!(text.matches(":\n").count(), 5, "heartbeats: {text}");
    let blocks: Vec<_> = text.split_terminator("\n\n").collect();
    assert_eq!(blocks.len(), 7, "{text}");
    for block in &blocks {
        let data = block.lines().find_map(|line| line.strip_prefix("data: ")).expect(block);
        let data: serde_json::Value = serde_json::from_str(data).unwrap();
        assert_eq!(data["meta"]["trace_id"], "req-1", "{block}");
    }
    let ids = blocks.iter().filter(|block| block.contains("\nid: ") || block.starts_with("id: "));
    assert_eq!(ids.count(), 4, "positions, the gap and the event of a log: {text}");
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
    // A host that writes and drops each frame before it polls for the next one.
    let [one, other] = [(); 2].map(|()| {
        let mut body = Box::pin(body(stream::iter(events.clone().map(Delivery::from))));
        let frames = std::iter::from_fn(|| body.frame().now_or_never().flatten());
        let written = frames.map(|frame| {
            let data = frame.unwrap().into_data().unwrap();
            (data.as_ptr() as usize, String::from_utf8(data.to_vec()).unwrap())
        });
        written.collect::<Vec<_>>()
    });
    let text: String = one.iter().map(|(_, text)| text.as_str()).collect();
    let data: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    for (line, data) in data.iter().skip(1).zip(["first", &large, "last"]) {
        let envelope: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(envelope["data"], data);
        assert_eq!(envelope["meta"]["trace_id"], "req-1");
    }
    assert_eq!(one.len(), 3, "up to the large one's trace id, its rest, and what follows");
    assert!(one[1].1.len() > 2 * SHARED && one[1].0 == other[1].0);
}

/// A scope that a revocation withdraws, on this clock.
fn withdrawable(clock: &ManualClock, switch: &Revocation) -> TenantScope {
    let auth = scopes::auth(&["t_a"], &["prod"]).with_clock(clock.shared());
    let auth = auth.with_revocation(switch.clone());
    TenantScope::agree(&scopes::request("t_a", "prod"), &auth).unwrap()
}

/// The host of a client that reads nothing: it keeps all frames.
fn kept<S>(body: &mut std::pin::Pin<Box<SseBody<S>>>) -> Vec<bytes::Bytes>
where
    S: Stream,
    S::Item: crate::stream::IntoDelivery,
{
    let frames = std::iter::from_fn(|| body.frame().now_or_never().flatten());
    // Without a bound, the body would never stop.
    frames.take(1000).map(|frame| frame.unwrap().into_data().unwrap()).collect()
}

fn bytes_of(frames: &[bytes::Bytes]) -> usize {
    frames.iter().map(bytes::Bytes::len).sum()
}

/// Events of this many bytes, without end.
fn endless(bytes: usize) -> impl Stream<Item = StreamEvent> {
    stream::repeat(StreamEvent::new(routing("t_a", "th"), "x.y", &"x".repeat(bytes)).unwrap())
}

#[test]
fn a_client_that_does_not_read_is_cut_off_when_its_proof_ends_whatever_it_was_sent() {
    for size in [1, 500, 7_000, 9_000, 100_000, 7 << 20] {
        let (clock, session) = (ManualClock::at(1000), Revocation::new());
        let guarded = grant(withdrawable(&clock, &session), "th").guard(endless(size));
        let mut body = Box::pin(guarded.into_sse());
        let unread = kept(&mut body);
        assert!(bytes_of(&unread) <= 64 * 1024, "{size}: {}", bytes_of(&unread));
        assert!(bytes_of(&unread) > 8 * 1024, "{size}: {}", bytes_of(&unread));
        session.revoke();
        assert_eq!(body.frame().now_or_never().unwrap().unwrap().err(), Some(CutOff::ProofEnded));
        assert!(body.frame().now_or_never().unwrap().is_none(), "and nothing after it");
    }
}

#[test]
fn a_client_that_reads_all_gets_no_more_of_a_large_event_after_its_proof() {
    let (clock, session) = (ManualClock::at(1000), Revocation::new());
    let guarded = grant(withdrawable(&clock, &session), "th").guard(endless(7 << 20));
    let mut body = Box::pin(guarded.into_sse());
    for _ in 0..10 {
        assert!(body.frame().now_or_never().unwrap().unwrap().is_ok());
    }
    session.revoke();
    assert_eq!(body.frame().now_or_never().unwrap().unwrap().err(), Some(CutOff::ProofEnded));
    assert!(body.frame().now_or_never().unwrap().is_none(), "and nothing after it");
}

#[tokio::test]
async fn a_body_whose_client_does_not_read_wakes_for_the_end_of_its_proof_and_for_room() {
    let (clock, session) = (ManualClock::at(1000), Revocation::new());
    let guarded = grant(withdrawable(&clock, &session), "th").guard(endless(100_000));
    let mut body = Box::pin(guarded.into_sse());
    let mut unread = kept(&mut body);
    // The host writes all of it, late, and then polls for more.
    for _ in 0..100 {
        let waiting = tokio::spawn(async move { (body.frame().await, body) });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(unread);
        let (frame, back) = waiting.await.unwrap();
        body = back;
        unread = vec![frame.unwrap().unwrap().into_data().unwrap()];
        unread.extend(kept(&mut body));
        assert!(bytes_of(&unread) <= 64 * 1024, "{}", bytes_of(&unread));
    }
    let waiting = tokio::spawn(async move { body.frame().await });
    tokio::task::yield_now().await;
    session.revoke();
    assert_eq!(waiting.await.unwrap().unwrap().err(), Some(CutOff::ProofEnded));
}

#[test]
fn a_client_that_takes_nothing_in_for_too_long_is_cut_off() {
    let (clock, session) = (ManualClock::at(1000), Revocation::new());
    let guarded = grant(withdrawable(&clock, &session), "th").guard(endless(5_000));
    let mut body = Box::pin(guarded.into_sse().timeout(Duration::from_secs(60)));
    let mut unread = kept(&mut body);
    // The client reads what it has once in a while: that is slow, but not too slow.
    for _ in 0..5 {
        clock.advance(Duration::from_secs(59));
        assert!(body.frame().now_or_never().is_none());
        unread = kept(&mut body);
        drop(std::mem::take(&mut unread));
        unread = kept(&mut body);
        assert!(!unread.is_empty());
    }
    clock.advance(Duration::from_secs(59));
    assert!(body.frame().now_or_never().is_none());
    clock.set_back(Duration::from_secs(500));
    clock.advance(Duration::from_secs(1));
    let cut = std::iter::from_fn(|| {
        clock.advance(Duration::from_secs(20));
        Some(body.frame().now_or_never())
    });
    let cut = cut.take(10).find_map(|polled| polled);
    assert_eq!(cut.unwrap().unwrap().err(), Some(CutOff::Slow), "and soon, for all the clock did");
    drop(unread);
}

proptest! {
    /// A host that keeps any number of frames, and writes them in order.
    #[test]
    fn at_most_64_kib_are_given_out_and_not_written(
        sizes in vec(1..40_000_usize, 1..40),
        writes in vec(0..4_usize, 200),
    ) {
        let total = sizes.len();
        let events = sizes.into_iter().map(|size| {
            StreamEvent::new(routing("t_a", "th"), "x.y", &"x".repeat(size)).unwrap()
        });
        let events: Vec<_> = events.map(Delivery::from).collect();
        let scope = withdrawable(&ManualClock::at(1000), &Revocation::new());
        let mut body = Box::pin(grant(scope, "th").guard(stream::iter(events)).into_sse());
        let mut unread = std::collections::VecDeque::new();
        let mut text = Vec::new();
        for write in writes.into_iter().chain(std::iter::repeat_n(4, 300)) {
            unread.extend(kept(&mut body));
            let bytes: usize = unread.iter().map(bytes::Bytes::len).sum();
            prop_assert!(bytes <= 64 * 1024, "{}", bytes);
            let written: Vec<_> = unread.drain(..write.min(unread.len())).collect();
            text.extend(written.into_iter().flat_map(|frame: bytes::Bytes| frame.to_vec()));
        }
        let text = String::from_utf8(text).unwrap();
        prop_assert_eq!(text.matches("event: x.y\n").count(), total, "nothing is lost");
        prop_assert!(text.ends_with("\n\n") && text.contains("stream.complete"));
    }
}

#[test]
fn a_stream_whose_window_was_full_keeps_its_heartbeat() {
    let clock = ManualClock::at(1000);
    let (send, receive) = mpsc::unbounded();
    let guarded = grant(withdrawable(&clock, &Revocation::new()), "th").guard(receive);
    let mut body = Box::pin(guarded.into_sse().heartbeat(Duration::from_secs(10)));
    let large = StreamEvent::new(routing("t_a", "th"), "x.y", &"x".repeat(20_000)).unwrap();
    send.unbounded_send(large).unwrap();
    // hyper polls for the next frame before it writes the one that it has.
    let unwritten = kept(&mut body);
    assert!(!unwritten.is_empty());
    assert!(body.frame().now_or_never().is_none());
    drop(unwritten);
    assert!(body.frame().now_or_never().is_none());
    clock.advance(Duration::from_secs(10));
    assert_eq!(frames(&mut body), [":\n"]);
}

#[test]
fn a_client_that_does_not_read_small_events_is_noticed_before_its_host_stops_to_ask() {
    let (clock, session) = (ManualClock::at(1000), Revocation::new());
    let (send, receive) = mpsc::unbounded();
    let guarded = grant(withdrawable(&clock, &session), "th").guard(receive);
    let mut body = Box::pin(guarded.into_sse().timeout(Duration::from_secs(60)));
    let mut unread = kept(&mut body);
    // One event a second, each in its own frame. hyper polls for no more than 16.
    for _ in 0..30 {
        send.unbounded_send(own()).unwrap();
        unread.extend(kept(&mut body));
        clock.advance(Duration::from_secs(1));
    }
    assert!(unread.len() < 16, "{} frames", unread.len());
    let mut slow = None;
    for _ in 0..70 {
        clock.advance(Duration::from_secs(1));
        slow = slow.or(body.frame().now_or_never());
    }
    assert_eq!(slow.unwrap().unwrap().err(), Some(CutOff::Slow));

    // The window is not full, and the socket is blocked: the end of the proof does not wait for it.
    let (send, receive) = mpsc::unbounded();
    let guarded = grant(withdrawable(&clock, &session), "th").guard(receive);
    let mut body = Box::pin(guarded.into_sse());
    let mut unread = kept(&mut body);
    for _ in 0..5 {
        send.unbounded_send(own()).unwrap();
        unread.extend(kept(&mut body));
    }
    assert_eq!(unread.len(), 6);
    session.revoke();
    assert_eq!(body.frame().now_or_never().unwrap().unwrap().err(), Some(CutOff::ProofEnded));
    assert!(body.frame().now_or_never().unwrap().is_none());
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
    assert_eq!(frames(&mut body), [":\n"]);
}

#[test]
fn no_heartbeat_outlives_a_jump_of_the_clock() {
    let clock = ManualClock::at(1000);
    let auth = scopes::auth(&["t_a"], &["prod"]);
    let auth = auth.with_clock(std::sync::Arc::new(ByTimeOfDay(clock.clone())));
    let scope = TenantScope::agree(&scopes::request("t_a", "prod"), &auth).unwrap();
    let (send, receive) = mpsc::unbounded();
    let guarded = grant(scope, "th").guard(receive);
    let mut body = Box::pin(guarded.into_sse().heartbeat(Duration::from_secs(10)));
    assert_eq!(frames(&mut body).len(), 1);
    assert!(frames(&mut body).is_empty(), "the heartbeat is armed");
    clock.set_back(Duration::from_secs(500));
    send.unbounded_send(own()).unwrap();
    assert_eq!(frames(&mut body).len(), 1);
    clock.advance(Duration::from_secs(10));
    assert_eq!(frames(&mut body), [":\n"], "ten seconds after the jump, and not ten minutes");
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
    assert_eq!(frames(&mut body), [":\n"]);
    clock.advance(Duration::from_secs(10));
    assert_eq!(frames(&mut body), [":\n"]);
}
