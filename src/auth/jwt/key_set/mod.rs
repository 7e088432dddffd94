//! Keys that rotate: fetched in time, kept while their source fails, and never waited for once known.

#[cfg(feature = "jwks-client")]
mod client;
mod source;
mod state;

#[cfg(feature = "jwks-client")]
pub use client::HttpClient;
pub use source::{Discovery, Fetched, HttpFuture, HttpGet, JwksUrl, KeyFile, KeyFuture, KeySource};
pub(super) use state::Held;

use super::{
    Algorithm, TokenError,
    key::{Backend, JwtConfigError, JwtKey, ReadyKey},
};
use crate::{
    clock::{self, Clock},
    rejection::{BoxError, Chain},
};
use futures_util::future::{Either, select};
use source::MAX_DOCUMENT;
use state::{Miss, State, Times};
use std::{
    collections::HashMap,
    fmt,
    future::Future,
    pin::pin,
    sync::{Arc, PoisonError, RwLock, Weak},
    time::Duration,
};
use tokio::sync::{mpsc, watch};

/// Most keys that one set may have.
const MAX_KEYS: usize = 256;

/// The keys of one issuer, as they change. Clones are one set.
///
/// A task of its own fetches them, ahead of their age, one fetch at a time. Tokens whose key is held
/// never wait for it. A token whose `kid` is not held waits for one fetch, which its issuer may have
/// rotated its keys for; if that was in vain, no other is made on behalf of a `kid` for a while. While
/// the source fails, the keys that are held stay good up to a bound, and what cannot be told is
/// refused as `auth.keys_unavailable` (503 with `Retry-After`), never as a bad token.
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
pub struct KeySet(Arc<Shared>);

struct Shared {
    state: RwLock<State>,
    clock: Arc<dyn Clock>,
    /// Asks for a fetch. Closed with the last handle, which ends the task.
    wake: mpsc::Sender<()>,
    /// One more with each fetch that is over.
    fetches: watch::Sender<u64>,
}

/// How a [`KeySet`] is, for health checks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyHealth {
    /// How many keys may be used now. Without any, every token is refused (503).
    pub keys: usize,
    /// How long ago the source was last seen to have them. `None`: never.
    pub age: Option<Duration>,
    /// Why the last fetch failed, if it did. For operators: it may name internal hosts.
    pub error: Option<String>,
}

/// Sets up a [`KeySet`]. Made by [`KeySet::builder`].
#[derive(Clone)]
#[must_use]
pub struct KeySetBuilder {
    source: Arc<dyn KeySource>,
    times: Times,
    timeout: Duration,
    backend: Option<Backend>,
    algorithms: Option<Vec<Algorithm>>,
    clock: Arc<dyn Clock>,
}

impl KeySetBuilder {
    /// Fetches keys of this age anew, before anybody needs to. Default: five minutes.
    pub fn refresh_after(mut self, age: Duration) -> Self {
        self.times.refresh_after = age.max(Duration::from_secs(1));
        self
    }

    /// Uses keys up to this age while their source fails. Default: 24 hours.
    pub fn stale_for(mut self, age: Duration) -> Self {
        self.times.stale_for = age;
        self
    }

    /// How long no fetch is made on behalf of an unknown `kid` after one was in vain. Default: 30
    /// seconds.
    pub fn cooldown(mut self, time: Duration) -> Self {
        self.times.cooldown = time;
        self
    }

    /// How long one fetch may take. Default: 10 seconds.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = time;
        self
    }

    /// Takes keys for these algorithms only. Default: whatever the keys say they are for.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = Some(algorithms.into_iter().collect());
        self
    }

    /// The crypto library to verify with. Default: the fastest one that is compiled in.
    pub fn backend(mut self, backend: Backend) -> Self {
        self.backend = Some(backend);
        self
    }

    /// The clock that ages are held against.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Starts to fetch. Does not wait for it: [`KeySet::loaded`] does.
    ///
    /// # Errors
    ///
    /// No crypto backend; no tokio runtime.
    pub fn start(self) -> Result<KeySet, JwtConfigError> {
        let backend = self.backend.ok_or(JwtConfigError::NoBackend)?;
        let runtime = tokio::runtime::Handle::try_current();
        let runtime = runtime.map_err(|_| JwtConfigError::NoRuntime)?;
        let (wake, woken) = mpsc::channel(1);
        let state = RwLock::new(State::new(self.times, self.clock.now()));
        let clock = Arc::clone(&self.clock);
        let shared = Arc::new(Shared { state, clock, wake, fetches: watch::Sender::new(0) });
        let task = Task {
            shared: Arc::downgrade(&shared),
            source: self.source,
            timeout: self.timeout,
            backend,
            algorithms: self.algorithms,
            clock: self.clock,
        };
        runtime.spawn(task.run(woken));
        Ok(KeySet(shared))
    }
}

