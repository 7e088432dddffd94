//! The public handle of the cache.

use super::{
    entry::Entry,
    ledger::Owner,
    shard::Shard,
    store::{Share, Store},
};
use crate::{auth::context::AuthContext, sync::Mutex};
use std::{
    collections::{HashSet, hash_map::RandomState},
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// The most shards that a cache has, on a machine with any number of cores.
const MAX_SHARDS: usize = 64;

/// Caches verified tokens, so that the signature of the same token is not verified again. This helps if
/// clients send one token with many requests. Clones share one cache.
///
/// - The number of entries is limited, and so is their memory: the tokens and everything that they prove. A
///   full cache removes an entry that was not used recently.
/// - Several verifiers may share a cache. The fair share of a verifier is the limit divided by the number of
///   verifiers with tokens in the cache. A verifier within its share loses no token to the others. A verifier
///   above its share uses free room, and loses it first when the others need it.
/// - A hit compares the whole token. It is valid only for the verifier that verified the token, and only
///   while that verifier has the same keys. `exp`, `nbf` and `iat` are checked each time.
/// - Only accepted tokens are cached. When the last clone of a verifier is dropped, its tokens are removed.
///
/// ```
/// use tower_tenancy::auth::{Algorithm, JwtKey, JwtVerifier, TokenCache};
///
/// let verifier = JwtVerifier::builder()
///     .key(JwtKey::hmac(Algorithm::HS256, b"at least 32 bytes of a random secret")?)
///     .cache(TokenCache::new(10_000))
///     .build()?;
/// # Ok::<(), tower_tenancy::auth::JwtConfigError>(())
/// ```
#[derive(Clone)]
pub struct TokenCache(Arc<Store>);

impl TokenCache {
    /// A cache of at most `max_entries` tokens and at most `max_entries` times 4 KiB of memory. If most of
    /// your tokens are long, set the memory with [`bounded`](Self::bounded).
    #[must_use]
    pub fn new(max_entries: usize) -> Self {
        Self::bounded(max_entries, max_entries.saturating_mul(4096))
    }

    /// A cache of at most `max_entries` tokens and `max_bytes` bytes. The cache itself needs a few KiB more.
    #[must_use]
    pub fn bounded(max_entries: usize, max_bytes: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let shards = cores.saturating_mul(4).min(MAX_SHARDS).next_power_of_two();
        Self(Arc::new(Store {
            max_entries,
            max_bytes,
            hasher: RandomState::new(),
            shards: (0..shards).map(|_| Shard::default()).collect(),
            ledger: Mutex::default(),
            next_owner: AtomicU64::new(0),
        }))
    }

    /// Removes all tokens. A removed token is verified again when a client sends it again.
    pub fn clear(&self) {
        let mut ledger = self.0.ledger.lock();
        let tables: Vec<_> = self.0.shards.iter().map(Shard::take).collect();
        let kept = std::mem::take(&mut *ledger);
        drop(ledger);
        // The entries are freed after all locks are released.
        drop((tables, kept));
    }

    /// Removes each token if `is_meant` returns `true` for its proof, such as all tokens of one subject or
    /// one issuer. A removed token is verified again when a client sends it again. To refuse a token before
    /// it expires, use a [`Revocation`](crate::auth::Revocation).
    pub fn forget(&self, is_meant: impl Fn(&AuthContext) -> bool) {
        let owners: Vec<(u64, Vec<Arc<Entry>>)> = {
            let ledger = self.0.ledger.lock();
            let kept = |owner: &Owner| owner.kept.iter().cloned().collect();
            ledger.owners.iter().map(|(id, owner)| (*id, kept(owner))).collect()
        };
        // `is_meant` is code of the application, so it runs without a lock.
        for (owner, entries) in owners {
            let meant = entries.iter().filter(|entry| is_meant(entry.auth()));
            let meant: HashSet<u64> = meant.map(|entry| entry.hash).collect();
            self.0.remove(owner, |entry| meant.contains(&entry.hash));
        }
    }

    /// How many tokens are in the cache.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.ledger.lock().entries
    }

    /// Whether no token is in the cache.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes the tokens in the cache need.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.ledger.lock().bytes
    }

    #[cfg(test)]
    #[cfg(any(feature = "aws-lc-rs", feature = "rust-crypto"))]
    pub(in crate::auth::jwt) fn is_free(&self) -> bool {
        let is_free = |shard: &Shard| shard.0.is_free();
        self.0.ledger.try_lock().is_some() && self.0.shards.iter().all(is_free)
    }

    /// Makes the part for one verifier.
    pub(in crate::auth::jwt) fn share(&self) -> Share {
        let owner = self.0.next_owner.fetch_add(1, Ordering::Relaxed);
        Share { store: Arc::clone(&self.0), owner }
    }
}

impl fmt::Debug for TokenCache {
    /// Does not show the tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache").field("len", &self.len()).finish_non_exhaustive()
    }
}
