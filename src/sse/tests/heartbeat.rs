//! Heartbeats.

use super::support::*;
use crate::{
    auth::Revocation,
    event::StreamEvent,
    scope::TenantScope,
    testing::{
        ManualClock,
        fixtures::{self as scopes, ByTimeOfDay, grant, routing},
    },
};
use futures_channel::mpsc;
use futures_util::{FutureExt as _, stream};
use http_body_util::BodyExt as _;
use std::time::Duration;

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
fn a_clock_that_was_set_back_does_not_silence_a_stream() {
    let clock = ManualClock::at(1000);
    let mut body = beating(&clock, stream::pending());
    clock.set_back(Duration::from_secs(500));
    assert_eq!(frames(&mut body).len(), 1);
    clock.advance(Duration::from_secs(10));
    assert_eq!(frames(&mut body), [":\n"]);
}

#[test]
fn a_heartbeat_is_armed_again_after_the_clock_was_set_back() {
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
fn a_quiet_stream_sends_heartbeats_and_a_busy_one_does_not() {
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
