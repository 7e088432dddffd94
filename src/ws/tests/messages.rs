//! The messages that the client gets.

use super::support::*;
use crate::{
    delivery::{Gap, GapReason, Position},
    ending::Ending,
    event::{Cursor, Epoch},
    testing::fixtures::{self as scopes, grant, routing},
};
use futures_channel::mpsc;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

#[test]
fn a_session_opens_at_once_with_the_position_where_reading_starts() {
    let cursor = Cursor::new(Epoch::random(), 7);
    let position = Position::new(&routing("t_a", "th"), cursor).into();
    let mut talk = Talk::of(stream::iter([position, event("hi")]).chain(quiet()));
    let got = talk.got();
    let open = json!({
        "v": 1, "type": "open", "id": cursor.to_string(), "meta": {"trace_id": "req-1"}, "data": {},
    });
    assert_eq!(parsed(&got[0]), open);
    let envelope = parsed(&got[1]);
    assert_eq!(envelope["data"], "hi");
    assert_eq!(envelope["routing"]["tenant_id"], "t_a");
    assert_eq!(envelope["meta"]["trace_id"], "req-1");
    assert_eq!(got.len(), 2);

    let silent = Talk::of(quiet()).got();
    assert_eq!(parsed(&silent[0])["type"], "open");
    assert_eq!(parsed(&silent[0])["id"], Value::Null, "no position, no id");
    let busy = Talk::of(stream::iter([event("hi")]).chain(quiet())).got();
    assert_eq!(types(&busy), ["open", "message"]);
}

#[test]
fn a_gap_notice_has_the_position_where_reading_continues() {
    let epoch = Epoch::random();
    let at = |seq| Cursor::new(epoch, seq);
    let gap = |resumes_at| {
        Gap::new(&routing("t_a", "th"), GapReason::Trimmed, at(1), at(5), resumes_at).into()
    };
    let got = Talk::of(stream::iter([gap(Some(at(5)))]).chain(quiet())).got();
    assert_eq!(types(&got), ["open", "stream.gap"]);
    assert_eq!(parsed(&got[0])["id"], Value::Null, "no cursor before the gap notice");
    let notice = parsed(&got[1]);
    assert_eq!(notice["id"], at(5).to_string());
    assert_eq!(notice["data"]["reason"], "trimmed");

    let mut closing = Talk::of(stream::iter([gap(None), event("never")]));
    let got = closing.got();
    assert_eq!(types(&got[..2]), ["open", "stream.gap"]);
    assert_eq!(got[2..], [Message::Close(4410, "stream.gap")]);
}

#[test]
fn every_ending_sends_its_notice_and_its_close_code() {
    for ending in Ending::ALL {
        let mut talk = Talk::of(stream::iter([event("last"), (*ending).into(), event("never")]));
        let got = talk.got();
        assert_eq!(types(&got[..3]), ["open", "message", ending.code()]);
        let data = &parsed(&got[2])["data"];
        assert_eq!(data["code"], ending.code());
        assert_eq!(data["retry_ms"].is_u64(), ending.is_retryable(), "{data}");
        assert_eq!(got[3..], [Message::Close(ending.close_code(), ending.code())]);
        assert!(!talk.ended, "the client may answer");
        talk.send.close_channel();
        talk.step();
        assert!(talk.ended, "it has answered");
    }
}

#[test]
fn a_message_that_breaks_the_rules_closes_the_session_with_its_code() {
    for (sent, code) in [
        (Ok(Message::Binary), 1003),
        (Ok(Message::Text("x".repeat(101))), 1009),
        (Err(Failure::Fault(1009)), 1009),
        (Err(Failure::Fault(1002)), 1002),
    ] {
        let mut talk = Talk::with(quiet(), |session| session.max_message(100));
        talk.got();
        talk.say(format!("{{{}}}", " ".repeat(98)));
        assert_eq!(talk.got(), [], "the longest message that is allowed");
        talk.send.unbounded_send(sent.clone()).unwrap();
        let got = talk.got();
        assert_eq!(got[1..], [Message::Close(code, "message.invalid")], "{sent:?}");
        let notice = parsed(&got[0]);
        assert_eq!(notice["data"]["code"], "message.invalid");
        assert_eq!(notice["data"]["detail"].as_str().unwrap().contains("100 bytes"), code == 1009);
    }
    let mut talk = Talk::of(quiet());
    talk.send.unbounded_send(Err(Failure::Broken)).unwrap();
    talk.got();
    assert!(talk.ended);
}

#[test]
fn a_client_that_closes_gets_no_more_messages() {
    let (events, source) = mpsc::unbounded();
    let mut talk = Talk::of(source);
    talk.got();
    talk.send.unbounded_send(Ok(Message::Close(1000, ""))).unwrap();
    assert_eq!(talk.got(), [], "the library answers by itself");
    events.unbounded_send(event("late")).unwrap();
    assert_eq!(talk.got(), []);
    talk.send.close_channel();
    talk.step();
    assert!(talk.ended);
}

#[tokio::test]
async fn a_busy_stream_yields_to_other_tasks() {
    // The channel takes everything. Without a bound, this call would never return.
    let (outgoing, _receive) = mpsc::channel(1_000_000);
    let (_send, incoming) = mpsc::unbounded();
    let endless = stream::repeat_with(|| event("more"));
    let session = grant(scopes::scope("t_a"), "th").guard(endless).into_ws();
    let run = session.run(Socket { incoming, outgoing, closed: false }, crate::ws::no_messages);
    assert!(run.boxed().now_or_never().is_none());
}

#[test]
fn a_flood_of_refused_messages_is_two_log_lines_with_a_count() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let write = Arc::clone(&lines);
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || Lines(Arc::clone(&write)))
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        let mut talk = Talk::over_a_network(quiet());
        talk.got();
        for _ in 0..1000 {
            talk.say("no JSON code=forged");
            assert_eq!(
                parsed(&talk.got()[0])["type"],
                "error",
                "the client gets a notice each time"
            );
        }
        talk.send.close_channel();
        talk.step();
        assert!(talk.ended);
    });
    let text = String::from_utf8(lines.lock().unwrap().clone()).unwrap();
    let lines: Vec<_> = text.lines().filter(|line| line.contains("INFO")).collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines[0].contains("request refused") && lines[0].contains("message.invalid"), "{text}");
    assert!(lines[1].contains("count=1000"), "{text}");
}

struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
