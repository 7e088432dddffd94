//! A clock that only a test moves.

use crate::{
    clock::{Clock, Sleep, from_unix},
    sync::Mutex,
};
use std::{
    sync::Arc,
    task::{Poll, Waker},
    time::{Duration, SystemTime},
};

/// A clock that stands still until [`advance`](Self::advance) moves it. A sleep ends when the clock has
/// advanced by its duration. As in an operating system, setting the time of day back does not change this.
/// Clones share one clock.
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
    /// A clock at this number of seconds after 1970.
    #[must_use]
    pub fn at(unix: u64) -> Self {
        Self(Arc::new(Mutex::from(State {
            time_of_day: from_unix(unix),
            elapsed: Duration::ZERO,
            sleepers: Vec::new(),
        })))
    }

    /// The clock as the type that builders need.
    #[must_use]
    pub fn shared(&self) -> Arc<dyn Clock> {
        Arc::new(self.clone())
    }

    /// Moves the clock forward, and wakes all sleeping tasks.
    pub fn advance(&self, by: Duration) {
        let sleepers = {
            let mut state = self.0.lock();
            state.time_of_day += by;
            state.elapsed += by;
            std::mem::take(&mut state.sleepers)
        };
        sleepers.into_iter().for_each(Waker::wake);
    }

    /// Sets the time of day back. This does not change when sleeps end.
    pub fn set_back(&self, by: Duration) {
        self.0.lock().time_of_day -= by;
    }

    /// Wakes the task the next time that the clock advances.
    #[cfg(test)]
    pub(crate) fn wake(&self, cx: &std::task::Context<'_>) {
        self.0.lock().sleepers.push(cx.waker().clone());
    }
}

impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        self.0.lock().time_of_day
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        let clock = self.clone();
        let until = self.0.lock().elapsed.saturating_add(duration);
        Box::pin(std::future::poll_fn(move |cx| {
            let mut state = clock.0.lock();
            if state.elapsed >= until {
                return Poll::Ready(());
            }
            state.sleepers.push(cx.waker().clone());
            Poll::Pending
        }))
    }
}
