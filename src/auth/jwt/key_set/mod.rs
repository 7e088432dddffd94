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
    backend::Backend,
    config_error::JwtConfigError,
    jwk_set::{LeftOut, Published},
    limits::MAX_TRIES,
    ready_key::{ReadyKey, alike},
    token_error::TokenError,
};
use crate::{
    clock::{self, Clock},
    rejection::{BoxError, Chain},
};
use futures_util::future::{Either, select};
use jsonwebtoken::Algorithm;
use source::{MAX_DOCUMENT, told};
use state::{Miss, State, Times};
use std::{
    collections::HashSet,
    fmt,
    future::Future,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, Weak},
    time::{Duration, SystemTime},
};
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot, watch},
};

/// Most keys that one set may have. Issuers publish a few.
const MAX_KEYS: usize = 64;
/// Why a key is left out of those that are alike.
const TOO_MANY_ALIKE: JwtConfigError = JwtConfigError::Key(
    "the first four keys of its `kid` (or without one) for its algorithm are tried for a token, and \
     no more: the issuer has to give each key a `kid` of its own",
);

const _: () = assert!(MAX_TRIES == 4, "the text says four");

/// Most threads that a source may keep from ending. It is not asked while it keeps that many.
const MAX_THREADS: usize = 2;

/// The keys of one issuer, as they change. Clones are one set.
///
/// A task of its own fetches them, ahead of their age, one fetch at a time. Tokens whose key is held
/// never wait for it. A token whose `kid` is not held waits for one fetch, which its issuer may have
/// rotated its keys for; if that was in vain, no other is made on behalf of a `kid` for a while. While
/// the source fails, the keys that are held stay good up to a bound, and what cannot be told is
/// refused as `auth.keys_unavailable` (503 with `Retry-After`), never as a bad token.
///
/// Nobody waits longer than [`timeout`](KeySetBuilder::timeout), also where the source panics, blocks or
/// never answers, and where the runtime in which the set was started is gone: then whoever needs the keys
/// next, or asks for the [`health`](Self::health), begins to fetch them in the runtime that it runs in.
///
/// What an issuer publishes is bounded: 64 keys, RSA keys of 2048 to 4096 bits
/// ([`Backend::with_max_rsa_bits`]), and four keys of one `kid`, or without one, that are tried for a token.
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
pub struct KeySet(Arc<Shared>);

struct Shared {
    state: RwLock<State>,
    work: Arc<Work>,
    /// Whose keys these are, for the log: the issuer of the first verifier that says it.
    issuer: OnceLock<String>,
    /// Asks the task for a fetch. Closed where the task is gone, and closed with the last handle, which
    /// ends the task. Locked before the state.
    wake: Mutex<mpsc::Sender<()>>,
    /// One more with each fetch that is over. Changes together with the state.
    fetches: watch::Sender<u64>,
}

/// How keys are fetched.
struct Work {
    source: Arc<dyn KeySource>,
    timeout: Duration,
    backend: Backend,
    algorithms: Option<Vec<Algorithm>>,
    clock: Arc<dyn Clock>,
    /// Each thread that asks the source has a clone.
    threads: Arc<()>,
}

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

/// Sets up a [`KeySet`]. Made by [`KeySet::builder`].
#[derive(Clone)]
#[must_use]
pub struct KeySetBuilder {
    source: Arc<dyn KeySource>,
    times: Times,
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

    /// Uses keys up to this age while their source fails. Default: 24 hours. No shorter than
    /// [`refresh_after`](Self::refresh_after), or good keys would go before they are fetched anew.
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

