//! The public handle of a key set.

use super::{
    fetch::Work,
    shared::Shared,
    state::{Held, Miss, State, Times},
    task::Task,
};
use crate::{
    auth::jwt::token_error::TokenError,
    sync::{Mutex, RwLock},
};
use futures_util::future::{Either, select};
use std::{
    fmt,
    future::Future,
    pin::pin,
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};
use tokio::{
    runtime::Handle,
    sync::{mpsc, watch},
};

/// The keys of one issuer, which may change. Clones share one set.
///
/// A task fetches the keys before they are too old, one fetch at a time. If the key of a token is in the set,
/// the token never waits. A token with an unknown `kid` waits for one fetch, because the issuer may have
/// rotated its keys. If that fetch finds no such key, unknown `kid`s cause no fetch during the
/// [cooldown](super::KeySetBuilder::cooldown). While the source fails, the set keeps its keys up to a
/// [maximum age](super::KeySetBuilder::stale_for). If the set then has no key for a token, the token is
/// refused with `auth.keys_unavailable` (503 with `Retry-After`), not as a bad token.
///
/// No token waits longer than [`timeout`](super::KeySetBuilder::timeout), even if the source panics, blocks
/// or never answers. If the runtime of the task has ended, a later token or a call of
/// [`health`](Self::health) starts a new task in the runtime of the caller.
///
/// The set uses at most 64 keys of an issuer. RSA keys must have 2048 to 4096 bits
/// ([`Backend::with_max_rsa_bits`](crate::auth::Backend::with_max_rsa_bits) changes the maximum). For a
/// token, the set tries at most four keys with the same `kid` or without one. The log names the unused keys
/// and the reasons, once for each change.
///
/// ```
/// use tower_tenancy::auth::{JwtVerifier, KeyFile, KeySet};
///
/// # async fn run() -> Result<(), tower_tenancy::BoxError> {
/// let keys = KeySet::builder(KeyFile::new("/etc/chat/keys.json")).start()?;
/// let verifier = JwtVerifier::builder().key_set(keys.clone()).audience("chat").build()?;
/// // For a health check. It is `false` before the first fetch, and when all keys are too old.
/// let ready = keys.health().keys > 0;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct KeySet(pub(super) Arc<Shared>);

/// The state of a [`KeySet`], for health checks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyHealth {
    /// How many keys can be used now. If it is zero, every token is refused (503).
    pub keys: usize,
    /// The time since the last successful fetch. `None`: no fetch succeeded yet.
    pub age: Option<Duration>,
    /// Why the last fetch failed, if it failed. Show it only to operators, because it may contain the names
    /// of internal hosts. It contains no user, password or query of a URL. A long error is cut after 2 KiB.
    pub error: Option<String>,
}

impl KeySet {
    /// A set without a task that fetches its keys.
    pub(super) fn idle(work: Arc<Work>, times: Times) -> Self {
        let state = RwLock::from(State::new(times, work.clock.now()));
        let (wake, _) = mpsc::channel(1);
        let fetches = watch::Sender::new(0);
        let (issuer, wake) = (OnceLock::new(), Mutex::from(wake));
        Self(Arc::new(Shared { state, work, issuer, wake, fetches }))
    }

    /// The state of the set.
    #[must_use]
    pub fn health(&self) -> KeyHealth {
        // A service that is not ready gets no requests. So a health check must be able to restart the task.
        self.keep_alive();
        self.look()
    }

    fn look(&self) -> KeyHealth {
        let now = self.now();
        self.0.read(|state| KeyHealth {
            keys: state.held(now).map_or(0, |held| held.keys.len()),
            age: state.age(now),
            error: state.last_error().map(str::to_owned),
        })
    }

    /// Waits until the first fetch has succeeded or failed, but not longer than the
    /// [`timeout`](super::KeySetBuilder::timeout) of one fetch. Call it before your service accepts requests,
    /// so that the first tokens are not refused for missing keys.
    pub async fn loaded(&self) {
        self.keep_alive();
        let (attempt, mut fetches) =
            self.0.read(|state| (state.attempt(), self.0.fetches.subscribe()));
        let first = pin!(fetches.wait_for(|fetches| *fetches > 0));
        match select(first, self.0.work.clock.sleep(self.0.work.timeout)).await {
            Either::Left(_) => {}
            Either::Right(_) => drop(self.give_up(attempt)),
        }
    }

