//! The size of the frames, and clients that do not read.

use super::support::*;
use crate::sse::{
    CutOff,
    blocks::{FRAME, SHARED},
};
use crate::{
    auth::Revocation,
    delivery::Delivery,
    event::{Cursor, Epoch, StreamEvent},
    testing::{
        ManualClock,
        fixtures::{grant, routing},
    },
};
use futures_channel::mpsc;
use futures_util::{FutureExt as _, stream};
use http_body_util::BodyExt as _;
use proptest::{collection::vec, prop_assert, prop_assert_eq, prop_oneof, proptest};
use std::time::Duration;

#[test]
fn ready_events_go_out_in_frames_of_bounded_size() {
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
    assert_eq!(
        one.len(),
        3,
        "all up to the trace id of the large event, its rest, and all after it"
    );
    assert!(one[1].1.len() > 2 * SHARED && one[1].0 == other[1].0);
}

#[test]
fn a_client_that_does_not_read_is_cut_off_when_its_proof_ends_at_any_event_size() {
    for size in [1, 500, 7_000, 9_000, 100_000, 7 << 20] {
        let (clock, session) = (ManualClock::at(1000), Revocation::new());
        let guarded = grant(withdrawable(&clock, &session), "th").guard(endless(size));
        let mut body = Box::pin(guarded.into_sse());
        let unread = kept(&mut body);
        assert!(bytes_of(&unread) <= 64 * 1024, "{size}: {}", bytes_of(&unread));
        assert!(bytes_of(&unread) > 8 * 1024, "{size}: {}", bytes_of(&unread));
        session.revoke();
        assert_eq!(body.frame().now_or_never().unwrap().unwrap().err(), Some(CutOff::ProofEnded));
        assert!(body.frame().now_or_never().unwrap().is_none(), "nothing comes after the error");
    }
}

#[test]
fn a_client_that_reads_gets_no_more_of_a_large_event_after_its_proof_has_ended() {
    let (clock, session) = (ManualClock::at(1000), Revocation::new());
    let guarded = grant(withdrawable(&clock, &session), "th").guard(endless(7 << 20));
    let mut body = Box::pin(guarded.into_sse());
    for _ in 0..10 {
        assert!(body.frame().now_or_never().unwrap().unwrap().is_ok());
    }
    session.revoke();
    assert_eq!(body.frame().now_or_never().unwrap().unwrap().err(), Some(CutOff::ProofEnded));
    assert!(body.frame().now_or_never().unwrap().is_none(), "nothing comes after the error");
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
fn a_client_that_reads_nothing_for_too_long_is_cut_off() {
    let (clock, session) = (ManualClock::at(1000), Revocation::new());
    let guarded = grant(withdrawable(&clock, &session), "th").guard(endless(5_000));
    let mut body = Box::pin(guarded.into_sse().timeout(Duration::from_secs(60)));
    let mut unread = kept(&mut body);
    // The client reads all that it has just before each timeout. That is slow, but not too slow.
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
    assert_eq!(
        cut.unwrap().unwrap().err(),
        Some(CutOff::Slow),
        "soon, although the clock was set back"
    );
    drop(unread);
}

#[test]
fn a_mark_on_small_frames_does_not_let_more_than_64_kib_wait() {
    let scope = withdrawable(&ManualClock::at(1000), &Revocation::new());
    let (send, receive) = mpsc::unbounded();
    let mut body = Box::pin(grant(scope, "th").guard(receive).into_sse());
    let mut unread = kept(&mut body);
    // The fourth frame has the mark, which covers a few bytes only. A piece of a large event follows it.
    for size in [1, 1, 1, 5_800, 1 << 20] {
        let event = StreamEvent::new(routing("t_a", "th"), "x.y", &"x".repeat(size)).unwrap();
        send.unbounded_send(Delivery::from(event)).unwrap();
        unread.extend(kept(&mut body));
    }
    unread.drain(..4);
    unread.extend(kept(&mut body));
    assert!(bytes_of(&unread) <= 64 * 1024, "{}", bytes_of(&unread));
}

proptest! {
    /// A host that keeps any number of frames, and writes them in order. Events come one by one, or
    /// several at once.
    #[test]
    fn at_most_64_kib_are_given_out_and_not_written(
        steps in vec((prop_oneof![1..10_usize, 1..9_000_usize, 1..40_000_usize, 1..200_000_usize], 0..4_usize, 0..5_usize), 1..60),
    ) {
        let total = steps.len();
        let scope = withdrawable(&ManualClock::at(1000), &Revocation::new());
        let (send, receive) = mpsc::unbounded();
        let mut body = Box::pin(grant(scope, "th").guard(receive).into_sse());
        let mut unread = std::collections::VecDeque::new();
        let mut text = Vec::new();
        for (size, polls, writes) in steps {
            let event = StreamEvent::new(routing("t_a", "th"), "x.y", &"x".repeat(size)).unwrap();
            send.unbounded_send(Delivery::from(event)).unwrap();
            for _ in 0..polls {
                unread.extend(kept(&mut body));
                let bytes: usize = unread.iter().map(bytes::Bytes::len).sum();
                prop_assert!(bytes <= 64 * 1024, "{}", bytes);
                let written: Vec<_> = unread.drain(..writes.min(unread.len())).collect();
                text.extend(written.into_iter().flat_map(|frame: bytes::Bytes| frame.to_vec()));
            }
        }
        drop(send);
        loop {
            unread.extend(kept(&mut body));
            let bytes: usize = unread.iter().map(bytes::Bytes::len).sum();
            prop_assert!(bytes <= 64 * 1024, "{}", bytes);
            let Some(written) = unread.pop_front() else { break };
            text.extend_from_slice(&written);
        }
        let text = String::from_utf8(text).unwrap();
        prop_assert_eq!(text.matches("event: x.y\n").count(), total, "nothing is lost");
        prop_assert!(text.ends_with("\n\n") && text.contains("stream.complete"));
    }
}

#[test]
fn a_client_that_does_not_read_small_events_is_noticed_before_its_host_stops_polling() {
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

    // The socket is blocked, but the window is not full. The proof still ends the stream at once.
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
