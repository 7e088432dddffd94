//! A session over a socket of channels, and its client.

use crate::ws::{WsKind, WsMessage, WsSession};
use crate::{
    auth::{AuthContext, Revocation},
    clock::from_unix,
    delivery::Delivery,
    event::StreamEvent,
    inbound::ClientMessage,
    rejection::Rejection,
    scope::TenantScope,
    testing::{
        ManualClock,
        fixtures::{self as scopes, grant, routing},
    },
};
use futures_channel::mpsc;
use futures_core::Stream;
use futures_sink::Sink;
use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};
use serde_json::Value;
use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Message {
    Text(String),
    Binary,
    Ping,
    Pong,
    Close(u16, &'static str),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Failure {
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

/// The server's end of the socket. It has as much room as the channel.
pub(super) struct Socket {
    pub(super) incoming: mpsc::UnboundedReceiver<Result<Message, Failure>>,
    pub(super) outgoing: mpsc::Sender<Message>,
    pub(super) closed: bool,
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
        // Libraries refuse a message after a close frame as well.
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
    /// How many messages the next socket holds.
    static ROOM: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

pub(super) type Handled = Arc<Mutex<Vec<ClientMessage>>>;

/// A session, and its client.
pub(super) struct Talk {
    pub(super) session: BoxFuture<'static, ()>,
    pub(super) ended: bool,
    pub(super) send: mpsc::UnboundedSender<Result<Message, Failure>>,
    pub(super) receive: mpsc::Receiver<Message>,
    pub(super) clock: ManualClock,
    pub(super) access: Revocation,
    pub(super) handled: Handled,
}

impl Talk {
    pub(super) fn of<S>(source: S) -> Self
    where
        S: Stream<Item = Delivery> + Send + 'static,
    {
        Self::with(source, |session| session)
    }

    pub(super) fn with<S>(source: S, options: impl FnOnce(WsSession<S>) -> WsSession<S>) -> Self
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

    pub(super) fn handling<S, H, F>(
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
        // Valid for ten minutes.
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

    /// A session on a socket that holds some messages before the client reads them, as a network does.
    pub(super) fn over_a_network<S>(source: S) -> Self
    where
        S: Stream<Item = Delivery> + Send + 'static,
    {
        ROOM.set(16);
        let talk = Self::of(source);
        ROOM.set(0);
        talk
    }

    pub(super) fn say(&self, text: impl Into<String>) {
        self.send.unbounded_send(Ok(Message::Text(text.into()))).unwrap();
    }

    pub(super) fn step(&mut self) {
        if !self.ended {
            self.ended = (&mut self.session).now_or_never().is_some();
        }
    }

    /// The messages that the client gets now.
    pub(super) fn got(&mut self) -> Vec<Message> {
        let mut got = Vec::new();
        loop {
            self.step();
            let Some(Some(message)) = self.receive.next().now_or_never() else { return got };
            got.push(message);
        }
    }

    /// The one message that waits for the client.
    pub(super) fn one(&mut self) -> Message {
        self.step();
        self.receive.next().now_or_never().unwrap().unwrap()
    }

    pub(super) fn pass(&mut self, seconds: u64) -> Vec<Message> {
        self.clock.advance(Duration::from_secs(seconds));
        self.got()
    }
}

pub(super) fn parsed(message: &Message) -> Value {
    let Message::Text(text) = message else { panic!("{message:?} is not a text") };
    serde_json::from_str(text).unwrap()
}

pub(super) fn types(messages: &[Message]) -> Vec<String> {
    messages.iter().map(|message| parsed(message)["type"].as_str().unwrap().to_owned()).collect()
}

pub(super) fn event(text: &str) -> Delivery {
    StreamEvent::new(routing("t_a", "th"), "message", text).unwrap().into()
}

pub(super) fn quiet() -> impl Stream<Item = Delivery> {
    stream::pending()
}
