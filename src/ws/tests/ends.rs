//! The end of the proof.

use super::support::*;
use crate::ws::WsSession;
use crate::{
    delivery::{Delivery, Gap, GapReason},
    ending::Ending,
    event::{Cursor, Epoch},
    testing::fixtures::routing,
};
use futures_util::{FutureExt as _, StreamExt as _, stream};
use std::time::Duration;

#[test]
fn a_session_ends_with_the_token_and_handles_no_message_after_it() {
    let mut talk = Talk::with(quiet(), |session| session.timeout(Duration::from_secs(3600)));
    talk.got();
    talk.pass(599);
    talk.say(r#"{"text":"in time"}"#);
    talk.got();
    assert_eq!(talk.handled.lock().unwrap().len(), 1);
    talk.say(r#"{"text":"too late"}"#);
    let got = talk.pass(1);
    let [notice, Message::Close(4401, "auth.expired")] = &got[..] else { panic!("{got:?}") };
    assert_eq!(parsed(notice)["type"], "auth.expired");
    assert_eq!(talk.handled.lock().unwrap().len(), 1);
}

#[test]
fn no_message_is_handled_after_expiry_while_the_socket_is_blocked() {
    let options = |session: WsSession<_>| session.timeout(Duration::from_secs(3600));
    let mut talk = Talk::with(stream::iter([event("one")]).chain(quiet()), options);
    // One message waits in the socket, which takes no other message.
    talk.step();
    talk.receive.next().now_or_never().unwrap().unwrap();
    talk.step();
    talk.clock.advance(Duration::from_secs(600));
    talk.say(r#"{"text":"too late"}"#);
    talk.step();
    assert!(talk.handled.lock().unwrap().is_empty());
}

/// What ends a proof, and the code and close code of that ending.
type End = (fn(&mut Talk), &'static str, u16);

const ENDS: [End; 2] = [
    (|talk| talk.clock.advance(Duration::from_secs(600)), "auth.expired", 4401),
    (|talk| talk.access.revoke(), "access.revoked", 4403),
];

#[test]
fn the_proof_is_checked_again_when_a_waiting_message_is_written() {
    let gap = || {
        let at = Cursor::new(Epoch::random(), 1);
        Delivery::from(Gap::new(&routing("t_a", "th"), GapReason::Trimmed, at, at, None))
    };
    // The items after `open`: events, or an ending that was right when the stream gave it.
    let sources: [&dyn Fn() -> Vec<Delivery>; 5] = [
        &|| vec![event("one"), event("two")],
        &|| vec![Ending::SourceFailed.into()],
        &|| vec![Ending::Slow.into()],
        &|| vec![],
        &|| vec![gap()],
    ];
    // The session runs while the socket is blocked, or only after the socket has room again.
    for ((end, code, close), runs_before) in ENDS.into_iter().flat_map(|e| [(e, true), (e, false)])
    {
        for source in sources {
            let options = |session: WsSession<_>| session.timeout(Duration::from_secs(3600));
            let mut talk = Talk::with(stream::iter(source()), options);
            talk.step();
            // `open` waits in the socket, which takes no other message.
            end(&mut talk);
            if runs_before {
                talk.step();
            }
            let open = talk.receive.next().now_or_never().unwrap().unwrap();
            let got = talk.got();
            let [notice, Message::Close(found, reason)] = &got[..] else { panic!("{got:?}") };
            assert_eq!(types(&[open, notice.clone()]), ["open", code]);
            assert_eq!((*found, *reason), (close, code));
        }
    }
}

#[test]
fn the_end_of_the_proof_overrules_a_gap_that_ends_the_stream() {
    let at = Cursor::new(Epoch::random(), 1);
    let gap = || Gap::new(&routing("t_a", "th"), GapReason::Trimmed, at, at, None).into();
    for (end, code, close) in ENDS {
        let mut talk = Talk::of(stream::iter([gap()]));
        assert_eq!(types(&[talk.one()]), ["open"]);
        assert_eq!(types(&[talk.one()]), ["stream.gap"]);
        end(&mut talk);
        let got = talk.got();
        let [notice, Message::Close(found, reason)] = &got[..] else { panic!("{got:?}") };
        assert_eq!(
            (types(std::slice::from_ref(notice))[0].as_str(), *found, *reason),
            (code, close, code)
        );
    }
}

#[test]
fn a_socket_that_takes_nothing_is_dropped_when_its_proof_ends() {
    for (end, _, _) in ENDS {
        for (size, seconds) in [(10, 1), (100_000, 0)] {
            let options = |session: WsSession<_>| session.timeout(Duration::from_secs(3600));
            let text = "x".repeat(size);
            let mut talk = Talk::with(stream::repeat_with(move || event(&text)), options);
            // The client reads one message. The others wait in the socket.
            talk.one();
            talk.one();
            talk.step();
            assert!(!talk.ended);
            end(&mut talk);
            talk.step();
            // The session still sends a small rest, with the ending. It cuts off a large rest.
            assert_eq!(talk.ended, seconds == 0, "{size}");
            talk.clock.advance(Duration::from_secs(seconds));
            talk.step();
            assert!(talk.ended, "{size}");
        }
    }
}

#[test]
fn a_socket_that_takes_more_after_the_end_of_the_proof_gets_no_more_of_a_large_message() {
    for (end, _, _) in ENDS {
        let text = "x".repeat(100_000);
        let mut talk = Talk::with(stream::repeat_with(move || event(&text)), |session| session);
        talk.one();
        talk.step();
        end(&mut talk);
        // The client reads one message: the socket has room again, but the session has not run yet.
        talk.receive.next().now_or_never().unwrap().unwrap();
        talk.step();
        assert!(talk.ended);
        assert!(
            talk.receive.next().now_or_never().unwrap().is_none(),
            "the socket got nothing else"
        );
    }
}

#[tokio::test]
async fn a_session_whose_socket_takes_nothing_wakes_for_the_end_of_its_proof() {
    for (end, _, _) in ENDS {
        let options = |session: WsSession<_>| session.timeout(Duration::from_secs(3600));
        let text = "x".repeat(100_000);
        let mut talk = Talk::with(stream::repeat_with(move || event(&text)), options);
        talk.one();
        let session = std::mem::replace(&mut talk.session, Box::pin(std::future::ready(())));
        let waiting = tokio::spawn(session);
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert!(!waiting.is_finished());
        end(&mut talk);
        waiting.await.unwrap();
    }
}
