//! The bookkeeping of the cache: how much each verifier stores, and which entry is removed next.

use super::entry::Entry;
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, atomic::Ordering},
};

/// A search for an entry to remove skips at most this many recently used entries. This keeps the search
/// short.
const SPARED: usize = 64;

/// How much the cache stores, in total and for each owner.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) bytes: usize,
    pub(super) entries: usize,
    /// The owners that have at least one entry.
    pub(super) owners: HashMap<u64, Owner>,
}

#[derive(Default)]
pub(super) struct Owner {
    pub(super) bytes: usize,
    /// The entries, in the order in which they were added or last skipped.
    pub(super) kept: VecDeque<Arc<Entry>>,
}

/// What to do before an entry is added.
pub(super) enum Room {
    Enough,
    /// Remove an entry of this owner that was not used recently.
    From(u64),
    /// Do not add the entry: it is larger than the share of its owner, and the other owners need their
    /// shares.
    None,
}

impl Ledger {
    /// What to do before `owner` adds an entry of `bytes` bytes.
    ///
    /// If the new entry would put `owner` above its fair share, one of its own entries is removed. Otherwise
    /// the other owners together are above their shares, so an entry of the largest of them is removed.
    pub(super) fn room(
        &self,
        owner: u64,
        bytes: usize,
        max_bytes: usize,
        max_entries: usize,
    ) -> Room {
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
            // If the entry cannot fit anyway, remove nothing.
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

    pub(super) fn add(&mut self, owner: u64, entry: Arc<Entry>) {
        self.bytes += entry.bytes;
        self.entries += 1;
        let owner = self.owners.entry(owner).or_default();
        owner.bytes += entry.bytes;
        owner.kept.push_back(entry);
    }

    /// Removes the oldest entry of an owner, but skips entries that were used since the last search.
    pub(super) fn take_least_used(&mut self, id: u64) -> Option<Arc<Entry>> {
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

/// Whether a table with room for `capacity` entries should shrink.
pub(super) fn is_wide(len: usize, capacity: usize) -> bool {
    capacity > 32 && len < capacity / 4
}

impl Owner {
    pub(super) fn shrink(&mut self) {
        if is_wide(self.kept.len(), self.kept.capacity()) {
            self.kept.shrink_to(self.kept.len() * 2);
        }
    }
}
