//! Sessions over a socket of channels: what is said, when, and with which close code.

use super::{WsKind, WsMessage, WsSession};
use crate::{
    auth::{AuthContext, Revocation},
    clock::{Clock, Sleep, from_unix},
    delivery::{Delivery, Gap, GapReason, Position},
    ending::Ending,
    event::{Cursor, Epoch, StreamEvent},
    inbound::{ClientMessage, OnForeignMembers},
    rejection::{Rejection, RejectionKind},
    scope::TenantScope,
    testing::{
        ManualClock,
        fixtures::{self as scopes, ByTimeOfDay, grant, routing},
    },
};
use futures_channel::{mpsc, oneshot};
use futures_core::Stream;
use futures_sink::Sink;
use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};
use serde_json::{Value, json};
use std::{
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

#[derive(Clone, Debug, PartialEq)]
enum Message {
    Text(String),
    Binary,
    Ping,
    Pong,
    Close(u16, &'static str),
}

#[derive(Clone, Copy, Debug)]
enum Failure {
    Fault(u16),
    Broken,
}

impl WsMessage for Message {
    type Error = Failure;

    fn text(text: String) -> Self {
        Self::Text(text)
    }

    fn ping() -> Self {
        Self::Ping
    }

    fn close(code: u16, reason: &'static str) -> Self {
        Self::Close(code, reason)
    }

    fn kind(&self) -> WsKind<'_> {
        match self {
            Self::Text(text) => WsKind::Text(text),
            Self::Binary => WsKind::Binary,
            Self::Ping | Self::Pong => WsKind::Control,
            Self::Close(..) => WsKind::Close,
        }
    }

    fn fault(error: &Failure) -> Option<u16> {
        match error {
            Failure::Fault(code) => Some(*code),
            Failure::Broken => None,
        }
    }
}

/// The server's end. It takes as much as the channel does.
struct Socket {
    incoming: mpsc::UnboundedReceiver<Result<Message, Failure>>,
    outgoing: mpsc::Sender<Message>,
    closed: bool,
}

impl Stream for Socket {
    type Item = Result<Message, Failure>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.incoming.poll_next_unpin(cx)
    }
}

