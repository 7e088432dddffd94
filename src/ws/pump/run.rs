//! Moves messages both ways between a guarded stream and a socket.

use crate::{
    clock::Sleep,
    delivery::Outbound,
    ending::Ending,
    inbound::ClientMessage,
    rejection::Rejection,
    stream::{GuardedStream, IntoDelivery},
    ws::{message::WsMessage, session::Options},
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

/// Most rounds of one poll, and most messages that one round writes: other sessions want to run.
pub(super) const BUDGET: usize = 64;

pin_project! {
    /// Moves messages both ways until either side ends.
    pub(in crate::ws) struct Pump<T, M, S, H, F> {
        #[pin]
        pub(super) socket: T,
        #[pin]
        pub(super) guarded: GuardedStream<S>,
        pub(super) on_message: H,
        // One message at a time: meanwhile nothing is read, and the client has to wait.
        pub(super) handling: Option<Pin<Box<F>>>,
        pub(super) options: Options,
        // Notices, pings and the close frame that the socket has not taken yet. While there is one,
        // nothing is read: a client that does not listen is not listened to.
        pub(super) outbox: VecDeque<M>,
        // Taken from the stream, and not written yet: the socket had room for one message only.
        pub(super) held: Option<Outbound>,
        // Why the session ends. It becomes a notice and a close frame when the socket has room.
        pub(super) ending: Option<Ending>,
        // The client is told, or will be, that its proof is over. Nothing overrules that.
        pub(super) proof_ended: bool,
        // Messages of the client's that were not taken.
        pub(super) refused: u64,
        // Given to the socket since it was last flushed, in bytes.
        pub(super) unflushed: usize,
        pub(super) opened: bool,
        pub(super) phase: Phase,
        // The socket will give nothing more, but may still take a close frame.
        pub(super) read_failed: bool,
        pub(super) received_at: SystemTime,
        pub(super) pinged_at: SystemTime,
        // Nothing goes out: not one message was taken whole since.
        pub(super) blocked_since: Option<SystemTime>,
        pub(super) alarm: Option<Sleep>,
    }
}

pub(super) enum Phase {
    Open,
    /// Somebody closes. The time runs once all that there was to tell is sent.
    Closing(Option<Sleep>),
    /// Nobody is there any more.
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
            phase: Phase::Open,
            read_failed: false,
            received_at: now,
            pinged_at: now,
            blocked_since: None,
            alarm: None,
        }
    }

    /// Done when nobody is there any more. Gives what was taken in and is not handled yet.
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
