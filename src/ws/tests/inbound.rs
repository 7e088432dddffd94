//! The client's messages.

use super::support::*;
use crate::{
    inbound::OnForeignMembers,
    rejection::{Rejection, RejectionKind},
};
use futures_channel::{mpsc, oneshot};
use futures_util::{FutureExt as _, StreamExt as _, stream};
use std::{sync::Arc, time::Duration};

#[test]
fn a_session_does_not_read_from_a_client_that_does_not_read() {
    let mut talk = Talk::of(stream::repeat_with(|| event("more")));
    talk.step();
    talk.say(r#"{"text":"hi"}"#);
    talk.step();
    assert!(talk.handled.lock().unwrap().is_empty());
    // The client reads one message just before each timeout. That is slow, but not too slow.
    for _ in 0..5 {
        talk.clock.advance(Duration::from_secs(44));
        talk.step();
        assert!(!talk.ended);
        talk.receive.next().now_or_never().unwrap();
        talk.step();
    }
    talk.clock.advance(Duration::from_secs(45));
    talk.step();
    assert!(talk.ended, "the client read nothing for the whole timeout");
}

#[test]
fn a_message_has_the_routing_and_the_actor_of_its_caller() {
    let mut talk = Talk::of(quiet());
    talk.got();
    talk.say(r#"{"type":"message","text":"hi"}"#);
    assert_eq!(talk.got(), []);
    talk.say(r#"{"text":"x","routing":{"tenant_id":"t_b"}}"#);
    talk.say(r#"{"text":"x","actor_id":"bob"}"#);
    talk.say(r#"{"type":"stream.gap"}"#);
    talk.say("not json");
    for notice in talk.got() {
        let notice = parsed(&notice);
        assert_eq!(notice["type"], "error");
        assert_eq!(notice["data"]["code"], "message.invalid");
    }
    talk.say(r#"{"text":"still here"}"#);
    assert_eq!(talk.got(), [], "the session continues");
    let handled = talk.handled.lock().unwrap();
    let texts: Vec<_> = handled.iter().map(|event| event.data()).collect();
    assert_eq!(texts, [r#"{"text":"hi"}"#, r#"{"text":"still here"}"#]);
    for event in &*handled {
        assert_eq!(event.routing().to_path(), "t_a/prod/th");
        assert_eq!(event.routing().actor_id().unwrap().as_str(), "ada");
        assert_eq!(event.origin_trace_id().unwrap().as_str(), "req-1");
    }
}

#[test]
fn routing_in_a_message_can_be_ignored_and_is_never_trusted() {
    let mut talk =
        Talk::with(quiet(), |session| session.on_foreign_members(OnForeignMembers::Ignore));
    talk.got();
    talk.say(r#"{"text":"x","routing":{"tenant_id":"t_b"}}"#);
    assert_eq!(talk.got(), []);
    let handled = talk.handled.lock().unwrap();
    assert_eq!(handled[0].routing().to_path(), "t_a/prod/th");
    assert_eq!(handled[0].data(), r#"{"text":"x"}"#);
}

#[test]
fn one_message_is_handled_at_a_time_and_to_its_end() {
    let handled = Handled::default();
    let keep = Arc::clone(&handled);
    let (gate, mut gates) = mpsc::unbounded::<oneshot::Sender<Result<(), Rejection>>>();
    let mut talk = Talk::handling(
        quiet(),
        |session| session,
        handled,
        move |event| {
            let (open, opened) = oneshot::channel();
            gate.unbounded_send(open).unwrap();
            let keep = Arc::clone(&keep);
            async move {
                opened.await.unwrap()?;
                keep.lock().unwrap().push(event);
                Ok(())
            }
        },
    );
    talk.say(r#"{"n":1}"#);
    talk.say(r#"{"n":2}"#);
    talk.say(r#"{"n":3}"#);
    assert_eq!(types(&talk.got()), ["open"]);
    let mut open = || gates.next().now_or_never().flatten();
    let first = open().unwrap();
    assert!(open().is_none(), "the second message waits for the first");
    first.send(Err(Rejection::new(RejectionKind::LogUnavailable))).unwrap();
    let got = talk.got();
    assert_eq!(parsed(&got[0])["data"]["code"], "log.unavailable");
    open().unwrap().send(Ok(())).unwrap();
    talk.got();
    let third = open().unwrap();
    // The client has disconnected. The session still handles its earlier message.
    talk.receive.close();
    talk.send.close_channel();
    talk.clock.advance(Duration::from_secs(20));
    talk.step();
    assert!(!talk.ended);
    third.send(Ok(())).unwrap();
    talk.step();
    assert!(talk.ended);
    assert_eq!(talk.handled.lock().unwrap().len(), 2);
}
