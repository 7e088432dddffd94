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
/// The time of day is the authority for expiry; a sleep only makes sure that somebody looks.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The time of day.
    fn now(&self) -> SystemTime;

    /// A future that is done after about `duration`.
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

/// 9999-12-31T23:59:59Z, the last second that RFC 3339 can write: later times mean "never".
pub(crate) const LAST_SECOND: u64 = 253_402_300_799;

/// A number of seconds since 1970 as a time, however large.
#[cfg(any(test, feature = "jwt", feature = "test-util"))]
pub(crate) fn from_unix(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds.min(LAST_SECOND))
}

/// `time` as RFC 3339 in UTC with milliseconds.
pub(crate) fn rfc3339(time: SystemTime) -> impl fmt::Display {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let last = Duration::from_secs(LAST_SECOND);
    humantime::format_rfc3339_millis(UNIX_EPOCH + seconds.min(last))
}

/// A clock for tests: moves when told to, and ends the sleeps that it passes.
#[cfg(any(test, feature = "test-util"))]
#[cfg_attr(
    not(feature = "test-util"),
    allow(dead_code, unreachable_pub, reason = "public, and used whole, only with that feature")
)]
pub(crate) mod manual {
    use super::{Clock, Sleep, from_unix};
    use std::{
        sync::{Arc, Mutex, MutexGuard, PoisonError},
        task::{Poll, Waker},
        time::{Duration, SystemTime},
    };

    /// A clock that moves when told to. Its sleeps end when that much time went by, whatever the time
    /// of day was set to meanwhile, as those of an operating system do. Clones are one clock.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_tenancy::{clock::Clock as _, testing::ManualClock};
    ///
    /// let clock = ManualClock::at(1_795_348_800);
    /// let before = clock.now();
    /// clock.advance(Duration::from_secs(3600));
    /// assert_eq!(clock.now(), before + Duration::from_secs(3600));
    /// ```
    #[derive(Clone, Debug)]
    pub struct ManualClock(Arc<Mutex<State>>);

    #[derive(Debug)]
    struct State {
        time_of_day: SystemTime,
        elapsed: Duration,
        sleepers: Vec<Waker>,
    }

    impl ManualClock {
        /// It is so many seconds after 1970.
        #[must_use]
        pub fn at(unix: u64) -> Self {
            Self(Arc::new(Mutex::new(State {
                time_of_day: from_unix(unix),
                elapsed: Duration::ZERO,
                sleepers: Vec::new(),
            })))
        }

        /// The clock, for whoever asks for one.
        #[must_use]
        pub fn shared(&self) -> Arc<dyn Clock> {
            Arc::new(self.clone())
        }

        /// Time goes by.
        pub fn advance(&self, by: Duration) {
            let sleepers = {
                let mut state = self.state();
                state.time_of_day += by;
                state.elapsed += by;
                std::mem::take(&mut state.sleepers)
            };
            sleepers.into_iter().for_each(Waker::wake);
        }

        /// Somebody sets the time of day back. Sleepers are not concerned.
        pub fn set_back(&self, by: Duration) {
            self.state().time_of_day -= by;
        }

        /// Has the task woken when time goes by.
        #[cfg(test)]
        pub(crate) fn wake(&self, cx: &std::task::Context<'_>) {
            self.state().sleepers.push(cx.waker().clone());
        }

        fn state(&self) -> MutexGuard<'_, State> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    impl Clock for ManualClock {
        fn now(&self) -> SystemTime {
            self.state().time_of_day
        }

        fn sleep(&self, duration: Duration) -> Sleep {
            let clock = self.clone();
            let until = self.state().elapsed.saturating_add(duration);
            Box::pin(std::future::poll_fn(move |cx| {
                let mut state = clock.state();
                if state.elapsed >= until {
                    return Poll::Ready(());
                }
                state.sleepers.push(cx.waker().clone());
                Poll::Pending
            }))
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{Clock, Sleep, from_unix, manual::ManualClock, rfc3339};
    use std::{
        task::Poll,
        time::{Duration, SystemTime},
    };

    /// A clock whose sleeps end at a time of day, as those of a test or an embedded system may.
    #[derive(Debug)]
    pub(crate) struct ByTimeOfDay(pub(crate) ManualClock);

    impl Clock for ByTimeOfDay {
        fn now(&self) -> SystemTime {
            self.0.now()
        }

        fn sleep(&self, duration: Duration) -> Sleep {
            let (clock, until) = (self.0.clone(), self.0.now() + duration);
            Box::pin(std::future::poll_fn(move |cx| {
                if clock.now() >= until {
                    return Poll::Ready(());
                }
                // It fires at that time and not before, whoever asks meanwhile.
                clock.wake(cx);
                Poll::Pending
            }))
        }
    }

    #[test]
    fn times_are_written_with_milliseconds_and_never_overflow() {
        assert_eq!(rfc3339(from_unix(1_795_348_800)).to_string(), "2026-11-22T12:00:00.000Z");
        assert_eq!(rfc3339(from_unix(u64::MAX)).to_string(), "9999-12-31T23:59:59.000Z");
    }
}
