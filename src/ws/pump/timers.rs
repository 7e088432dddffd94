//! Pings and timeouts.

use super::run::{Phase, Pump};
use crate::{
    ending::Ending, inbound::ClientMessage, rejection::Rejection, stream::IntoDelivery,
    ws::message::WsMessage,
};
use futures_core::Stream;
use futures_sink::Sink;
use std::{
    future::Future,
    pin::Pin,
    task::Context,
    time::{Duration, SystemTime},
};

/// How long the client has to answer a close frame after it was sent. Then the server closes the
/// connection, and the client may lose what it has not read.
const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// How long a connection stays open after the client broke the protocol. The server cannot read an answer
/// then. The client may lose what it has not read by then.
const READ_FAILED_WAIT: Duration = Duration::from_secs(1);

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
    pub(super) fn poll_timers(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> bool {
        let this = self.as_mut().project();
        let clock = this.guarded.clock();
        let now = clock.now();
        let mut set_back = false;
        // If the clock was set back, the times start again.
        let mut since = |then: &mut SystemTime| {
            set_back |= now < *then;
            *then = (*then).min(now);
            now.duration_since(*then).unwrap_or_default()
        };
        let blocked = this.blocked_since.as_mut().map_or(Duration::ZERO, &mut since);
        let (timeout, heartbeat) = (this.options.timeout, this.options.heartbeat);
        if blocked >= timeout && !matches!(this.phase, Phase::Gone) {
            if !*this.proof_ended {
                let code = Ending::Slow.code();
                tracing::info!(code, "a client did not read, and was cut off");
            }
            self.leave();
            return true;
        }
        let next = match this.phase {
            Phase::Gone => return false,
            Phase::Closing(until)
                if this.outbox.is_empty()
                    && this.ending.is_none()
                    && this.blocked_since.is_none() =>
            {
                // If reading failed, the server cannot read an answer. The client can only read what was
                // sent.
                let wait = if *this.read_failed { READ_FAILED_WAIT } else { CLOSE_WAIT };
                let until = until.get_or_insert_with(|| clock.sleep(wait));
                let over = until.as_mut().poll(cx).is_ready();
                if over {
                    self.leave();
                }
                return over;
            }
            Phase::Closing(_) => timeout - blocked,
            Phase::Open => {
                if this.handling.is_some() {
                    *this.received_at = now;
                }
                let (silent, unpinged) = (since(this.received_at), since(this.pinged_at));
                // Even if the clock jumped ahead, the client has the time of one heartbeat to answer a
                // ping.
                let asked = *this.pinged_at > *this.received_at && unpinged >= heartbeat;
                if silent >= timeout && asked {
                    tracing::info!(
                        code = Ending::Slow.code(),
                        "a client was silent, and was cut off"
                    );
                    self.end(Ending::Slow);
                    return true;
                }
                if unpinged >= heartbeat {
                    *this.pinged_at = now;
                    *this.alarm = None;
                    // Do not queue a ping behind messages that the socket has not taken yet: the client
                    // could not answer it in time.
                    if this.outbox.is_empty() && this.held.is_none() && this.blocked_since.is_none()
                    {
                        this.outbox.push_back(M::ping());
                    }
                    return true;
                }
                (heartbeat - unpinged).min(timeout - blocked)
            }
        };
        if set_back {
            // The alarm was set with the old time, and would fire too late.
            *this.alarm = None;
        }
        let alarm = this.alarm.get_or_insert_with(|| clock.sleep(next));
        let fired = alarm.as_mut().poll(cx).is_ready();
        if fired {
            *this.alarm = None;
        }
        fired
    }
}
