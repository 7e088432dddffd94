//! The table of endings: why streams end, and how each protocol reports it.

use crate::{codes::codes, event_stream};
use serde_json::{Map, Value};
use std::{
    hash::{BuildHasher as _, Hasher as _},
    time::Duration,
};

codes! {
    /// Why a stream ended. The client gets it as a last notice, a close code or a status.
    pub enum Ending {
        /// The server is about to stop. The client can reconnect to another server.
        Drain: "stream.drain", 200 OK, 14 "UNAVAILABLE", 1012, AfterDelay(1),
            "reconnect after the delay, with its cursor",
            "The server is about to stop. Reconnect with your cursor.";
        /// The client did not read what the server sent, or did not answer its pings.
        Slow: "stream.slow", 200 OK, 8 "RESOURCE_EXHAUSTED", 4408, AtOnce,
            "reconnect with its cursor",
            "The client read too slowly, or did not answer pings. Reconnect with your cursor.";
        /// The token has expired.
        AuthExpired: "auth.expired", 200 OK, 16 "UNAUTHENTICATED", 4401, AfterChange,
            "renew the token, then reconnect with its cursor",
            "The token has expired. Renew it, then reconnect with your cursor.";
        /// The access was withdrawn: see [`Revocation`](crate::auth::Revocation).
        AccessRevoked: "access.revoked", 200 OK, 7 "PERMISSION_DENIED", 4403, Stop,
            "stop",
            "Access was withdrawn. Do not reconnect.";
        /// The source has ended without an error. For example, an agent has finished.
        Complete: "stream.complete", 200 OK, 0 "OK", 1000, Stop,
            "stop",
            "The stream is complete. Do not reconnect.";
        /// The source failed, or it gave an event of another thread and
        /// [`OnMismatch::Close`](crate::OnMismatch::Close) was set.
        SourceFailed: "stream.source_failed", 200 OK, 14 "UNAVAILABLE", 1011, AfterDelay(1),
            "reconnect after the delay, with its cursor",
            "The stream was interrupted. Reconnect with your cursor, if you have one.";
        /// Too many streams are open, or one stream exceeds a limit.
        Limit: "stream.limit", 200 OK, 8 "RESOURCE_EXHAUSTED", 1013, AfterDelay(10),
            "back off, then reconnect with its cursor",
            "A limit was reached. Reconnect later, with your cursor.";
        /// Events are missing, and the stream was configured to close at a gap.
        Gap: "stream.gap", 200 OK, 11 "OUT_OF_RANGE", 4410, AfterChange,
            "fetch the state again, then connect without a cursor",
            "Events were missed. Fetch the state again, then connect without a cursor.";
    }
}

impl Ending {
    /// The stable code that clients match on, such as `auth.expired`. It is the name of the notice on SSE
    /// and WebSocket, the reason of the close frame, and `tenancy-code` in gRPC metadata.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.row().code
    }

    /// The text that the client reads: what it should do.
    #[must_use]
    pub const fn detail(self) -> &'static str {
        self.row().detail
    }

    /// The WebSocket close code: a code of [RFC 6455 section 7.4], or a code of this crate, from 4400 on.
    ///
    /// [RFC 6455 section 7.4]: https://www.rfc-editor.org/rfc/rfc6455#section-7.4
    #[must_use]
    pub const fn close_code(self) -> u16 {
        self.row().websocket
    }

    /// The gRPC status code.
    #[must_use]
    pub const fn grpc_code(self) -> u8 {
        self.row().grpc
    }

    /// Whether the client should reconnect by itself after a delay. It is false for [`Slow`](Self::Slow),
    /// after which the client reconnects at once.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        self.row().retry.delay_factor().is_some()
    }

    /// The members of the notice, for SSE and WebSocket.
    pub(crate) fn members(self) -> Map<String, Value> {
        event_stream::members([("code", self.code()), ("detail", self.detail())])
    }

    /// How long a client waits before it reconnects by itself, if its usual delay is `delay`. `None` if
    /// the client should stop, change something first, or reconnect at once.
    pub(crate) fn retry_after(self, delay: Duration) -> Option<Duration> {
        self.row().retry.delay_factor().map(|factor| delay.saturating_mul(factor))
    }
}

/// The longest delay that is jittered: a day.
const LONGEST_DELAY: Duration = Duration::from_secs(86_400);

/// A random delay between `base` and twice `base`, so that clients that lost their streams at the same
/// time do not all reconnect at the same time.
pub(crate) fn jittered(base: Duration) -> Duration {
    // Each `RandomState` has its own random keys. That is random enough to spread clients.
    let random = std::hash::RandomState::new().build_hasher().finish();
    let base = base.min(LONGEST_DELAY);
    base + base.mul_f64((random % 1024) as f64 / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::Ending;

    #[test]
    fn only_a_complete_stream_is_ok() {
        for ending in Ending::ALL {
            assert_eq!(ending.grpc_code() == 0, *ending == Ending::Complete);
            assert_eq!(ending.close_code() == 1000, *ending == Ending::Complete);
        }
    }
}