    /// How long one fetch may take, and how long a token waits for one at most. Default: 10 seconds.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.times.timeout = time;
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
        *set.0.lock_wake() = Shared::start(&set.0, &runtime);
        Ok(set)
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
                timeout: Duration::from_secs(10),
            },
            backend: Backend::compiled_in(),
            algorithms: None,
            clock: clock::system(),
        }
    }

    /// A set whose keys nobody fetches yet.
    fn idle(work: Arc<Work>, times: Times) -> Self {
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
    pub(super) fn held(&self) -> Option<Held> {
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
    pub(super) fn miss(
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
    pub(super) fn unavailable(&self, wait: Duration) -> TokenError {
        let error = self.0.read(|state| state.last_error().map(str::to_owned));
        let error = error.unwrap_or_else(|| "they are not fetched yet, or too old".to_owned());
        TokenError::KeysUnavailable { wait, why: format!("{}: {error}", self.0.work.source.name()) }
    }

    /// Says whose keys these are. The log ties the two together: what was told of the source before named
    /// no issuer.
    pub(super) fn is_of(&self, issuer: &str) {
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
                *wake = Shared::start(&self.0, &runtime);
            }
            Err(_) => {
                let error =
                    format!("{gone}, and there is no tokio runtime here to begin another one in");
                self.0.write(|state| state.lose(error, now));
            }
        }
    }

    fn now(&self) -> SystemTime {
        self.0.work.clock.now()
    }

    /// The key is not held after that, either: the reason.
    pub(super) fn missed(&self, kid: Option<&str>) -> TokenError {
        let now = self.now();
        match self.0.write(|state| state.missed(kid, now)) {
            Miss::Unavailable(wait) => self.unavailable(wait),
            Miss::Refused | Miss::Wait | Miss::Fetch => {
                TokenError::NoSuchKey(kid.map(str::to_owned))
            }
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

impl Shared {
    /// Begins a task that fetches. It goes by the channel that this gives, and ends with it.
    fn start(shared: &Arc<Self>, runtime: &Handle) -> mpsc::Sender<()> {
        let (wake, woken) = mpsc::channel(1);
        let task = Task { shared: Arc::downgrade(shared), work: Arc::clone(&shared.work) };
        runtime.spawn(task.run(woken));
        wake
    }

    fn lock_wake(&self) -> MutexGuard<'_, mpsc::Sender<()>> {
        self.wake.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A fetch is over.
    fn settle(&self, outcome: impl FnOnce(&mut State)) {
        self.write(|state| {
            outcome(state);
            self.fetches.send_modify(|fetches| *fetches += 1);
        });
    }

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
    work: Arc<Work>,
}

/// What of a document can be used.
struct Usable {
    keys: Vec<ReadyKey>,
    left_out: LeftOut,
}

impl Task {
    async fn run(self, mut woken: mpsc::Receiver<()>) {
        // What the log was told last: each change is told once.
        let (mut left_out_before, mut error_before) = (LeftOut::default(), None);
        loop {
            // No lock is held while fetching, nor the set itself: it may go meanwhile.
            let Some(shared) = self.shared.upgrade() else { return };
            if woken.is_closed() {
                // Another task has taken over.
                return;
            }
            shared.write(State::take_up);
            drop(shared);
            let fetched = self.work.fetch().await;
            let Some(shared) = self.shared.upgrade() else { return };
            if woken.is_closed() {
                return;
            }
            let now = self.work.clock.now();
            let (source, issuer) = (self.work.source.name(), shared.issuer.get());
            match fetched {
                Ok((document, Usable { keys, left_out })) => {
                    if shared.read(|state| state.last_error().is_some()) {
                        let keys = keys.len();
                        tracing::info!(source, issuer, keys, "keys can be fetched again");
                    }
                    if left_out != left_out_before {
                        left_out.tell(&source, issuer);
                        left_out_before = left_out;
                    }
                    error_before = None;
                    shared.settle(|state| state.succeed(document, keys, now));
                }
                Err(error) => {
                    let error = told(&Chain(&*error).to_string());
                    let held =
                        shared.read(|state| state.held(now).map_or(0, |held| held.keys.len()));
                    let told = Some((error.clone(), held > 0));
                    if told == error_before {
                        tracing::debug!(
                            source,
                            issuer,
                            error,
                            held,
                            "keys still cannot be fetched"
                        );
                    } else if held == 0 {
                        tracing::error!(
                            source,
                            issuer,
                            error,
                            "keys cannot be fetched; none is held"
                        );
                    } else {
                        let what = "keys cannot be fetched; those that are held stay";
                        tracing::warn!(source, issuer, error, held, "{what}");
                    }
                    error_before = told;
                    shared.settle(|state| state.fail(error, now));
                }
            }
            let mut due = shared.read(|state| state.due_in(now));
            drop(shared);
            loop {
                if let Either::Right((None, _)) =
                    select(self.work.clock.sleep(due), pin!(woken.recv())).await
                {
                    return;
                }
                let Some(shared) = self.shared.upgrade() else { return };
                if woken.is_closed() {
                    return;
                }
                // What somebody asked for may have come meanwhile.
                let now = self.work.clock.now();
                if shared.write(|state| state.is_to_fetch(now)) {
                    break;
                }
                due = shared.read(|state| state.due_in(now));
            }
        }
    }
}

impl Work {
    /// Asks the source on a thread of its own, which it may block: nothing else runs there. What it
    /// awaits is in the runtime of the task.
    async fn fetch(self: &Arc<Self>) -> Result<(String, Usable), BoxError> {
        if Arc::strong_count(&self.threads) > MAX_THREADS {
            return Err("the key source blocks the threads that asked it before".into());
        }
        let (answer, answered) = oneshot::channel();
        // Once this is dropped, the thread stops to wait.
        let (_waiting, given_up) = oneshot::channel::<()>();
        let (work, runtime, counted) =
            (Arc::clone(self), Handle::current(), Arc::clone(&self.threads));
        let ask = move || {
            let asked = runtime.block_on(async {
                let document = async { work.source.fetch().await };
                match select(pin!(document), given_up).await {
                    Either::Left((document, _)) => Some(document),
                    Either::Right(_) => None,
                }
            });
            let read = |document: String| {
                let usable = work.usable(&document)?;
                Ok((document, usable))
            };
            if let Some(document) = asked {
                drop(answer.send(document.and_then(read)));
            }
            drop(counted);
        };
        std::thread::Builder::new().name("key-fetch".to_owned()).spawn(ask)?;
        match select(answered, self.clock.sleep(self.timeout)).await {
            Either::Left((Ok(fetched), _)) => fetched,
            Either::Left((Err(_), _)) => Err("the key source panicked".into()),
            Either::Right(_) => Err(self.no_answer().into()),
        }
    }

    fn no_answer(&self) -> String {
        format!("no answer within {:?}", self.timeout)
    }

    /// The keys of a document that can be used. One that cannot takes no other with it.
    fn usable(&self, document: &str) -> Result<Usable, BoxError> {
        if document.len() > MAX_DOCUMENT {
            return Err(format!("the document is longer than {MAX_DOCUMENT} bytes").into());
        }
        let Published { keys, mut left_out } = Published::read(document)?;
        let (mut known, mut ready) = (HashSet::new(), Vec::<ReadyKey>::new());
        for (name, key) in &keys {
            // A key that is listed twice is one key.
            if !known.insert(key.identity()) {
                continue;
            }
            let is_allowed = |all: &Vec<Algorithm>| all.contains(&key.algorithm);
            let usable = if !self.algorithms.as_ref().is_none_or(is_allowed) {
                Err(JwtConfigError::Key("`KeySetBuilder::algorithms` does not name its algorithm"))
            } else if ready.len() == MAX_KEYS {
                Err(JwtConfigError::Key("the first 64 keys of a set are used, and no more"))
            } else {
                key.ready(self.backend)
            };
            match usable {
                Ok(key) if alike(&key, &ready) >= MAX_TRIES => {
                    left_out.push(name.clone(), &TOO_MANY_ALIKE);
                }
                Ok(key) => ready.push(key),
                Err(why) => left_out.push(name.clone(), &why),
            }
        }
        if ready.is_empty() {
            return Err(JwtConfigError::NoUsableKey(left_out.to_string()).into());
        }
        Ok(Usable { keys: ready, left_out })
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeySet").field(&self.look()).finish()
    }
}

impl fmt::Debug for KeySetBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySetBuilder").field("times", &self.times).finish_non_exhaustive()
    }
}
