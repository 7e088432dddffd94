//! A session before it runs on its socket.

use super::{message::WsMessage, options::Options, pump::Pump};
use crate::{
    inbound::{ClientMessage, OnForeignMembers},
    rejection::{Rejection, RejectionKind},
    stream::{GuardedStream, IntoDelivery},
};
use futures_core::Stream;
use futures_sink::Sink;
use std::{fmt, future::Future, pin::pin, time::Duration};
use tracing::Instrument as _;

impl<S> GuardedStream<S> {
    /// The stream as a WebSocket session.
    pub fn into_ws(self) -> WsSession<S> {
        WsSession { guarded: self, options: Options::default() }
    }
}

/// A WebSocket session that is not running yet. Made by [`GuardedStream::into_ws`].
///
/// See the [module docs](crate::ws) for an example, and for the messages of client and server.
#[must_use = "a session does nothing until it runs"]
pub struct WsSession<S> {
    guarded: GuardedStream<S>,
    pub(super) options: Options,
}

impl<S> WsSession<S> {
    /// The delay before the client reconnects by itself, after an ending that asks for a delay. The
    /// client gets a random delay between this value and twice this value. For
    /// [`Ending::Limit`](crate::Ending::Limit), it is ten times as long. Default: 3 seconds.
    pub fn retry(mut self, delay: Duration) -> Self {
        self.options.retry = delay;
        self
    }

    /// How often the session pings the client. Default: 15 seconds. It must be shorter than the idle
    /// timeout of every proxy on the way.
    pub fn heartbeat(mut self, interval: Duration) -> Self {
        self.options.heartbeat = interval.max(Duration::from_millis(1));
        self
    }

    /// How long a client may send nothing, not even a pong, or read nothing, before the session ends with
    /// [`Ending::Slow`](crate::Ending::Slow). A client that reads nothing does not get the ending.
    /// Default: 45 seconds. It is at least one heartbeat.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = timeout;
        self
    }

    /// The longest message that the client may send, in bytes. Default: 64 KiB. An adapter that sets up
    /// the socket does not even read a longer message.
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.options.max_message = bytes;
        self
    }

    /// What happens to a client's message that sets its tenant, env, thread or actor. Default: it is
    /// refused.
    pub fn on_foreign_members(mut self, choice: OnForeignMembers) -> Self {
        self.options.on_foreign_members = choice;
        self
    }

    /// Runs the session on `socket` until either side ends it, in the span of its request.
    ///
    /// `on_message` gets each message of the client, and may give it to
    /// [`Publisher::publish_message`](crate::Publisher::publish_message): the message has the routing,
    /// actor and request id of the grant. If `on_message` fails, the client gets an `error` notice. A
    /// call of `on_message` that has begun runs to its end, even if the client has disconnected.
    ///
    /// The socket should refuse messages that are longer than [`max_message`](Self::max_message). The
    /// adapters `on_upgrade` and [`Handshake::run`](crate::ws::Handshake::run) set this limit.
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
                let pump = Pump::new(socket, self.guarded, on_message, self.options);
                let mut pump = pin!(pump);
                std::future::poll_fn(|cx| pump.as_mut().poll(cx)).await
            };
            // The socket has been dropped by now. Finish the handling of the last message.
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

/// Refuses each message. Use it for sessions that only send.
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
    Err(Rejection::new(RejectionKind::MessageInvalid)
        .with_detail("This stream does not accept messages. Do not send any."))
}
