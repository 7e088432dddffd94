//! Tokens that were verified already.

use super::rules::Checked;
use crate::{auth::AuthContext, id::ALLOCATION};
use std::{
    collections::{HashMap, HashSet, VecDeque, hash_map::RandomState},
    fmt,
    hash::{BuildHasher, BuildHasherDefault, Hasher},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

/// What an entry costs in the tables of the cache, in bytes: in a shard's table and in its owner's
/// queue, both of which may be filled to a quarter only.
const SLOT: usize = 128;

/// How many entries that were used since may be spared to find the one that goes. A bound, so that
/// nobody waits long for the room that another one asks for.
const SPARED: usize = 64;

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

struct Store {
    max_entries: usize,
    max_bytes: usize,
    hasher: RandomState,
    /// Where requests look. The hash of a token says in which one.
    shards: Box<[Shard]>,
    /// Who keeps how much. Only those who add or remove tokens lock it, before they lock a shard.
    ledger: Mutex<Ledger>,
    next_owner: AtomicU64,
}

/// By hash. Of two tokens with one hash, the first one is remembered. The alignment keeps the locks of
/// two shards apart in the caches of the cores.
#[repr(align(64))]
#[derive(Default)]
struct Shard(RwLock<HashMap<u64, Arc<Entry>, BuildHasherDefault<Hashed>>>);

/// A token that a verifier found good.
pub(super) struct Entry {
    hash: u64,
    /// The verifier, and the generation of its keys.
    verifier: u64,
    generation: u64,
    /// What is kept of it, in bytes.
    bytes: usize,
    /// Whether it was found since somebody last looked for an entry that can go.
    used: AtomicBool,
    token: Box<str>,
    checked: Checked,
}

impl Entry {
    /// Whether the token is good at this time as well.
    pub(super) fn holds(&self, leeway: Duration, now: SystemTime) -> bool {
        let begun = self.checked.not_before.is_none_or(|not_before| {
            now.checked_add(leeway).is_none_or(|latest| latest >= not_before)
        });
        begun && now < self.auth().valid_until()
    }

    /// What the token proves.
    pub(super) fn auth(&self) -> &AuthContext {
        &self.checked.auth
    }

    fn is_of(&self, verifier: u64, generation: u64, token: &str) -> bool {
        (self.verifier, self.generation) == (verifier, generation) && *self.token == *token
    }
}

/// What is kept, and for whom.
#[derive(Default)]
struct Ledger {
    bytes: usize,
    entries: usize,
    /// Those who keep something.
    owners: HashMap<u64, Owner>,
}

#[derive(Default)]
struct Owner {
    bytes: usize,
    /// In the order in which they came, or were spared.
    kept: VecDeque<Arc<Entry>>,
}

/// What has to happen before an entry is added.
enum Room {
    Enough,
    /// This owner gives the entry that it used least.
    From(u64),
    /// It is larger than its owner's share, and the others need theirs.
    None,
}

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
    pub(super) fn is_free(&self) -> bool {
        let is_free = |shard: &Shard| shard.0.try_write().is_ok();
        self.0.ledger.try_lock().is_ok() && self.0.shards.iter().all(is_free)
    }

    /// The part of one verifier.
    pub(super) fn share(&self) -> Share {
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

/// The part of a cache that one verifier, and its variants, fill. What is in it goes with it.
pub(super) struct Share {
    store: Arc<Store>,
    owner: u64,
}

impl Share {
    pub(super) fn get(&self, verifier: u64, generation: u64, token: &str) -> Option<Arc<Entry>> {
        let hash = self.store.hash(verifier, generation, token);
        let entry = self.store.shard(hash)?.get(hash)?;
        if !entry.is_of(verifier, generation, token) {
            return None;
        }
        // Most often it is set, and then nothing is written that other cores read.
        if !entry.used.load(Ordering::Relaxed) {
            entry.used.store(true, Ordering::Relaxed);
        }
        Some(entry)
    }

    pub(super) fn insert(&self, verifier: u64, generation: u64, token: &str, checked: Checked) {
        let bytes = kept(token, &checked.auth);
        if bytes > self.store.max_bytes {
            return;
        }
        self.store.insert(
            self.owner,
            Arc::new(Entry {
                hash: self.store.hash(verifier, generation, token),
                verifier,
                generation,
                bytes,
                used: AtomicBool::new(false),
                token: token.into(),
                checked,
            }),
        );
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.store.remove(self.owner, |_| true);
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Share").field("owner", &self.owner).finish_non_exhaustive()
    }
}

/// The bytes that an entry keeps, its place in the tables included.
fn kept(token: &str, auth: &AuthContext) -> usize {
    // The counters of its `Arc`.
    let entry = 2 * size_of::<usize>() + size_of::<Entry>() + ALLOCATION;
    SLOT + entry + token.len() + ALLOCATION + auth.kept()
}

impl Store {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hash(&self, verifier: u64, generation: u64, token: &str) -> u64 {
        self.hasher.hash_one((verifier, generation, token))
    }

    fn shard(&self, hash: u64) -> Option<&Shard> {
        // The table within takes the lowest and the highest bits.
        let place = (hash >> 32) as usize & (self.shards.len() - 1);
        self.shards.get(place)
    }

    fn insert(&self, owner: u64, entry: Arc<Entry>) {
        let Some(shard) = self.shard(entry.hash) else { return };
        // Freed once nothing is locked any more.
        let mut gone = Vec::new();
        let mut ledger = self.ledger();
        if shard.get(entry.hash).is_some() {
            return;
        }
        loop {
            match ledger.room(owner, entry.bytes, self.max_bytes, self.max_entries) {
                Room::Enough => break,
                Room::None => return,
                Room::From(giver) => {
                    let Some(least) = ledger.take_least_used(giver) else { return };
                    if let Some(shard) = self.shard(least.hash) {
                        shard.remove(least.hash);
                    }
                    gone.push(least);
                }
            }
        }
        shard.insert(&entry);
        ledger.add(owner, entry);
        drop(ledger);
    }

    /// Forgets those of an owner's entries that `is_meant` says.
    fn remove(&self, owner: u64, is_meant: impl Fn(&Entry) -> bool) {
        let mut gone = Vec::new();
        let mut ledger = self.ledger();
        let Some(mut held) = ledger.owners.remove(&owner) else { return };
        ledger.bytes -= held.bytes;
        ledger.entries -= held.kept.len();
        held.kept.retain(|entry| {
            let stays = !is_meant(entry);
            if !stays {
                held.bytes -= entry.bytes;
                if let Some(shard) = self.shard(entry.hash) {
                    shard.remove(entry.hash);
                }
                gone.push(Arc::clone(entry));
            }
            stays
        });
        if !held.kept.is_empty() {
            held.shrink();
            ledger.bytes += held.bytes;
            ledger.entries += held.kept.len();
            ledger.owners.insert(owner, held);
        }
        drop(ledger);
    }
}

impl Ledger {
    /// What has to happen before `owner` may add `bytes`.
    ///
    /// Whoever is above its fair share gives, the one who asks first. If the one who asks is not, then
    /// the others together are above theirs, so the largest of them is.
    fn room(&self, owner: u64, bytes: usize, max_bytes: usize, max_entries: usize) -> Room {
        let all_bytes = self.bytes + bytes;
        let (too_large, too_many) = (all_bytes > max_bytes, self.entries + 1 > max_entries);
        if !too_large && !too_many {
            return Room::Enough;
        }
        let own = self.owners.get(&owner);
        let (own_bytes, own_entries) = own.map_or((0, 0), |own| (own.bytes, own.kept.len()));
        let owners = self.owners.len() + usize::from(own.is_none());
        let is_above = (own_bytes + bytes).saturating_mul(owners) > max_bytes
            || (own_entries + 1).saturating_mul(owners) > max_entries;
        if is_above {
            // Nothing is given for an entry that has no room even so.
            let fits =
                all_bytes - own_bytes <= max_bytes && self.entries - own_entries < max_entries;
            return if fits { Room::From(owner) } else { Room::None };
        }
        let others = self.owners.iter().filter(|(id, _)| **id != owner);
        let largest = others.max_by_key(|(_, other)| match too_large {
            true => other.bytes,
            false => other.kept.len(),
        });
        largest.map_or(Room::None, |(id, _)| Room::From(*id))
    }

    fn add(&mut self, owner: u64, entry: Arc<Entry>) {
        self.bytes += entry.bytes;
        self.entries += 1;
        let owner = self.owners.entry(owner).or_default();
        owner.bytes += entry.bytes;
        owner.kept.push_back(entry);
    }

    /// The oldest entry of an owner that was not used since anybody asked.
    fn take_least_used(&mut self, id: u64) -> Option<Arc<Entry>> {
        let owner = self.owners.get_mut(&id)?;
        let mut spared = 0;
        let entry = loop {
            let entry = owner.kept.pop_front()?;
            if spared == SPARED || !entry.used.swap(false, Ordering::Relaxed) {
                break entry;
            }
            spared += 1;
            owner.kept.push_back(entry);
        };
        owner.bytes -= entry.bytes;
        owner.shrink();
        if owner.kept.is_empty() {
            self.owners.remove(&id);
        }
        self.bytes -= entry.bytes;
        self.entries -= 1;
        Some(entry)
    }
}

/// Whether a table with room for `capacity` entries is to be made smaller.
fn is_wide(len: usize, capacity: usize) -> bool {
    capacity > 32 && len < capacity / 4
}

impl Owner {
    fn shrink(&mut self) {
        if is_wide(self.kept.len(), self.kept.capacity()) {
            self.kept.shrink_to(self.kept.len() * 2);
        }
    }
}

impl Shard {
    fn get(&self, hash: u64) -> Option<Arc<Entry>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&hash).cloned()
    }

    fn insert(&self, entry: &Arc<Entry>) {
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        table.insert(entry.hash, Arc::clone(entry));
    }

    fn remove(&self, hash: u64) {
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // The ledger still has it: nothing is freed under the lock.
        table.remove(&hash);
        if is_wide(table.len(), table.capacity()) {
            let room = table.len() * 2;
            table.shrink_to(room);
        }
    }

    fn take(&self) -> HashMap<u64, Arc<Entry>, BuildHasherDefault<Hashed>> {
        std::mem::take(&mut *self.0.write().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Takes a hash for what it is.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Keys are `u64`, which come below.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
