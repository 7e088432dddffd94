//! All tickets of a process, and the indexes over them.

use super::{
    entry::{Account, Entry, Holder, Place, account, holder},
    limits::Limits,
};
use crate::{
    auth::Revocation,
    ticket::{
        record::{TicketRecord, TicketState},
        secret::TicketKey,
        store::TooManyTickets,
    },
};
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::SystemTime,
};

#[derive(Default)]
pub(super) struct State {
    pub(super) limits: Limits,
    pub(super) tickets: HashMap<TicketKey, Entry>,
    pub(super) holders: HashMap<Holder, HolderTickets>,
    pub(super) accounts: HashMap<Account, AccountTickets>,
    /// The accounts, ordered by their bytes.
    pub(super) largest: BTreeSet<(usize, Account)>,
    /// The tickets, ordered by the time when the store may forget them.
    pub(super) ends: BTreeSet<(SystemTime, TicketKey)>,
    pub(super) bytes: usize,
    /// The number of tickets that were ever inserted. It numbers the tickets by age.
    pub(super) inserted: u64,
}

/// The tickets of one caller. There are few of them.
#[derive(Default)]
pub(super) struct HolderTickets {
    pub(super) bytes: usize,
    pub(super) tickets: Vec<TicketKey>,
}

/// The tickets of one account.
#[derive(Default)]
pub(super) struct AccountTickets {
    pub(super) bytes: usize,
    /// In the order of eviction.
    pub(super) tickets: BTreeSet<Place>,
}

impl State {
    /// Adds a ticket to all indexes.
    fn list(&mut self, key: TicketKey, entry: Entry) {
        let account = entry.account();
        self.bytes = self.bytes.saturating_add(entry.bytes);
        self.ends.insert(entry.end(key));
        let of_holder = self.holders.entry(holder(&entry.record)).or_default();
        of_holder.bytes = of_holder.bytes.saturating_add(entry.bytes);
        of_holder.tickets.push(key);
        let of_account = self.accounts.entry(account.clone()).or_default();
        self.largest.remove(&(of_account.bytes, account.clone()));
        of_account.bytes = of_account.bytes.saturating_add(entry.bytes);
        of_account.tickets.insert(entry.place(key));
        self.largest.insert((of_account.bytes, account));
        self.tickets.insert(key, entry);
    }

    /// Removes a ticket from all indexes.
    fn unlist(&mut self, key: TicketKey) -> Option<Entry> {
        let entry = self.tickets.remove(&key)?;
        self.bytes = self.bytes.saturating_sub(entry.bytes);
        self.ends.remove(&entry.end(key));
        let holder = holder(&entry.record);
        if let Some(of_holder) = self.holders.get_mut(&holder) {
            of_holder.bytes = of_holder.bytes.saturating_sub(entry.bytes);
            of_holder.tickets.retain(|known| *known != key);
            if of_holder.tickets.is_empty() {
                self.holders.remove(&holder);
            }
        }
        let account = entry.account();
        if let Some(of_account) = self.accounts.get_mut(&account) {
            self.largest.remove(&(of_account.bytes, account.clone()));
            of_account.bytes = of_account.bytes.saturating_sub(entry.bytes);
            of_account.tickets.remove(&entry.place(key));
            if of_account.tickets.is_empty() {
                self.accounts.remove(&account);
            } else {
                self.largest.insert((of_account.bytes, account));
            }
        }
        Some(entry)
    }

    /// Removes the tickets that have ended.
    fn expire(&mut self, now: SystemTime) {
        while let Some((end, key)) = self.ends.first().copied()
            && end <= now
        {
            self.unlist(key);
        }
    }

    /// The tickets that a caller loses for a new ticket of `bytes` bytes, and the sum of their bytes.
    /// `None` if the new ticket alone is too large.
    fn holder_evictions(&self, holder: &Holder, bytes: usize) -> Option<(Vec<TicketKey>, usize)> {
        if bytes > self.limits.per_holder_bytes {
            return None;
        }
        let Some(own) = self.holders.get(holder) else { return Some((Vec::new(), 0)) };
        let (mut evicted, mut freed) = (Vec::new(), 0_usize);
        let fits = |gone: usize, freed: usize| {
            own.tickets.len().saturating_sub(gone) < self.limits.per_holder
                && own.bytes.saturating_sub(freed).saturating_add(bytes)
                    <= self.limits.per_holder_bytes
        };
        if fits(0, 0) {
            return Some((evicted, freed));
        }
        let known = |key: &TicketKey| Some((self.tickets.get(key)?, *key));
        let mut own: Vec<_> = own.tickets.iter().filter_map(known).collect();
        own.sort_unstable_by_key(|(entry, key)| entry.place(*key));
        for (entry, key) in own {
            if fits(evicted.len(), freed) {
                break;
            }
            evicted.push(key);
            freed = freed.saturating_add(entry.bytes);
        }
        Some((evicted, freed))
    }

    pub(super) fn insert(
        &mut self,
        key: TicketKey,
        record: TicketRecord,
        now: SystemTime,
    ) -> Result<bool, TooManyTickets> {
        self.expire(now);
        if self.tickets.contains_key(&key) {
            return Ok(false);
        }
        let bytes = self.limits.count(&record);
        let (evicted, freed) =
            self.holder_evictions(&holder(&record), bytes).ok_or(TooManyTickets)?;
        let grown = |all: usize| all.saturating_sub(freed).saturating_add(bytes);
        let account = account(&record);
        let of_account = grown(self.accounts.get(&account).map_or(0, |group| group.bytes));
        if of_account > self.limits.per_account_bytes {
            return Err(TooManyTickets);
        }
        while grown(self.bytes) > self.limits.in_all_bytes {
            // The largest account loses a ticket. If the new ticket makes its own account the largest,
            // the new ticket is refused.
            let (most, largest) = self.largest.last().ok_or(TooManyTickets)?;
            if *largest == account || *most <= of_account {
                return Err(TooManyTickets);
            }
            let first_to_evict = self.accounts.get(largest).and_then(|group| group.tickets.first());
            let (_, _, key) = *first_to_evict.ok_or(TooManyTickets)?;
            self.unlist(key);
        }
        for key in evicted {
            self.unlist(key);
        }
        let (number, state) = (self.inserted, TicketState::Unused);
        self.inserted = number.saturating_add(1);
        let record = Arc::new(record);
        self.list(key, Entry { record, revision: 0, state, number, bytes, revocation: None });
        Ok(true)
    }

    /// Returns the new revocation for the caller of the swap, and the revocation of the connection that
    /// is replaced.
    pub(super) fn swap(
        &mut self,
        key: TicketKey,
        revision: u64,
        next: TicketState,
    ) -> Option<(Revocation, Option<Revocation>)> {
        let next_revision = revision.checked_add(1)?;
        self.tickets.get(&key).filter(|entry| entry.revision == revision)?;
        let mut entry = self.unlist(key)?;
        let revocation = Revocation::new();
        let kept = (next != TicketState::Unused).then(|| revocation.clone());
        let replaced = std::mem::replace(&mut entry.revocation, kept);
        entry.revision = next_revision;
        entry.state = next;
        self.list(key, entry);
        Some((revocation, replaced))
    }
}
