//! A set of keys that rotate, as verifiers and applications see it.

use super::{
    fetch::Work,
    shared::Shared,
    state::{Held, Miss, State, Times},
    task::Task,
};
use crate::auth::jwt::token_error::TokenError;
use futures_util::future::{Either, select};
use std::{
    fmt,
    future::Future,
    pin::pin,
    sync::{Arc, Mutex, OnceLock, RwLock},
    time::{Duration, SystemTime},
};
use tokio::{
    runtime::Handle,
    sync::{mpsc, watch},
};

/// The keys of one issuer, as they change. Clones are one set.
///
/// A task of its own fetches them, ahead of their age, one fetch at a time. Tokens whose key is held
/// never wait for it. A token whose `kid` is not held waits for one fetch, which its issuer may have
/// rotated its keys for; if that was in vain, no other is made on behalf of a `kid` for a while. While
/// the source fails, the keys that are held stay good up to a bound, and what cannot be told is
/// refused as `auth.keys_unavailable` (503 with `Retry-After`), never as a bad token.
///
/// Nobody waits longer than [`timeout`](super::KeySetBuilder::timeout), also where the source panics, blocks or
/// never answers, and where the runtime in which the set was started is gone: then whoever needs the keys
/// next, or asks for the [`health`](Self::health), begins to fetch them in the runtime that it runs in.
///
/// What an issuer publishes is bounded: 64 keys, RSA keys of 2048 to 4096 bits
/// ([`Backend::with_max_rsa_bits`](crate::auth::Backend::with_max_rsa_bits)), and four keys of one `kid`, or without one, that are tried for a token.
/// Which keys are left out, and why, is told in the log: once, and again when it changes.
///
/// ```
/// use tower_tenancy::auth::{JwtVerifier, KeyFile, KeySet};
///
/// # async fn run() -> Result<(), tower_tenancy::BoxError> {
/// let keys = KeySet::builder(KeyFile::new("/etc/chat/keys.json")).start()?;
/// let verifier = JwtVerifier::builder().key_set(keys.clone()).audience("chat").build()?;
/// // In a health check: no key yet, or none that may still be used.
/// let ready = keys.health().keys > 0;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct KeySet(pub(super) Arc<Shared>);

/// How a [`KeySet`] is, for health checks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyHealth {
    /// How many keys may be used now. Without any, every token is refused (503).
    pub keys: usize,
    /// How long ago the source was last seen to have them. `None`: never.
    pub age: Option<Duration>,
    /// Why the last fetch failed, if it did. For operators: it may name internal hosts. URLs are told
    /// without user, password and query, and of a long error the first 2 KiB.
    pub error: Option<String>,
}

impl KeySet {
    /// A set whose keys nobody fetches yet.
    pub(super) fn idle(work: Arc<Work>, times: Times) -> Self {
        let state = RwLock::new(State::new(times, work.clock.now()));
        let (wake, _) = mpsc::channel(1);
        let fetches = watch::Sender::new(0);
        let (issuer, wake) = (OnceLock::new(), Mutex::new(wake));
        Self(Arc::new(Shared { state, work, issuer, wake, fetches }))
    }

    /// How the set is.
    #[must_use]
    pub fn health(&self) -> KeyHealth {
        // A service that is not ready gets no requests, so nobody else might see to it.
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

    /// Waits until the first fetch is over, whatever its outcome, and no longer than one may take: a
    /// service that has its keys before it takes requests refuses nobody for the lack of them.
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

    /// The keys that may be used now.
    pub(in crate::auth::jwt) fn held(&self) -> Option<Held> {
        let now = self.now();
        let held = |state: &State| (state.held(now).cloned(), state.is_overdue(now));
        let (held, is_overdue) = self.0.read(held);
        if is_overdue {
            self.keep_alive();
        }
        held
    }

    /// What to do about a key that is not held: wait for a fetch, or give the reason. Whoever waits
    /// longer than a fetch may take gets one as well.
    pub(in crate::auth::jwt) fn miss(
        &self,
        kid: Option<&str>,
    ) -> Result<impl Future<Output = Result<(), TokenError>> + Send + use<>, TokenError> {
        self.keep_alive();
        let now = self.now();
        // At once, so that the fetch that it waits for is the one that the state speaks of.
        let (miss, attempt, mut fetches) = self.0.write(|state| {
            let miss = state.miss(kid, now);
            (miss, state.attempt(), self.0.fetches.subscribe())
        });
        match miss {
            Miss::Refused => return Err(TokenError::NoSuchKey(kid.map(str::to_owned))),
            Miss::Unavailable(wait) => return Err(self.unavailable(wait)),
            Miss::Wait => {}
            // If it is full, the task was woken already.
            Miss::Fetch => drop(self.0.lock_wake().try_send(())),
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

    /// This fetch took too long for whoever waited for it.
    fn give_up(&self, attempt: u64) -> TokenError {
        let now = self.now();
        let mut wake = self.0.lock_wake();
        let error = self.0.work.no_answer();
        let (is_lost, wait) =
            self.0.write(|state| (state.give_up(attempt, error, now), state.due_in(now)));
        if is_lost {
            // Closed: the next one who comes begins another task, and the old one ends if it can.
            *wake = mpsc::channel(1).0;
        }
        drop(wake);
        self.unavailable(wait)
    }

    /// No key can be had for so long, and why: for the log.
    pub(in crate::auth::jwt) fn unavailable(&self, wait: Duration) -> TokenError {
        let error = self.0.read(|state| state.last_error().map(str::to_owned));
        let error = error.unwrap_or_else(|| "they are not fetched yet, or too old".to_owned());
        TokenError::KeysUnavailable { wait, why: format!("{}: {error}", self.0.work.source.name()) }
    }

    /// Says whose keys these are. The log ties the two together: what was told of the source before named
    /// no issuer.
    pub(in crate::auth::jwt) fn is_of(&self, issuer: &str) {
        if self.0.issuer.set(issuer.to_owned()).is_ok() {
            let source = self.0.work.source.name();
            tracing::info!(source, issuer, "the keys of a source verify the tokens of an issuer");
        }
    }

    /// Sees to it that there is a task that fetches.
    fn keep_alive(&self) {
        let mut wake = self.0.lock_wake();
        let now = self.now();
        let is_gone = wake.is_closed()
            || self.0.read(|state| state.is_overdue(now))
                && self.0.write(|state| state.is_lost(now));
        if !is_gone {
            return;
        }
        let gone = "the task that fetches keys ended, or its runtime did";
        match Handle::try_current() {
            Ok(runtime) => {
                tracing::warn!("{gone}; another one begins");
                self.0.write(|state| state.begin_anew(format!("{gone}; another one began"), now));
                *wake = Task::start(&self.0, &runtime);
            }
            Err(_) => {
                let error =
                    format!("{gone}, and there is no tokio runtime here to begin another one in");
                self.0.write(|state| state.lose(error, now));
            }
        }
    }

    pub(super) fn now(&self) -> SystemTime {
        self.0.work.clock.now()
    }

    /// The key is not held after that, either: the reason.
    pub(in crate::auth::jwt) fn missed(&self, kid: Option<&str>) -> TokenError {
        let now = self.now();
        match self.0.write(|state| state.missed(kid, now)) {
            Miss::Unavailable(wait) => self.unavailable(wait),
            Miss::Refused | Miss::Wait | Miss::Fetch => {
                TokenError::NoSuchKey(kid.map(str::to_owned))
            }
        }
    }

    /// The key is held after that.
    pub(in crate::auth::jwt) fn found(&self) {
        self.0.write(State::found);
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeySet").field(&self.look()).finish()
    }
}
