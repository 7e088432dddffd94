//! The clock: the system's clock, or a test's clock.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A sleep that a [`Clock`] made.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

/// Returns the time of day, and makes futures that sleep.
///
/// Only the time of day decides whether a token has expired. A sleep only makes sure that the crate reads
/// the time of day again.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The time of day.
    fn now(&self) -> SystemTime;

    /// A future that completes after about `duration`.
    fn sleep(&self, duration: Duration) -> Sleep;
}

/// The operating system's clock, with tokio's timer.
///
/// # Panics
///
/// [`sleep`](Clock::sleep) needs a tokio runtime with an enabled timer.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// The default clock.
pub(crate) fn system() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

/// 9999-12-31T23:59:59Z, the last second that RFC 3339 can express. A later time means "never".
pub(crate) const LAST_SECOND: u64 = 253_402_300_799;

/// The time that is `seconds` after 1970-01-01T00:00:00Z, but at most [`LAST_SECOND`].
#[cfg(any(test, feature = "jwt", feature = "test-util"))]
pub(crate) fn from_unix(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds.min(LAST_SECOND))
}

/// A delay in whole milliseconds, as clients are told it.
pub(crate) fn millis(delay: Duration) -> u64 {
    u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)
}

/// `time` as RFC 3339 in UTC with milliseconds.
pub(crate) fn rfc3339(time: SystemTime) -> impl fmt::Display {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let last = Duration::from_secs(LAST_SECOND);
    humantime::format_rfc3339_millis(UNIX_EPOCH + seconds.min(last))
}

#[cfg(test)]
mod tests {
    use super::{from_unix, rfc3339};

    #[test]
    fn times_have_milliseconds_and_do_not_overflow() {
        assert_eq!(rfc3339(from_unix(1_795_348_800)).to_string(), "2026-11-22T12:00:00.000Z");
        assert_eq!(rfc3339(from_unix(u64::MAX)).to_string(), "9999-12-31T23:59:59.000Z");
    }
}
