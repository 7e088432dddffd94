//! Where the time comes from: the system, or a test.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A sleep that a [`Clock`] made.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

/// Tells the time of day and wakes sleepers.
///
/// The time of day decides whether something has expired. A sleep only makes sure that the time of day
/// is looked at again.
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
/// Sleeping needs a tokio runtime with its timer enabled, as every tokio-based server has.
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

/// The clock used where none was chosen.
pub(crate) fn system() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

/// 9999-12-31T23:59:59Z, the last second that RFC 3339 can write. A later time means "never".
pub(crate) const LAST_SECOND: u64 = 253_402_300_799;

/// A number of seconds since 1970 as a time, however large.
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
    fn times_are_written_with_milliseconds_and_never_overflow() {
        assert_eq!(rfc3339(from_unix(1_795_348_800)).to_string(), "2026-11-22T12:00:00.000Z");
        assert_eq!(rfc3339(from_unix(u64::MAX)).to_string(), "9999-12-31T23:59:59.000Z");
    }
}