impl KeySet {
    /// Keys from `source`, with the default times.
    pub fn builder(source: impl KeySource) -> KeySetBuilder {
        KeySetBuilder {
            source: Arc::new(source),
            times: Times {
                refresh_after: Duration::from_secs(300),
                stale_for: Duration::from_secs(24 * 3600),
                cooldown: Duration::from_secs(30),
            },
            timeout: Duration::from_secs(10),
            backend: Backend::compiled_in(),
            algorithms: None,
            clock: clock::system(),
        }
    }

    /// How the set is.
    #[must_use]
    pub fn health(&self) -> KeyHealth {
        let now = self.0.clock.now();
        self.0.read(|state| KeyHealth {
            keys: state.held(now).map_or(0, |held| held.keys.len()),
            age: state.age(now),
            error: state.last_error().map(str::to_owned),
        })
    }

    /// Waits until the first fetch is over, whatever its outcome: a service that has its keys before
    /// it takes requests refuses nobody for the lack of them.
    pub async fn loaded(&self) {
        let mut fetches = self.0.fetches.subscribe();
        // The sender lives as long as this set.
        drop(fetches.wait_for(|fetches| *fetches > 0).await);
    }

    /// The keys that may be used now.
    pub(super) fn held(&self) -> Option<Held> {
        let now = self.0.clock.now();
        self.0.read(|state| state.held(now).cloned())
    }

    /// What to do about a key that is not held: wait for a fetch, or give the reason.
    pub(super) fn miss(
        &self,
        kid: Option<&str>,
    ) -> Result<impl Future<Output = ()> + Send + use<>, TokenError> {
        let now = self.0.clock.now();
        // Before anybody is woken, so that no fetch is over before it is waited for.
        let mut fetches = self.0.fetches.subscribe();
        match self.0.write(|state| state.miss(kid, now)) {
            Miss::Refused => return Err(TokenError::NoSuchKey(None)),
            Miss::Unavailable(wait) => return Err(TokenError::KeysUnavailable(wait)),
            Miss::Wait => {}
            // If it is full, the task was woken already.
            Miss::Fetch => drop(self.0.wake.try_send(())),
        }
        let set = self.clone();
        Ok(async move {
            drop(fetches.changed().await);
            drop(set);
        })
    }

    /// The key is not held after that, either: the reason.
    pub(super) fn missed(&self, kid: Option<&str>) -> TokenError {
        let now = self.0.clock.now();
        match self.0.write(|state| state.missed(kid, now)) {
            Miss::Unavailable(wait) => TokenError::KeysUnavailable(wait),
            Miss::Refused | Miss::Wait | Miss::Fetch => TokenError::NoSuchKey(None),
        }
    }

    /// The key is held after that.
    pub(super) fn found(&self) {
        self.0.write(State::found);
    }

    /// A set whose keys a test says.
    #[cfg(all(test, feature = "token-cache", any(feature = "aws-lc-rs", feature = "rust-crypto")))]
    #[expect(clippy::unwrap_used, reason = "for tests")]
    pub(super) fn by_hand(clock: Arc<dyn Clock>) -> (Self, impl Fn(&str) + use<>) {
        let times = Self::builder(|| async { Ok(String::new()) }).times;
        let state = RwLock::new(State::new(times, clock.now()));
        let (wake, _) = mpsc::channel(1);
        let set = Self(Arc::new(Shared { state, clock, wake, fetches: watch::Sender::new(0) }));
        let install = set.clone();
        let backend = Backend::compiled_in().unwrap();
        (set, move |jwks: &str| {
            let keys = usable(jwks, backend, None).unwrap();
            let now = install.0.clock.now();
            install.0.write(|state| state.succeed(jwks.to_owned(), keys, now));
        })
    }
}

