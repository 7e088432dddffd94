//! A guarded stream as a WebSocket session ([RFC 6455]), for any library and any host.
//!
//! The layers guard the upgrade like any other request: 400, 401 and 403 come before the 101. In
//! axum, with the feature `axum-ws`, a handler reads like that of an event stream:
//!
//! ```
//! use axum::{extract::{FromRef, Path, State, WebSocketUpgrade}, response::Response};
//! use tower_tenancy::{
//!     LastEventId, MemoryLog, MemoryRegistry, Rejection, ThreadAccess,
//! };
//!
//! #[derive(Clone, FromRef)]
//! struct App { threads: MemoryRegistry, log: MemoryLog }
//!
//! async fn talk(
//!     thread: ThreadAccess<Path<String>, MemoryRegistry>,
//!     from: LastEventId,
//!     State(log): State<MemoryLog>,
//!     upgrade: WebSocketUpgrade,
//! ) -> Result<Response, Rejection> {
//!     let grant = thread.into_grant();
//!     let publisher = grant.publisher(&log);
//!     let events = grant.subscribe(&log, from).await?;
//!     let session = grant.guard(events).into_ws();
//!     // Each message becomes an event of the caller's, whatever the client says.
//!     Ok(session.on_upgrade(upgrade, move |message| {
//!         let publisher = publisher.clone();
//!         async move { publisher.publish_message(message).await }
//!     }))
//! }
//! // `any`, since an upgrade is a `GET` over HTTP/1.1 and a `CONNECT` over HTTP/2 (RFC 8441).
//! let app: axum::Router<App> = axum::Router::new().route("/{thread}", axum::routing::any(talk));
//! ```
//!
//! Over HTTP/2, axum takes upgrades with its feature `http2`.
//!
//! # What a client sees
//!
//! Every message of the server is one text frame of JSON with a `type`. Events are the
//! [envelope](crate::event). Notices have no `routing`; what they say is in their `data`:
//!
//! ```json
//! {"v":1,"type":"open","id":"<cursor>","meta":{"trace_id":"<request id>"},"data":{}}
//! {"v":1,"type":"stream.gap","id":"<cursor>","meta":{...},"data":{"code":"stream.gap","reason":"trimmed",...}}
//! {"v":1,"type":"error","meta":{...},"data":{"code":"message.invalid","detail":"..."}}
//! {"v":1,"type":"stream.drain","meta":{...},"data":{"code":"stream.drain","detail":"...","retry_ms":3400}}
//! ```
//!
//! - `open` comes first. Whatever has an `id` moves the client's cursor; it resumes with the last
//!   one, in the `Last-Event-ID` header or the query parameter `last_event_id`.
//! - `error` answers a message of the client's that was not taken. The session goes on.
//! - An [`Ending`](crate::Ending) is told by a notice of its name, then by its close code with its
//!   name as reason. `retry_ms` is a number if the client should come back by itself, and null if not.
//!
//! # What a client may send
//!
//! Text frames that [`ThreadGrant::receive`](crate::ThreadGrant::receive) takes: a JSON object of a
//! `type` (`message` if there is none) and the members of its data, which says nothing about whose it
//! is:
//!
//! ```json
//! {"type":"message","text":"hi"}
//! ```
//!
//! It comes back as an event with `"data":{"text":"hi"}`. One is handled at a time; meanwhile no more is
//! read. Binary messages end the session (1003), and so do messages that are too long (1009) or break
//! the protocol (1002, 1007), each after an `error` that says so.
//!
//! If a client offers protocols and the handler chose none (`WebSocketUpgrade::protocols`), the first is
//! chosen that bears no token.
//!
//! [RFC 6455]: https://www.rfc-editor.org/rfc/rfc6455

#[cfg(feature = "axum-ws")]
mod axum;
mod pump;
#[cfg(test)]
mod tests;
#[cfg(feature = "tokio-tungstenite")]
mod tungstenite;

#[cfg(feature = "tokio-tungstenite")]
pub use tungstenite::Handshake;

use crate::{
    inbound::{ClientMessage, OnForeignMembers},
    rejection::{Rejection, RejectionKind},
    stream::{GuardedStream, IntoDelivery},
};
use futures_core::Stream;
use futures_sink::Sink;
use std::{fmt, future::Future, pin::pin, time::Duration};
use tracing::Instrument as _;

/// One message of a WebSocket library. Implemented for those of axum and tokio-tungstenite, behind
/// their features.
pub trait WsMessage: Sized {
    /// What the library's sockets fail with.
    type Error;

    /// A text message.
    fn text(text: String) -> Self;

    /// A ping without data.
    fn ping() -> Self;

