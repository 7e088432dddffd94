//! A session while it runs on its socket.

use crate::{
    clock::Sleep,
    delivery::Outbound,
    ending::Ending,
    inbound::ClientMessage,
    rejection::Rejection,
    stream::{GuardedStream, IntoDelivery},
    ws::{message::WsMessage, options::Options},
};
use futures_core::Stream;
use futures_sink::Sink;
use pin_project_lite::pin_project;
use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::SystemTime,
};

/// How many rounds one poll makes, and how many messages one round writes, before the session yields to
/// other tasks.
pub(super) const BUDGET: usize = 64;

pin_project! {
    /// Moves messages both ways until either side ends.
    pub(in crate::ws) struct Pump<T, M, S, H, F> {
        #[pin]
        pub(super) socket: T,
        #[pin]
        pub(super) guarded: GuardedStream<S>,
        pub(super) on_message: H,
        // The session handles one message at a time, and does not read another one meanwhile.
        pub(super) handling: Option<Pin<Box<F>>>,
        pub(super) options: Options,
        // Notices, pings and the close frame that the socket has not taken yet. While there is one, the
        // session reads nothing: a client must read before it may send more.
        pub(super) outbox: VecDeque<M>,
        // An item of the stream that is not written yet: the socket had room for one message only.
        pub(super) held: Option<Outbound>,
        // Why the session ends. It becomes a notice and a close frame when the socket has room.
        pub(super) ending: Option<Ending>,
        // The proof has ended, and the client gets that ending and no other.
        pub(super) proof_ended: bool,
        // How many messages of the client were refused.
        pub(super) refused: u64,
        // How many bytes the socket got since its last flush.
        pub(super) unflushed: usize,
        pub(super) opened: bool,
        // The last notice was a gap that ends the stream. It has reported the ending.
        pub(super) gap_reported: bool,
        pub(super) phase: Phase,
        // Reading failed: the socket gives no more messages, but may still take a close frame.
        pub(super) read_failed: bool,
        pub(super) received_at: SystemTime,
        pub(super) pinged_at: SystemTime,
        // The time when the socket became blocked.
        pub(super) blocked_since: Option<SystemTime>,
        pub(super) alarm: Option<Sleep>,
    }
}

pub(super) enum Phase {
    Open,
    /// One side closes. The timer starts once everything is sent.
    Closing(Option<Sleep>),
    /// The connection is over.
    Gone,
}

impl<T, M, S, H, F, O, E> Pump<T, M, S, H, F>
where
    T: Stream<Item = Result<M, M::Error>> + Sink<M, Error = M::Error>,
    M: WsMessage,
    S: Stream,
    S::Item: IntoDelivery,
    H: FnMut(ClientMessage) -> F,
    F: Future<Output = Result<O, E>>,
    E: Into<Rejection>,
{
    pub(in crate::ws) fn new(
        socket: T,
        guarded: GuardedStream<S>,
        on_message: H,
        mut options: Options,
    ) -> Self {
        options.timeout = options.timeout.max(options.heartbeat);
        let now = guarded.clock().now();
        Self {
            socket,
            guarded,
            on_message,
            handling: None,
            options,
            outbox: VecDeque::new(),
            held: None,
            ending: None,
            proof_ended: false,
            refused: 0,
            unflushed: 0,
            opened: false,
            gap_reported: false,
            phase: Phase::Open,
            read_failed: false,
            received_at: now,
            pinged_at: now,
            blocked_since: None,
            alarm: None,
        }
    }

    /// Ready when the connection is over. Returns the handling of the last message, if it has not
    /// finished.
    pub(in crate::ws) fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Pin<Box<F>>>> {
        for _ in 0..BUDGET {
            if self.as_mut().poll_write(cx).is_err() {
                self.as_mut().leave();
            }
            let handled = self.as_mut().poll_handling(cx);
            let heard = self.as_mut().poll_read(cx);
            let fired = self.as_mut().poll_timers(cx);
            if matches!(self.phase, Phase::Gone) {
                self.log_refused();
                return Poll::Ready(self.project().handling.take());
            }
            if !(handled || heard || fired) {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