impl Shared {
    fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Every change is whole before the lock is given back.
    fn write<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Fetches for as long as somebody has the set.
struct Task {
    shared: Weak<Shared>,
    source: Arc<dyn KeySource>,
    timeout: Duration,
    backend: Backend,
    algorithms: Option<Vec<Algorithm>>,
    clock: Arc<dyn Clock>,
}

impl Task {
    async fn run(self, mut woken: mpsc::Receiver<()>) {
        loop {
            // No lock is held while fetching, nor the set itself: it may go meanwhile.
            let fetched = self.fetch().await;
            let Some(shared) = self.shared.upgrade() else { return };
            let now = self.clock.now();
            match fetched {
                Ok((document, keys)) => {
                    if shared.read(|state| state.last_error().is_some()) {
                        tracing::info!(keys = keys.len(), "keys can be fetched again");
                    }
                    shared.write(|state| state.succeed(document, keys, now));
                }
                Err(error) => {
                    let error = Chain(&*error).to_string();
                    match shared.read(|state| state.held(now).map_or(0, |held| held.keys.len())) {
                        0 => tracing::error!(error, "keys cannot be fetched, and none is held"),
                        held => {
                            tracing::warn!(error, held, "keys cannot be fetched; those held stay")
                        }
                    }
                    shared.write(|state| state.fail(error, now));
                }
            }
            shared.fetches.send_modify(|fetches| *fetches += 1);
            let mut due = shared.read(|state| state.due_in(now));
            drop(shared);
            loop {
                match select(self.clock.sleep(due), pin!(woken.recv())).await {
                    Either::Right((None, _)) => return,
                    Either::Right((Some(()), _)) => break,
                    Either::Left(_) => {
                        let Some(shared) = self.shared.upgrade() else { return };
                        due = shared.read(|state| state.due_in(self.clock.now()));
                        if due.is_zero() {
                            shared.write(State::begin);
                            break;
                        }
                    }
                }
            }
        }
    }

    async fn fetch(&self) -> Result<(String, Vec<ReadyKey>), BoxError> {
        match select(self.source.fetch(), self.clock.sleep(self.timeout)).await {
            Either::Left((document, _)) => {
                let document = document?;
                let keys = usable(&document, self.backend, self.algorithms.as_deref())?;
                Ok((document, keys))
            }
            Either::Right(_) => Err(format!("no answer within {:?}", self.timeout).into()),
        }
    }
}

/// The keys of a document that can be used. One that cannot takes no other with it.
fn usable(
    document: &str,
    backend: Backend,
    algorithms: Option<&[Algorithm]>,
) -> Result<Vec<ReadyKey>, BoxError> {
    if document.len() > MAX_DOCUMENT {
        return Err(format!("the document is longer than {MAX_DOCUMENT} bytes").into());
    }
    let keys = JwtKey::jwks(document)?;
    // Of two keys with one name, neither is the one that is meant.
    let mut named = HashMap::new();
    for kid in keys.iter().filter_map(JwtKey::kid) {
        *named.entry(kid.to_owned()).or_insert(0) += 1;
    }
    let unambiguous = |key: &&JwtKey| key.kid().is_none_or(|kid| named.get(kid) == Some(&1));
    let allowed = |key: &&JwtKey| algorithms.is_none_or(|all| all.contains(&key.algorithm()));
    let usable = keys.iter().filter(unambiguous).filter(allowed);
    let keys: Vec<_> = usable.filter_map(|key| key.ready(backend).ok()).take(MAX_KEYS).collect();
    if keys.is_empty() { Err(JwtConfigError::NoKey.into()) } else { Ok(keys) }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeySet").field(&self.health()).finish()
    }
}

impl fmt::Debug for KeySetBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySetBuilder").field("times", &self.times).finish_non_exhaustive()
    }
}
