//! Tokens that were verified already.

use super::claims::Checked;
use crate::auth::AuthContext;
use quick_cache::{Weighter, sync::Cache};
use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// What an entry takes besides its token and claims, in bytes, as the bound counts it.
const OVERHEAD: u64 = 512;

/// Remembers tokens that were verified, so that the same one is not verified again: for clients that
/// send one token with many requests. Clones are one cache.
///
/// - Bounded by entries and bytes; what was used least goes first.
/// - A hit is a comparison of the whole token, for the verifier that verified it and as long as its
///   keys are the same; `exp` and `nbf` are held against the clock each time.
/// - Only good tokens are remembered.
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
pub struct TokenCache(Arc<Cache<Box<str>, Arc<Entry>, Weight>>);

/// A token that a verifier found good.
#[derive(Debug)]
pub(super) struct Entry {
    /// The verifier, and the generation of its keys.
    pub(super) verifier: u64,
    pub(super) generation: u64,
    pub(super) checked: Checked,
}

impl Entry {
    /// Whether the token is good at this time as well.
    pub(super) fn holds(&self, leeway: Duration, now: SystemTime) -> bool {
        let begun = self.checked.not_before.is_none_or(|not_before| {
            now.checked_add(leeway).is_none_or(|latest| latest >= not_before)
        });
        begun && now < self.checked.auth.valid_until()
    }
}

#[derive(Clone)]
struct Weight {
    /// What one entry takes at least, so that the bytes bound the entries, too.
    least: u64,
}

impl Weighter<Box<str>, Arc<Entry>> for Weight {
    fn weight(&self, token: &Box<str>, _: &Arc<Entry>) -> u64 {
        // The claims were in the token, so what is kept of them is no longer.
        (token.len() as u64 * 2 + OVERHEAD).max(self.least)
    }
}

impl TokenCache {
    /// Remembers at most so many tokens, and at most 4 KiB times as many bytes.
    #[must_use]
    pub fn new(max_entries: usize) -> Self {
        Self::bounded(max_entries, max_entries.saturating_mul(4096))
    }

    /// Remembers at most so many tokens, which take at most so many bytes.
    #[must_use]
    pub fn bounded(max_entries: usize, max_bytes: usize) -> Self {
        let entries = max_entries.max(1);
        let weight = Weight { least: (max_bytes / entries) as u64 };
        Self(Arc::new(Cache::with_weighter(entries, max_bytes as u64, weight)))
    }

    /// Forgets all tokens. They are verified anew.
    pub fn clear(&self) {
        self.0.clear();
    }

    /// Forgets the tokens whose proof `is_meant` says: of a subject, of an issuer. They are verified
    /// anew; to refuse what they prove before it expires is the application's
    /// [`Revocation`](crate::auth::Revocation).
    pub fn forget(&self, is_meant: impl Fn(&AuthContext) -> bool) {
        self.0.retain(|_, entry| !is_meant(&entry.checked.auth));
    }

    /// How many tokens are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn get(&self, token: &str) -> Option<Arc<Entry>> {
        self.0.get(token)
    }

    pub(super) fn insert(&self, token: &str, entry: Entry) {
        self.0.insert(token.into(), Arc::new(entry));
    }
}

impl fmt::Debug for TokenCache {
    /// Without the tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache").field("len", &self.len()).finish_non_exhaustive()
    }
}
