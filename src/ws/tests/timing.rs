//! Heartbeats, timeouts and close frames.

use super::support::*;
use crate::ws::WsSession;
use crate::{
    clock::{Clock, Sleep},
    rejection::{Rejection, RejectionKind},
    scope::TenantScope,
    testing::{
        ManualClock,
        fixtures::{self as scopes, ByTimeOfDay, grant},
    },
};
use futures_channel::{mpsc, oneshot};
use futures_util::{FutureExt as _, StreamExt as _, stream};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

#[test]
fn a_session_does_not_wait_long_for_the_answer_to_its_close_frame() {
    let mut talk = Talk::of(stream::iter([]));
    assert!(matches!(talk.got()[..], [_, _, Message::Close(1000, "stream.complete")]));
    talk.say("{}");
    talk.pass(4);
    assert!(!talk.ended);
    talk.pass(1);
    assert!(talk.ended);
    assert!(talk.handled.lock().unwrap().is_empty(), "no message is handled after the end");
}

#[test]
fn after_the_close_frame_the_session_sends_nothing_and_still_waits_for_the_answer() {
    let (gate, mut gates) = mpsc::unbounded::<oneshot::Sender<Result<(), Rejection>>>();
    let options = |session: WsSession<_>| session.timeout(Duration::from_secs(3600));
    let mut talk = Talk::handling(quiet(), options, Handled::default(), move |_| {
        let (open, opened) = oneshot::channel();
        gate.unbounded_send(open).unwrap();
        async move { opened.await.unwrap() }
    });
    talk.say("{}");
    talk.got();
    let got = talk.pass(600);
    assert!(matches!(got[..], [_, Message::Close(4401, "auth.expired")]), "{got:?}");
    let pending = gates.next().now_or_never().unwrap().unwrap();
    pending.send(Err(Rejection::new(RejectionKind::LogUnavailable))).unwrap();
    assert_eq!(talk.got(), []);
    talk.pass(4);
    assert!(!talk.ended, "the client may still answer");
    talk.pass(1);
    assert!(talk.ended);
}

#[test]
fn a_slow_client_still_gets_its_close_frame() {
    let mut talk = Talk::of(stream::iter([event("one"), event("two")]));
    talk.step();
    // One message in half a minute is slow, but not too slow.
    let mut got = Vec::new();
    for _ in 0..5 {
        talk.clock.advance(Duration::from_secs(30));
        talk.step();
        got.push(talk.receive.next().now_or_never().unwrap().unwrap());
        talk.step();
    }
    assert_eq!(got[4], Message::Close(1000, "stream.complete"), "{got:?}");
    assert!(!talk.ended);
    talk.pass(5);
    assert!(talk.ended);
}

#[test]
fn a_clock_that_jumps_cuts_off_no_client_before_a_ping() {
    let mut talk = Talk::with(quiet(), |session| session);
    talk.got();
    // If the clock jumps ahead, the client is pinged first. If it is set back, the client is still pinged
    // in time.
    assert_eq!(talk.pass(300), [Message::Ping]);
    talk.send.unbounded_send(Ok(Message::Pong)).unwrap();
    assert_eq!(talk.got(), []);
    talk.clock.set_back(Duration::from_secs(200));
    assert_eq!(talk.got(), []);
    assert_eq!(talk.pass(15), [Message::Ping]);
    assert!(!talk.ended);
}

#[test]
fn a_client_is_pinged_and_is_alive_while_it_answers() {
    let mut talk = Talk::over_a_network(quiet());
    talk.got();
    for _ in 0..10 {
        assert_eq!(talk.pass(14), []);
        assert_eq!(talk.pass(1), [Message::Ping]);
        talk.send.unbounded_send(Ok(Message::Pong)).unwrap();
        talk.got();
    }
    // The client sends no pong, and the connection does not break.
    assert_eq!(talk.pass(15), [Message::Ping]);
    assert_eq!(talk.pass(15), [Message::Ping]);
    let got = talk.pass(15);
    let [notice, Message::Close(4408, "stream.slow")] = &got[..] else { panic!("{got:?}") };
    assert_eq!(parsed(notice)["type"], "stream.slow");
}

#[tokio::test]
async fn the_ping_timer_is_armed_again_after_the_clock_was_set_back() {
    let clock = ManualClock::at(1000);
    let alarms = Arc::new(AtomicUsize::new(0));
    let counting = Counting { clock: ByTimeOfDay(clock.clone()), alarms: Arc::clone(&alarms) };
    let auth = scopes::auth(&["t_a"], &["prod"]).with_clock(Arc::new(counting));
    let scope = TenantScope::agree(&scopes::request("t_a", "prod"), &auth).unwrap();
    let (send, incoming) = mpsc::unbounded();
    let (outgoing, mut receive) = mpsc::channel(16);
    let socket = Socket { incoming, outgoing, closed: false };
    let session = grant(scope, "th").guard(quiet()).into_ws().run(socket, crate::ws::no_messages);
    tokio::spawn(session);
    let mut got = async || {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        receive.next().now_or_never().flatten()
    };
    assert_eq!(types(&[got().await.unwrap()]), ["open"]);
    clock.advance(Duration::from_secs(5));
    assert_eq!(got().await, None, "a ping is armed for ten seconds later");
    clock.set_back(Duration::from_secs(900));
    let before = alarms.load(Ordering::Relaxed);
    send.unbounded_send(Ok(Message::Pong)).unwrap();
    assert_eq!(got().await, None);
    assert!(alarms.load(Ordering::Relaxed) > before, "the ping is armed again");
    clock.advance(Duration::from_secs(14));
    assert_eq!(got().await, None);
    clock.advance(Duration::from_secs(1));
    assert_eq!(got().await, Some(Message::Ping), "a heartbeat after the jump");
}

/// Counts how often an alarm is set.
#[derive(Debug)]
struct Counting {
    clock: ByTimeOfDay,
    alarms: Arc<AtomicUsize>,
}

impl Clock for Counting {
    fn now(&self) -> std::time::SystemTime {
        self.clock.now()
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        self.alarms.fetch_add(1, Ordering::Relaxed);
        self.clock.sleep(duration)
    }
}
