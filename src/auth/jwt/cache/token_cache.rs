//! The cache as applications see it.

use super::{
    entry::Entry,
    ledger::Owner,
    shard::Shard,
    store::{Share, Store},
};
use crate::auth::AuthContext;
use std::{
    collections::{HashSet, hash_map::RandomState},
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

/// Most shards that requests look into, whatever the number of cores.
const MAX_SHARDS: usize = 64;

/// Remembers tokens that were verified, so that the same one is not verified again: for clients that
/// send one token with many requests. Clones are one cache.
///
/// - Bounded by entries, and by the bytes that are kept of them: the token, and everything that it
///   proves. What was used least goes first.
/// - A cache may be given to several verifiers. One that keeps no more than its fair share (the
///   bounds, divided by the number of verifiers that keep tokens) loses none of them to the others.
///   Who keeps more uses room that nobody else needs, and gives it back first.
/// - A hit is a comparison of the whole token, for the verifier that verified it and as long as its
///   keys are the same; `exp` and `nbf` are held against the clock each time.
/// - Only good tokens are remembered. Those of a verifier go with its last clone.
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
    /// Remembers at most so many tokens, and at most 4 KiB times as many bytes: long tokens take the room of
    /// several. Where most are long, [`bounded`](Self::bounded) says how many bytes they may have.
    #[must_use]
    pub fn new(max_entries: usize) -> Self {
        Self::bounded(max_entries, max_entries.saturating_mul(4096))
    }

    /// Remembers at most so many tokens, of which it keeps at most so many bytes. The empty cache takes
    /// a few KiB more.
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

    /// Forgets all tokens. They are verified anew.
    pub fn clear(&self) {
        let mut ledger = self.0.ledger();
        let tables: Vec<_> = self.0.shards.iter().map(Shard::take).collect();
        let kept = std::mem::take(&mut *ledger);
        drop(ledger);
        // Freed once nothing is locked any more.
        drop((tables, kept));
    }

    /// Forgets the tokens whose proof `is_meant` says: of a subject, of an issuer. They are verified
    /// anew; to refuse what they prove before it expires is the application's
    /// [`Revocation`](crate::auth::Revocation).
    pub fn forget(&self, is_meant: impl Fn(&AuthContext) -> bool) {
        let owners: Vec<(u64, Vec<Arc<Entry>>)> = {
            let ledger = self.0.ledger();
            let kept = |owner: &Owner| owner.kept.iter().cloned().collect();
            ledger.owners.iter().map(|(id, owner)| (*id, kept(owner))).collect()
        };
        // It is the application's code, and runs while nothing is locked.
        for (owner, entries) in owners {
            let meant = entries.iter().filter(|entry| is_meant(entry.auth()));
            let meant: HashSet<u64> = meant.map(|entry| entry.hash).collect();
            self.0.remove(owner, |entry| meant.contains(&entry.hash));
        }
    }

    /// How many tokens are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.ledger().entries
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes are kept of the tokens that are remembered.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.ledger().bytes
    }

    #[cfg(test)]
    #[cfg(any(feature = "aws-lc-rs", feature = "rust-crypto"))]
    pub(in crate::auth::jwt) fn is_free(&self) -> bool {
        let is_free = |shard: &Shard| shard.0.try_write().is_ok();
        self.0.ledger.try_lock().is_ok() && self.0.shards.iter().all(is_free)
    }

    /// The part of one verifier.
    pub(in crate::auth::jwt) fn share(&self) -> Share {
        let owner = self.0.next_owner.fetch_add(1, Ordering::Relaxed);
        Share { store: Arc::clone(&self.0), owner }
    }
}

impl fmt::Debug for TokenCache {
    /// Without the tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache").field("len", &self.len()).finish_non_exhaustive()
    }
}