impl Sink<Message> for Socket {
    type Error = Failure;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.outgoing.poll_ready(cx).map_err(|_| Failure::Broken)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Failure> {
        // As libraries do.
        if self.closed {
            return Err(Failure::Broken);
        }
        self.closed = matches!(message, Message::Close(..));
        self.outgoing.start_send(message).map_err(|_| Failure::Broken)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.poll_ready(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.poll_flush(cx)
    }
}

thread_local! {
    /// What the next socket takes in.
    static ROOM: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

type Handled = Arc<Mutex<Vec<ClientMessage>>>;

/// A session, and its client.
struct Talk {
    session: BoxFuture<'static, ()>,
    ended: bool,
    send: mpsc::UnboundedSender<Result<Message, Failure>>,
    receive: mpsc::Receiver<Message>,
    clock: ManualClock,
    access: Revocation,
    handled: Handled,
}

impl Talk {
    fn of<S>(source: S) -> Self
    where
        S: Stream<Item = Delivery> + Send + 'static,
    {
        Self::with(source, |session| session)
    }

    fn with<S>(source: S, options: impl FnOnce(WsSession<S>) -> WsSession<S>) -> Self
    where
        S: Stream<Item = Delivery> + Send + 'static,
    {
        let handled = Handled::default();
        let keep = Arc::clone(&handled);
        Self::handling(source, options, handled, move |event| {
            keep.lock().unwrap().push(event);
            std::future::ready(Ok::<_, Rejection>(()))
        })
    }

    fn handling<S, H, F>(
        source: S,
        options: impl FnOnce(WsSession<S>) -> WsSession<S>,
        handled: Handled,
        on_message: H,
    ) -> Self
    where
        S: Stream<Item = Delivery> + Send + 'static,
        H: FnMut(ClientMessage) -> F + Send + 'static,
        F: Future<Output = Result<(), Rejection>> + Send + 'static,
    {
        let clock = ManualClock::at(1000);
        let access = Revocation::new();
        let auth = scopes::auth(&["t_a"], &["prod"]);
        // Good for ten minutes.
        let auth = AuthContext::new(auth.subject().clone(), from_unix(1600));
        let auth = auth.with_tenants(["t_a"]).with_envs(["prod"]);
        let auth = auth.with_clock(clock.shared()).with_revocation(access.clone());
        let scope = TenantScope::agree(&scopes::request("t_a", "prod"), &auth).unwrap();
        let session = options(grant(scope, "th").guard(source).into_ws());
        let (send, incoming) = mpsc::unbounded();
        let (outgoing, receive) = mpsc::channel(ROOM.get());
        let session = session.run(Socket { incoming, outgoing, closed: false }, on_message).boxed();
        Self { session, ended: false, send, receive, clock, access, handled }
    }

    /// With a socket that takes in some messages before the client reads them, as a network does.
    fn over_a_network<S>(source: S) -> Self
    where
        S: Stream<Item = Delivery> + Send + 'static,
    {
        ROOM.set(16);
        let talk = Self::of(source);
        ROOM.set(0);
        talk
    }

    fn say(&self, text: impl Into<String>) {
        self.send.unbounded_send(Ok(Message::Text(text.into()))).unwrap();
    }

    fn step(&mut self) {
        if !self.ended {
            self.ended = (&mut self.session).now_or_never().is_some();
        }
    }

    /// What the client gets now.
    fn got(&mut self) -> Vec<Message> {
        let mut got = Vec::new();
        loop {
            self.step();
            let Some(Some(message)) = self.receive.next().now_or_never() else { return got };
            got.push(message);
        }
    }

    /// The one message that is on its way to the client.
    fn one(&mut self) -> Message {
        self.step();
        self.receive.next().now_or_never().unwrap().unwrap()
    }

    fn pass(&mut self, seconds: u64) -> Vec<Message> {
        self.clock.advance(Duration::from_secs(seconds));
        self.got()
    }
}

fn parsed(message: &Message) -> Value {
    let Message::Text(text) = message else { panic!("{message:?} is no text") };
    serde_json::from_str(text).unwrap()
}

fn types(messages: &[Message]) -> Vec<String> {
    messages.iter().map(|message| parsed(message)["type"].as_str().unwrap().to_owned()).collect()
}

fn event(text: &str) -> Delivery {
    StreamEvent::new(routing("t_a", "th"), "message", text).unwrap().into()
}

fn quiet() -> impl Stream<Item = Delivery> {
    stream::pending()
}

#[test]
fn a_session_opens_at_once_with_the_place_where_reading_starts() {
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
fn a_gap_is_told_with_the_place_where_reading_goes_on() {
    let epoch = Epoch::random();
    let at = |seq| Cursor::new(epoch, seq);
    let gap = |resumes_at| {
        Gap::new(&routing("t_a", "th"), GapReason::Trimmed, at(1), at(5), resumes_at).into()
    };
    let got = Talk::of(stream::iter([gap(Some(at(5)))]).chain(quiet())).got();
    assert_eq!(types(&got), ["open", "stream.gap"]);
    assert_eq!(parsed(&got[0])["id"], Value::Null, "no cursor before the gap is told");
    let notice = parsed(&got[1]);
    assert_eq!(notice["id"], at(5).to_string());
    assert_eq!(notice["data"]["reason"], "trimmed");

    let mut closing = Talk::of(stream::iter([gap(None), event("never")]));
    let got = closing.got();
    assert_eq!(types(&got[..2]), ["open", "stream.gap"]);
    assert_eq!(got[2..], [Message::Close(4410, "stream.gap")]);
}

#[test]
fn every_ending_is_told_and_closes_with_the_code_of_the_table() {
    for ending in Ending::ALL.iter().filter(|ending| **ending != Ending::Gap) {
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
fn a_client_that_does_not_answer_a_close_frame_is_not_waited_for_long() {
    let mut talk = Talk::of(stream::iter([]));
    assert!(matches!(talk.got()[..], [_, _, Message::Close(1000, "stream.complete")]));
    talk.say("{}");
    talk.pass(4);
    assert!(!talk.ended);
    talk.pass(1);
    assert!(talk.ended);
    assert!(talk.handled.lock().unwrap().is_empty(), "nothing is taken in after the end");
}

#[test]
fn the_session_ends_with_the_token_and_takes_nothing_in_after_it() {
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
fn a_client_that_does_not_listen_is_not_listened_to() {
    let mut talk = Talk::of(stream::repeat_with(|| event("more")));
    talk.step();
    talk.say(r#"{"text":"hi"}"#);
    talk.step();
    assert!(talk.handled.lock().unwrap().is_empty());
    // It takes in one message a while: that is slow, but not too slow.
    for _ in 0..5 {
        talk.clock.advance(Duration::from_secs(44));
        talk.step();
        assert!(!talk.ended);
        talk.receive.next().now_or_never().unwrap();
        talk.step();
    }
    talk.clock.advance(Duration::from_secs(45));
    talk.step();
    assert!(talk.ended, "nothing was taken in for the whole timeout");
}

#[test]
fn messages_are_the_callers_whatever_they_say() {
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
    assert_eq!(talk.got(), [], "the session goes on");
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
fn claims_are_ignored_by_choice_and_trusted_never() {
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
    assert!(open().is_none(), "the second waits for the first");
    first.send(Err(Rejection::new(RejectionKind::LogUnavailable))).unwrap();
    let got = talk.got();
    assert_eq!(parsed(&got[0])["data"]["code"], "log.unavailable");
    open().unwrap().send(Ok(())).unwrap();
    talk.got();
    let third = open().unwrap();
    // The client is gone; what it said before is kept.
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

#[test]
fn after_the_close_frame_nothing_is_said_and_the_client_still_has_its_time() {
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
    assert!(!talk.ended, "it may still answer");
    talk.pass(1);
    assert!(talk.ended);
}

#[test]
fn a_close_frame_that_is_not_sent_yet_is_not_given_up() {
    let mut talk = Talk::of(stream::iter([event("one"), event("two")]));
    talk.step();
    // Slow, but not too slow: one message in half a minute.
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
fn nothing_is_taken_in_after_expiry_while_the_stream_cannot_say_so() {
    let options = |session: WsSession<_>| session.timeout(Duration::from_secs(3600));
    let mut talk = Talk::with(stream::iter([event("one")]).chain(quiet()), options);
    // One message is on its way, and the socket takes no other.
    talk.step();
    talk.receive.next().now_or_never().unwrap().unwrap();
    talk.step();
    talk.clock.advance(Duration::from_secs(600));
    talk.say(r#"{"text":"too late"}"#);
    talk.step();
    assert!(talk.handled.lock().unwrap().is_empty());
}

#[test]
fn a_clock_that_jumps_cuts_nobody_off_unasked() {
    let mut talk = Talk::with(quiet(), |session| session);
    talk.got();
    // Ahead: the peer is asked first. Back: it is asked in time all the same.
    assert_eq!(talk.pass(300), [Message::Ping]);
    talk.send.unbounded_send(Ok(Message::Pong)).unwrap();
    assert_eq!(talk.got(), []);
    talk.clock.set_back(Duration::from_secs(200));
    assert_eq!(talk.got(), []);
    assert_eq!(talk.pass(15), [Message::Ping]);
    assert!(!talk.ended);
}

#[test]
fn what_breaks_the_rules_of_the_protocol_closes_with_its_code() {
    for (sent, code) in [
        (Ok(Message::Binary), 1003),
        (Ok(Message::Text("x".repeat(101))), 1009),
        (Err(Failure::Fault(1009)), 1009),
        (Err(Failure::Fault(1002)), 1002),
    ] {
        let mut talk = Talk::with(quiet(), |session| session.max_message(100));
        talk.got();
        talk.say(format!("{{{}}}", " ".repeat(98)));
        assert_eq!(talk.got(), [], "as long as may be");
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
fn a_client_that_closes_is_not_told_anything_more() {
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
    // It falls silent: no pong, and no connection that breaks either.
    assert_eq!(talk.pass(15), [Message::Ping]);
    assert_eq!(talk.pass(15), [Message::Ping]);
    let got = talk.pass(15);
    let [notice, Message::Close(4408, "stream.slow")] = &got[..] else { panic!("{got:?}") };
    assert_eq!(parsed(notice)["type"], "stream.slow");
}

#[tokio::test]
async fn a_busy_stream_does_not_keep_others_from_running() {
    // The channel takes everything; were there no bound, this would never come back.
    let (outgoing, _receive) = mpsc::channel(1_000_000);
    let (_send, incoming) = mpsc::unbounded();
    let endless = stream::repeat_with(|| event("more"));
    let session = grant(scopes::scope("t_a"), "th").guard(endless).into_ws();
    let run = session.run(Socket { incoming, outgoing, closed: false }, super::no_messages);
    assert!(run.boxed().now_or_never().is_none());
}

/// What ends a proof, and how that is told.
type End = (fn(&mut Talk), &'static str, u16);

const ENDS: [End; 2] = [
    (|talk| talk.clock.advance(Duration::from_secs(600)), "auth.expired", 4401),
    (|talk| talk.access.revoke(), "access.revoked", 4403),
];

#[test]
fn what_waits_for_the_socket_is_asked_again_when_it_is_written() {
    let gap = || {
        let at = Cursor::new(Epoch::random(), 1);
        Delivery::from(Gap::new(&routing("t_a", "th"), GapReason::Trimmed, at, at, None))
    };
    // What comes behind `open`: an event, and last words that were true when they were said.
    let sources: [&dyn Fn() -> Vec<Delivery>; 5] = [
        &|| vec![event("one"), event("two")],
        &|| vec![Ending::SourceFailed.into()],
        &|| vec![Ending::Slow.into()],
        &|| vec![],
        &|| vec![gap()],
    ];
    // The session may run while the socket takes nothing, or not before the socket takes more.
    for ((end, code, close), runs_before) in ENDS.into_iter().flat_map(|e| [(e, true), (e, false)])
    {
        for source in sources {
            let options = |session: WsSession<_>| session.timeout(Duration::from_secs(3600));
            let mut talk = Talk::with(stream::iter(source()), options);
            talk.step();
            // `open` is on its way, and the socket takes no other message.
            end(&mut talk);
            if runs_before {
                talk.step();
            }
            let open = talk.receive.next().now_or_never().unwrap().unwrap();
            let got = talk.got();
            let [notice, Message::Close(told, reason)] = &got[..] else { panic!("{got:?}") };
            assert_eq!(types(&[open, notice.clone()]), ["open", code]);
            assert_eq!((*told, *reason), (close, code));
        }
    }
}

#[test]
fn a_gap_that_ends_the_stream_is_overruled_by_the_end_of_the_proof() {
    let at = Cursor::new(Epoch::random(), 1);
    let gap = || Gap::new(&routing("t_a", "th"), GapReason::Trimmed, at, at, None).into();
    for (end, code, close) in ENDS {
        let mut talk = Talk::of(stream::iter([gap()]));
        assert_eq!(types(&[talk.one()]), ["open"]);
        assert_eq!(types(&[talk.one()]), ["stream.gap"]);
        end(&mut talk);
        let got = talk.got();
        let [notice, Message::Close(told, reason)] = &got[..] else { panic!("{got:?}") };
        assert_eq!(
            (types(std::slice::from_ref(notice))[0].as_str(), *told, *reason),
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
            // One is read, and what follows is on its way.
            talk.one();
            talk.one();
            talk.step();
            assert!(!talk.ended);
            end(&mut talk);
            talk.step();
            // Little may still be taken, and the last words with it. Much is cut off.
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
        // The client reads one message: the socket has room again, and the session did not run.
        talk.receive.next().now_or_never().unwrap().unwrap();
        talk.step();
        assert!(talk.ended);
        assert!(talk.receive.next().now_or_never().unwrap().is_none(), "nothing else was given");
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

#[tokio::test]
async fn no_timer_outlives_a_jump_of_the_clock() {
    let clock = ManualClock::at(1000);
    let alarms = Arc::new(AtomicUsize::new(0));
    let counting = Counting { clock: ByTimeOfDay(clock.clone()), alarms: Arc::clone(&alarms) };
    let auth = scopes::auth(&["t_a"], &["prod"]).with_clock(Arc::new(counting));
    let scope = TenantScope::agree(&scopes::request("t_a", "prod"), &auth).unwrap();
    let (send, incoming) = mpsc::unbounded();
    let (outgoing, mut receive) = mpsc::channel(16);
    let socket = Socket { incoming, outgoing, closed: false };
    let session = grant(scope, "th").guard(quiet()).into_ws().run(socket, super::no_messages);
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
    assert!(alarms.load(Ordering::Relaxed) > before, "it is armed anew");
    clock.advance(Duration::from_secs(14));
    assert_eq!(got().await, None);
    clock.advance(Duration::from_secs(1));
    assert_eq!(got().await, Some(Message::Ping), "a heartbeat after the jump");
}

/// Counts how often an alarm is armed.
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

#[test]
fn a_flood_of_messages_that_are_refused_is_two_lines_with_a_count() {
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
            assert_eq!(parsed(&talk.got()[0])["type"], "error", "the client is told each time");
        }
        talk.send.close_channel();
        talk.step();
        assert!(talk.ended);
    });
    let text = String::from_utf8(lines.lock().unwrap().clone()).unwrap();
    let told: Vec<_> = text.lines().filter(|line| line.contains("INFO")).collect();
    assert_eq!(told.len(), 2, "{text}");
    assert!(told[0].contains("request refused") && told[0].contains("message.invalid"), "{text}");
    assert!(told[1].contains("count=1000"), "{text}");
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
