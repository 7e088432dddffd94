//! The builder of a key set.

use super::{fetch::Work, set::KeySet, source::KeySource, state::Times, task::Task};
use crate::{
    auth::jwt::{algorithm::Algorithm, backend::Backend, config_error::JwtConfigError},
    clock::{self, Clock},
};
use std::{fmt, sync::Arc, time::Duration};
use tokio::runtime::Handle;

/// Builds a [`KeySet`]. [`KeySet::builder`] returns one.
#[derive(Clone)]
#[must_use]
pub struct KeySetBuilder {
    source: Arc<dyn KeySource>,
    times: Times,
    backend: Option<Backend>,
    algorithms: Option<Vec<Algorithm>>,
    clock: Arc<dyn Clock>,
}

impl KeySet {
    /// A builder for a set with the keys of `source`.
    pub fn builder(source: impl KeySource) -> KeySetBuilder {
        KeySetBuilder {
            source: Arc::new(source),
            times: Times {
                refresh_after: Duration::from_secs(300),
                stale_for: Duration::from_secs(24 * 3600),
                cooldown: Duration::from_secs(30),
                timeout: Duration::from_secs(10),
            },
            backend: Backend::compiled_in(),
            algorithms: None,
            clock: clock::system(),
        }
    }

    /// A set whose keys a test sets.
    #[cfg(all(test, feature = "token-cache", any(feature = "aws-lc-rs", feature = "rust-crypto")))]
    #[expect(clippy::unwrap_used, reason = "only tests call it")]
    pub(in crate::auth::jwt) fn by_hand(clock: Arc<dyn Clock>) -> (Self, impl Fn(&str) + use<>) {
        let (builder, backend) =
            (Self::builder(|| async { Ok(String::new()) }), Backend::compiled_in());
        let times = Times { timeout: Duration::from_secs(u64::from(u32::MAX)), ..builder.times };
        let work = Work {
            source: builder.source,
            timeout: times.timeout,
            backend: backend.unwrap(),
            algorithms: None,
            clock,
            threads: Arc::default(),
        };
        let set = Self::idle(Arc::new(work), times);
        let install = set.clone();
        (set, move |jwks: &str| {
            let usable = install.0.work.usable(jwks).unwrap();
            let now = install.now();
            install.0.write(|state| state.succeed(jwks.to_owned(), usable.keys, now));
        })
    }
}

impl KeySetBuilder {
    /// Fetches the keys again at this age, even if there are no requests. Default: five minutes. Minimum: one
    /// second.
    pub fn refresh_after(mut self, age: Duration) -> Self {
        self.times.refresh_after = age.max(Duration::from_secs(1));
        self
    }

    /// Uses keys up to this age while their source fails. Default: 24 hours. The minimum is
    /// [`refresh_after`](Self::refresh_after), so that good keys do not expire before the next fetch.
    pub fn stale_for(mut self, age: Duration) -> Self {
        self.times.stale_for = age;
        self
    }

    /// Sets the pause after a fetch for an unknown `kid` that found no such key. During the pause, no unknown
    /// `kid` causes a fetch. Default: 30 seconds.
    pub fn cooldown(mut self, time: Duration) -> Self {
        self.times.cooldown = time;
        self
    }

    /// Sets how long one fetch may take, and how long a token waits for a fetch. Default: 10 seconds.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.times.timeout = time;
        self
    }

    /// Uses only keys for these algorithms. Default: keys for all algorithms.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = Some(algorithms.into_iter().collect());
        self
    }

    /// Sets the crypto library. Default: the fastest one that is compiled in.
    pub fn backend(mut self, backend: Backend) -> Self {
        self.backend = Some(backend);
        self
    }

    /// Sets the clock for the age of the keys and for all waits.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Starts the task that fetches the keys. It does not wait for the keys: use [`KeySet::loaded`] for that.
    ///
    /// # Errors
    ///
    /// If there is no crypto backend or no tokio runtime.
    pub fn start(self) -> Result<KeySet, JwtConfigError> {
        let backend = self.backend.ok_or(JwtConfigError::NoBackend)?;
        let runtime = Handle::try_current().map_err(|_| JwtConfigError::NoRuntime)?;
        let work = Arc::new(Work {
            source: self.source,
            timeout: self.times.timeout,
            backend,
            algorithms: self.algorithms,
            clock: self.clock,
            threads: Arc::default(),
        });
        let Times { refresh_after, stale_for, .. } = self.times;
        let set =
            KeySet::idle(work, Times { stale_for: stale_for.max(refresh_after), ..self.times });
        *set.0.wake.lock() = Task::start(&set.0, &runtime);
        Ok(set)
    }
}

impl fmt::Debug for KeySetBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySetBuilder").field("times", &self.times).finish_non_exhaustive()
    }
}