    /// A close frame. `reason` is short enough to fit.
    fn close(code: u16, reason: &'static str) -> Self;

    /// What kind of message this is.
    fn kind(&self) -> WsKind<'_>;

    /// The close code that answers what the client did wrong: 1002, 1007, 1009. `None` if the
    /// connection is just broken.
    fn fault(error: &Self::Error) -> Option<u16>;
}

/// What a [`WsMessage`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WsKind<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary,
    /// A ping or a pong: the peer is alive. The library answers pings.
    Control,
    /// The peer closes. The library answers.
    Close,
}

impl<S> GuardedStream<S> {
    /// The stream as a WebSocket session.
    pub fn into_ws(self) -> WsSession<S> {
        WsSession {
            guarded: self,
            options: Options {
                retry: Duration::from_secs(3),
                heartbeat: Duration::from_secs(15),
                timeout: Duration::from_secs(45),
                max_message: 64 * 1024,
                on_foreign_members: OnForeignMembers::default(),
            },
        }
    }
}

/// A WebSocket session that waits for its socket. Made by [`GuardedStream::into_ws`].
///
/// See the [module docs](self) for an example, and for what client and server say to each other.
#[must_use = "a session does nothing until it runs"]
pub struct WsSession<S> {
    guarded: GuardedStream<S>,
    options: Options,
}

#[derive(Clone, Copy, Debug)]
struct Options {
    retry: Duration,
    heartbeat: Duration,
    timeout: Duration,
    max_message: usize,
    on_foreign_members: OnForeignMembers,
}

impl<S> WsSession<S> {
    /// How long a client waits that is told to come back by itself, before it is spread at random.
    /// Default: 3 seconds.
    pub fn retry(mut self, delay: Duration) -> Self {
        self.options.retry = delay;
        self
    }

    /// How often the client is pinged. Default: 15 seconds; shorter than the idle timeout of every
    /// proxy on the way.
    pub fn heartbeat(mut self, interval: Duration) -> Self {
        self.options.heartbeat = interval.max(Duration::from_millis(1));
        self
    }

    /// How long a client may be silent, not a pong from it, or take to take in one message, before
    /// the session ends with [`Ending::Slow`](crate::Ending::Slow). Default: 45 seconds; at least one
    /// heartbeat.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = timeout;
        self
    }

    /// The longest message that is taken from the client, in bytes. Default: 64 KiB. Longer ones
    /// are not even read, where the adapter sets up the socket.
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.options.max_message = bytes;
        self
    }

    /// What to do about a client that says whose its message is. Default: refuse the message.
    pub fn on_foreign_members(mut self, choice: OnForeignMembers) -> Self {
        self.options.on_foreign_members = choice;
        self
    }

    /// Runs the session on `socket` until either side ends it, in the span of its request.
    ///
    /// `on_message` gets each message of the client, for a
    /// [`Publisher`](crate::Publisher::publish_message): it bears the grant's routing, actor and request
    /// id. What it fails with is told to the client in
    /// an `error` notice. A message that it has begun to handle is handled to its end, even if the
    /// client is gone.
    ///
    /// The socket should refuse messages longer than [`max_message`](Self::max_message) by itself;
    /// the adapters `on_upgrade` and [`Handshake::run`](super::ws::Handshake::run) see to it.
    pub async fn run<T, M, H, F, O, E>(self, socket: T, on_message: H)
    where
        T: Stream<Item = Result<M, M::Error>> + Sink<M, Error = M::Error>,
        M: WsMessage,
        S: Stream,
        S::Item: IntoDelivery,
        H: FnMut(ClientMessage) -> F,
        F: Future<Output = Result<O, E>>,
        E: Into<Rejection>,
    {
        let span = self.guarded.span().clone();
        let session = async move {
            let left = {
                let pump = pump::Pump::new(socket, self.guarded, on_message, self.options);
                let mut pump = pin!(pump);
                std::future::poll_fn(|cx| pump.as_mut().poll(cx)).await
            };
            // The socket is let go; what the client said before is handled to its end.
            if let Some(handling) = left
                && let Err(error) = handling.await
            {
                error.into().log();
            }
        };
        session.instrument(span).await;
    }
}

impl<S: fmt::Debug> fmt::Debug for WsSession<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WsSession")
            .field("guarded", &self.guarded)
            .field("options", &self.options)
            .finish()
    }
}

/// Takes no messages: for sessions that only listen.
///
/// ```
/// use tower_tenancy::{GuardedStream, StreamEvent, ws};
///
/// fn session(
///     upgrade: axum::extract::WebSocketUpgrade,
///     tokens: GuardedStream<impl futures_util::Stream<Item = StreamEvent> + Send + 'static>,
/// ) -> axum::response::Response {
///     tokens.into_ws().on_upgrade(upgrade, ws::no_messages)
/// }
/// ```
///
/// # Errors
///
/// Always `message.invalid`.
pub async fn no_messages(_: ClientMessage) -> Result<(), Rejection> {
    Err(Rejection::new(RejectionKind::MessageInvalid).with_detail("This stream takes no messages."))
}