    /// The keys that can be used now.
    pub(in crate::auth::jwt) fn held(&self) -> Option<Held> {
        let now = self.now();
        let held = |state: &State| (state.held(now).cloned(), state.is_overdue(now));
        let (held, is_overdue) = self.0.read(held);
        if is_overdue {
            self.keep_alive();
        }
        held
    }

    /// Handles a token whose key is not in the set. Returns a future that waits for a fetch, or the reason
    /// why there is no fetch. The future fails if the fetch takes too long.
    pub(in crate::auth::jwt) fn miss(
        &self,
        kid: Option<&str>,
    ) -> Result<impl Future<Output = Result<(), TokenError>> + Send + use<>, TokenError> {
        self.keep_alive();
        let now = self.now();
        // Subscribe under the lock, so that the future waits for the fetch that the state decided on.
        let (miss, attempt, mut fetches) = self.0.write(|state| {
            let miss = state.miss(kid, now);
            (miss, state.attempt(), self.0.fetches.subscribe())
        });
        match miss {
            Miss::Refused => return Err(TokenError::NoSuchKey(kid.map(str::to_owned))),
            Miss::Unavailable(wait) => return Err(self.unavailable(wait)),
            Miss::Wait => {}
            // If the channel is full, the task has been woken before.
            Miss::Fetch => drop(self.0.wake.lock().try_send(())),
        }
        let set = self.clone();
        Ok(async move {
            let work = &set.0.work;
            match select(pin!(fetches.changed()), work.clock.sleep(work.timeout)).await {
                Either::Left(_) => Ok(()),
                Either::Right(_) => Err(set.give_up(attempt)),
            }
        })
    }

    /// Marks a fetch as failed because it took too long.
    fn give_up(&self, attempt: u64) -> TokenError {
        let now = self.now();
        let mut wake = self.0.wake.lock();
        let error = self.0.work.no_answer();
        let (is_lost, wait) =
            self.0.write(|state| (state.give_up(attempt, error, now), state.due_in(now)));
        if is_lost {
            // Close the channel: the next caller starts a new task, and the old task ends if it can.
            *wake = mpsc::channel(1).0;
        }
        drop(wake);
        self.unavailable(wait)
    }

    /// The error if no keys are available, with the time after which the client may try again.
    pub(in crate::auth::jwt) fn unavailable(&self, wait: Duration) -> TokenError {
        let error = self.0.read(|state| state.last_error().map(str::to_owned));
        let error =
            error.unwrap_or_else(|| "no keys were fetched yet, or they are too old".to_owned());
        TokenError::KeysUnavailable { wait, why: format!("{}: {error}", self.0.work.source.name()) }
    }

    /// Sets the issuer of the keys for log lines. Earlier log lines name only the source, so one line names
    /// both.
    pub(in crate::auth::jwt) fn set_issuer(&self, issuer: &str) {
        if self.0.issuer.set(issuer.to_owned()).is_ok() {
            let source = self.0.work.source.name();
            tracing::info!(source, issuer, "the keys of a source verify the tokens of an issuer");
        }
    }

    /// Starts a new task if the old one is gone.
    fn keep_alive(&self) {
        let mut wake = self.0.wake.lock();
        let now = self.now();
        let is_gone = wake.is_closed()
            || self.0.read(|state| state.is_overdue(now))
                && self.0.write(|state| state.is_lost(now));
        if !is_gone {
            return;
        }
        let gone = "the task that fetches the keys has ended, or its runtime has ended";
        match Handle::try_current() {
            Ok(runtime) => {
                tracing::warn!("{gone}; a new task starts");
                self.0.write(|state| {
                    state.begin_anew(format!("{gone}; a new task has started"), now)
                });
                *wake = Task::start(&self.0, &runtime);
            }
            Err(_) => {
                let error = format!("{gone}, and the caller has no tokio runtime for a new task");
                self.0.write(|state| state.lose(error, now));
            }
        }
    }

    pub(super) fn now(&self) -> SystemTime {
        self.0.work.clock.now()
    }

    /// Handles a token whose key is still missing after a fetch. Returns its error.
    pub(in crate::auth::jwt) fn missed(&self, kid: Option<&str>) -> TokenError {
        let now = self.now();
        match self.0.write(|state| state.missed(kid, now)) {
            Miss::Unavailable(wait) => self.unavailable(wait),
            Miss::Refused | Miss::Wait | Miss::Fetch => {
                TokenError::NoSuchKey(kid.map(str::to_owned))
            }
        }
    }

    /// Records that the fetch found the key.
    pub(in crate::auth::jwt) fn found(&self) {
        self.0.write(State::found);
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeySet").field(&self.look()).finish()
    }
}
