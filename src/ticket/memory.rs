//! Tickets of one process.

use super::{
    StoredTicket, TicketFuture, TicketKey, TicketRecord, TicketState, TicketStore, TooManyTickets,
};
use crate::{
    auth::Revocation,
    id::{Env, Subject, TenantId, Text},
};
use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    future::ready,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

/// What is kept at most.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Tickets of one caller, and their bytes.
    per_holder: usize,
    per_holder_bytes: usize,
    /// What a ticket counts at least, in bytes: so that bytes bound the number, too.
    least: usize,
    /// Bytes of one tenant and env.
    per_account_bytes: usize,
    /// Bytes in all.
    in_all_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            per_holder: 64,
            per_holder_bytes: 1 << 20,
            least: 3 << 10,
            per_account_bytes: 30 << 20,
            in_all_bytes: 300 << 20,
        }
    }
}

impl Limits {
    /// What a ticket counts, in bytes.
    fn count(&self, record: &TicketRecord) -> usize {
        record.kept_bytes().saturating_add(OVERHEAD).max(self.least)
    }
}

/// What a ticket keeps besides its record, in bytes: its places in the maps, also if it is the only one
/// of its caller and account, and the switch of its connection.
const OVERHEAD: usize = 2304;

/// Keeps tickets in memory.
///
/// At most 64 of one caller, which take at most 1 MiB: one more, and the one is forgotten that is
/// least missed. At most 30 MiB of one tenant and env, which is 10,240 ordinary tickets: one more is
/// refused. At most 300 MiB in all: when there is no more room, the tenant and env with the most
/// gives or is refused, whoever asks. A ticket counts for 3 KiB at least, and for no less than it
/// keeps.
///
/// Which ticket is least missed: one that is used up, then one that opened nothing yet, then one in
/// use, and of several the oldest. A stream whose ticket is forgotten goes on until its token ends,
/// and is not re-opened.
#[derive(Default)]
pub struct MemoryTickets(Mutex<State>);

#[derive(Default)]
struct State {
    limits: Limits,
    tickets: HashMap<TicketKey, Entry>,
    holders: HashMap<Holder, OfHolder>,
    accounts: HashMap<Account, OfAccount>,
    /// The accounts by their bytes.
    largest: BTreeSet<(usize, Account)>,
    /// The tickets by when they may be forgotten.
    ends: BTreeSet<(SystemTime, TicketKey)>,
    bytes: usize,
    /// How many tickets there ever were: which of two is older.
    inserted: u64,
}

type Account = (TenantId, Env);

/// Issuer and subject, within an account.
type Holder = (Account, Option<Text>, Subject);

/// The tickets of one caller. They are few.
#[derive(Default)]
struct OfHolder {
    bytes: usize,
    tickets: Vec<TicketKey>,
}

/// The tickets of one account.
#[derive(Default)]
struct OfAccount {
    bytes: usize,
    /// The least missed first.
    tickets: BTreeSet<Place>,
}

/// How much a ticket is missed, and which of two is older.
type Place = (u8, u64, TicketKey);

struct Entry {
    record: Arc<TicketRecord>,
    revision: u64,
    state: TicketState,
    number: u64,
    bytes: usize,
    /// Of the connection that the last swap was for.
    revocation: Option<Revocation>,
}

impl Entry {
    fn account(&self) -> Account {
        account(&self.record)
    }

    fn place(&self, key: TicketKey) -> Place {
        let rank = match self.state {
            TicketState::UsedUp => 0,
            TicketState::Unused => 1,
            TicketState::Open => 2,
        };
        (rank, self.number, key)
    }

    fn end(&self, key: TicketKey) -> (SystemTime, TicketKey) {
        (self.record.keep_until(self.state), key)
    }
}

fn account(record: &TicketRecord) -> Account {
    let (tenant, env) = record.account();
    (tenant.clone(), env.clone())
}

fn holder(record: &TicketRecord) -> Holder {
    let (issuer, subject) = record.holder();
    (account(record), issuer.map(Text::from), subject.clone())
}

impl State {
    /// Writes an entry into all that lists it.
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

    /// Strikes a ticket from all that lists it.
    fn strike(&mut self, key: TicketKey) -> Option<Entry> {
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

    /// Forgets the tickets that are over.
    fn expire(&mut self, now: SystemTime) {
        while let Some((end, key)) = self.ends.first().copied()
            && end <= now
        {
            self.strike(key);
        }
    }

    /// Which of a caller's tickets have to go for one more of so many bytes, and how many bytes they
    /// are. `None` if that one alone is too large.
    fn own_to_go(&self, holder: &Holder, bytes: usize) -> Option<(Vec<TicketKey>, usize)> {
        if bytes > self.limits.per_holder_bytes {
            return None;
        }
        let Some(own) = self.holders.get(holder) else { return Some((Vec::new(), 0)) };
        let (mut to_go, mut freed) = (Vec::new(), 0_usize);
        let fits = |gone: usize, freed: usize| {
            own.tickets.len().saturating_sub(gone) < self.limits.per_holder
                && own.bytes.saturating_sub(freed).saturating_add(bytes)
                    <= self.limits.per_holder_bytes
        };
        if fits(0, 0) {
            return Some((to_go, freed));
        }
        let known = |key: &TicketKey| Some((self.tickets.get(key)?, *key));
        let mut own: Vec<_> = own.tickets.iter().filter_map(known).collect();
        own.sort_unstable_by_key(|(entry, key)| entry.place(*key));
        for (entry, key) in own {
            if fits(to_go.len(), freed) {
                break;
            }
            to_go.push(key);
            freed = freed.saturating_add(entry.bytes);
        }
        Some((to_go, freed))
    }

    fn insert(
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
        let (to_go, freed) = self.own_to_go(&holder(&record), bytes).ok_or(TooManyTickets)?;
        let grown = |all: usize| all.saturating_sub(freed).saturating_add(bytes);
        let account = account(&record);
        let of_account = grown(self.accounts.get(&account).map_or(0, |group| group.bytes));
        if of_account > self.limits.per_account_bytes {
            return Err(TooManyTickets);
        }
        while grown(self.bytes) > self.limits.in_all_bytes {
            // Whoever would have the most: that is refused, or gives.
            let (most, largest) = self.largest.last().ok_or(TooManyTickets)?;
            if *largest == account || *most <= of_account {
                return Err(TooManyTickets);
            }
            let least_missed = self.accounts.get(largest).and_then(|group| group.tickets.first());
            let (_, _, key) = *least_missed.ok_or(TooManyTickets)?;
            self.strike(key);
        }
        for key in to_go {
            self.strike(key);
        }
        let (number, state) = (self.inserted, TicketState::Unused);
        self.inserted = number.saturating_add(1);
        let record = Arc::new(record);
        self.list(key, Entry { record, revision: 0, state, number, bytes, revocation: None });
        Ok(true)
    }

    /// The switch for who swapped, and the one of who is replaced.
    fn swap(
        &mut self,
        key: TicketKey,
        revision: u64,
        next: TicketState,
    ) -> Option<(Revocation, Option<Revocation>)> {
        let next_revision = revision.checked_add(1)?;
        self.tickets.get(&key).filter(|entry| entry.revision == revision)?;
        let mut entry = self.strike(key)?;
        let revocation = Revocation::new();
        let kept = (next != TicketState::Unused).then(|| revocation.clone());
        let replaced = std::mem::replace(&mut entry.revocation, kept);
        entry.revision = next_revision;
        entry.state = next;
        self.list(key, entry);
        Some((revocation, replaced))
    }
}

impl MemoryTickets {
    /// Keeps nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many bytes the tickets take that are kept, as the bounds count them.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.state().bytes
    }

    /// Every change is whole before the lock is given back.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryTickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tickets, bytes) = {
            let state = self.state();
            (state.tickets.len(), state.bytes)
        };
        f.debug_struct("MemoryTickets")
            .field("tickets", &tickets)
            .field("bytes", &bytes)
            .finish_non_exhaustive()
    }
}

impl TicketStore for MemoryTickets {
    fn insert(
        &self,
        key: TicketKey,
        record: TicketRecord,
        now: SystemTime,
    ) -> TicketFuture<'_, bool> {
        let inserted = self.state().insert(key, record, now);
        Box::pin(ready(inserted.map_err(Into::into)))
    }

    fn look(&self, key: TicketKey) -> TicketFuture<'_, Option<StoredTicket>> {
        let state = self.state();
        let stored = state.tickets.get(&key).map(|entry| StoredTicket {
            record: Arc::clone(&entry.record),
            revision: entry.revision,
            state: entry.state,
        });
        drop(state);
        Box::pin(ready(Ok(stored)))
    }

    fn swap(
        &self,
        key: TicketKey,
        revision: u64,
        next: TicketState,
    ) -> TicketFuture<'_, Option<Revocation>> {
        let swapped = self.state().swap(key, revision, next);
        let answer = swapped.map(|(revocation, replaced)| {
            // Outside the lock: it wakes the stream that is replaced.
            if let Some(replaced) = replaced {
                replaced.revoke();
            }
            revocation
        });
        Box::pin(ready(Ok(answer)))
    }
}

#[cfg(test)]
mod tests {
    use super::{Limits, MemoryTickets, OVERHEAD};
    use crate::{
        auth::{Revocation, Texts},
        clock::from_unix,
        ticket::{
            TicketKey, TicketRecord,
            TicketState::{Open, Unused, UsedUp},
            TicketStore as _, TooManyTickets,
        },
    };
    use futures_util::FutureExt as _;
    use std::time::Duration;

    fn record(tenant: &str, env: &str, subject: &str) -> TicketRecord {
        TicketRecord {
            tenant: tenant.parse().unwrap(),
            env: env.parse().unwrap(),
            thread: "th".parse().unwrap(),
            subject: subject.parse().unwrap(),
            issuer: Some("https://id.test".into()),
            roles: vec!["ops".into(), "dev".into()].into(),
            scopes: Texts::One("chat:read".into()),
            audiences: Texts::One("chat".into()),
            is_access_token: true,
            issued_at: Some(from_unix(900)),
            actor_type: None,
            origin: Some("https://app.test".to_owned()),
            epoch: None,
            start: "earliest".to_owned(),
            open_until: from_unix(1030),
            valid_until: from_unix(2000),
            leeway: Duration::from_secs(60),
            revocations: Vec::new(),
        }
    }

    /// Takes up so many bytes, as a store counts them.
    fn large(mut record: TicketRecord, bytes: usize) -> TicketRecord {
        let room = bytes - record.kept_bytes() - OVERHEAD;
        record.start.push_str(&"x".repeat(room));
        record
    }

    fn limited(limits: Limits) -> MemoryTickets {
        let store = MemoryTickets::new();
        store.state().limits = limits;
        store
    }

    /// Ten tickets of 4 KiB an account, and 30 in all.
    fn small() -> MemoryTickets {
        limited(Limits {
            per_holder: 4,
            per_holder_bytes: 32 << 10,
            least: 4 << 10,
            per_account_bytes: 40 << 10,
            in_all_bytes: 120 << 10,
        })
    }

    fn key(name: impl ToString) -> TicketKey {
        TicketKey::of(&name.to_string())
    }

    fn insert(store: &MemoryTickets, name: impl ToString, record: TicketRecord, now: u64) -> bool {
        match store.insert(key(name), record, from_unix(now)).now_or_never().unwrap() {
            Ok(inserted) => {
                assert!(inserted, "it is new");
                true
            }
            Err(error) => {
                assert!(error.is::<TooManyTickets>());
                false
            }
        }
    }

    fn open(store: &MemoryTickets, name: impl ToString) -> Revocation {
        store.swap(key(name), 0, Open).now_or_never().unwrap().unwrap().unwrap()
    }

    fn knows(store: &MemoryTickets, name: impl ToString) -> bool {
        store.look(key(name)).now_or_never().unwrap().unwrap().is_some()
    }

    fn count(store: &MemoryTickets) -> usize {
        let state = store.state();
        // What lists tickets lists the same ones.
        let of_holders = state.holders.values().map(|group| group.tickets.len()).sum::<usize>();
        let of_accounts = state.accounts.values().map(|group| group.tickets.len()).sum::<usize>();
        assert_eq!([of_holders, of_accounts, state.ends.len()], [state.tickets.len(); 3]);
        assert_eq!(state.largest.len(), state.accounts.len());
        let of_holders = state.holders.values().map(|group| group.bytes).sum::<usize>();
        let of_accounts = state.accounts.values().map(|group| group.bytes).sum::<usize>();
        let of_largest = state.largest.iter().map(|(bytes, _)| bytes).sum::<usize>();
        assert_eq!([of_holders, of_accounts, of_largest], [state.bytes; 3]);
        state.tickets.len()
    }

    #[test]
    fn a_record_survives_a_store_that_writes_text_and_an_older_one_proves_less() {
        let record = record("t_a", "prod", "ada");
        let mut json = serde_json::to_value(&record).unwrap();
        assert_eq!(serde_json::from_value::<TicketRecord>(json.clone()).unwrap(), record);
        for name in ["issuer", "scopes", "audiences", "is_access_token", "issued_at", "leeway"] {
            assert!(json.as_object_mut().unwrap().remove(name).is_some(), "{name}");
        }
        let older = serde_json::from_value::<TicketRecord>(json).unwrap();
        assert_eq!(older.holder(), (None, &record.subject));
        assert_eq!((&older.roles, older.issued_at), (&record.roles, None));
        assert!(!older.is_access_token && older.leeway.is_zero());
        assert_eq!([older.scopes, older.audiences], [Texts::None, Texts::None]);
    }

    #[test]
    fn a_ticket_is_inserted_once() {
        let store = MemoryTickets::new();
        assert!(insert(&store, "t", record("t_a", "prod", "ada"), 1000));
        open(&store, "t");
        let again = store.insert(key("t"), record("t_b", "prod", "bob"), from_unix(1000));
        assert!(!again.now_or_never().unwrap().unwrap());
        let stored = store.look(key("t")).now_or_never().unwrap().unwrap().unwrap();
        assert_eq!((stored.state, stored.revision), (Open, 1), "as it was");
        assert_eq!(stored.record.account().0.as_str(), "t_a");
    }

    #[test]
    fn of_all_who_swap_the_same_revision_one_succeeds_and_none_comes_back() {
        let store = MemoryTickets::new();
        insert(&store, "t", record("t_a", "prod", "ada"), 1000);
        let swap =
            |revision, next| store.swap(key("t"), revision, next).now_or_never().unwrap().unwrap();
        let first = swap(0, Open).unwrap();
        assert!(swap(0, Open).is_none() && swap(7, Open).is_none());
        assert!(!first.is_revoked(), "who comes too late does not displace");
        let second = swap(1, Open).unwrap();
        assert!(first.is_revoked() && swap(1, Unused).is_none());
        assert!(!second.is_revoked(), "nor does who gives back what is not theirs any more");
        swap(2, Unused).unwrap();
        assert!(second.is_revoked(), "what gave the ticket back is no stream");
        assert!(swap(0, Open).is_none(), "unused again, and another state than the first");
        let third = swap(3, UsedUp).unwrap();
        assert!(swap(3, UsedUp).is_none() && !third.is_revoked());
        assert!(store.swap(key("other"), 0, Open).now_or_never().unwrap().unwrap().is_none());
    }

    #[test]
    fn a_caller_with_too_many_tickets_loses_what_is_least_missed_and_nobody_else_does() {
        let store = small();
        assert!(insert(&store, "bob", record("t_a", "prod", "bob"), 1000));
        let mut other_issuer = record("t_a", "prod", "ada");
        other_issuer.issuer = None;
        assert!(insert(&store, "another ada", other_issuer, 1000));
        for i in 0..4 {
            assert!(insert(&store, i, record("t_a", "prod", "ada"), 1000));
        }
        let stream = open(&store, 0);
        store.swap(key(3), 0, UsedUp).now_or_never().unwrap().unwrap().unwrap();
        for (new, gone) in [(4, 3), (5, 1), (6, 2)] {
            assert!(insert(&store, new, record("t_a", "prod", "ada"), 1001));
            assert!(!knows(&store, gone) && knows(&store, 0), "{gone} goes first");
        }
        for i in 4..7 {
            open(&store, i);
        }
        assert!(insert(&store, 7, record("t_a", "prod", "ada"), 1001));
        assert!(!knows(&store, 0) && !stream.is_revoked(), "its stream goes on");
        assert!(knows(&store, "bob") && knows(&store, "another ada"));
        assert_eq!(count(&store), 6);
        // By bytes as well.
        assert!(insert(&store, 8, large(record("t_a", "prod", "ada"), 30 << 10), 1001));
        assert_eq!(count(&store), 3, "all that one made room for");
        assert!(!insert(&store, 9, large(record("t_a", "prod", "ada"), 33 << 10), 1001));
        assert_eq!(count(&store), 3, "what has no room at all costs nothing");
    }

    #[test]
    fn a_tenant_and_env_with_too_many_tickets_is_refused_and_no_other_is() {
        let store = small();
        for i in 0..10 {
            assert!(insert(&store, i, record("t_a", "dev", &format!("u{i}")), 1000));
        }
        assert!(!insert(&store, "more", record("t_a", "dev", "more"), 1001));
        assert!(insert(&store, "prod", record("t_a", "prod", "more"), 1001), "another env");
        assert!(insert(&store, "other", record("t_b", "dev", "more"), 1001), "another tenant");
        assert_eq!(count(&store), 12);
        // Who would lose a ticket of their own to no use does not.
        for i in 0..4 {
            insert(&store, format!("b{i}"), record("t_b", "prod", "ada"), 1001);
        }
        for i in 0..6 {
            insert(&store, format!("c{i}"), record("t_b", "prod", &format!("u{i}")), 1001);
        }
        assert!(!insert(&store, "x", large(record("t_b", "prod", "ada"), 31 << 10), 1001));
        assert_eq!(count(&store), 22);
        // The old ones are over, and that is all that makes room.
        assert!(insert(&store, "later", record("t_a", "dev", "more"), 1030));
        assert_eq!(count(&store), 1);
    }

    #[test]
    fn a_few_large_tickets_are_as_many_as_many_small_ones() {
        let store = small();
        for i in 0..2 {
            let record = large(record("t_a", "prod", &format!("u{i}")), 20 << 10);
            assert!(insert(&store, i, record, 1000));
        }
        assert!(!insert(&store, "more", record("t_a", "prod", "more"), 1000));
        assert_eq!(store.bytes(), 40 << 10);
    }

    #[test]
    fn when_all_is_full_the_largest_gives_and_the_largest_is_refused() {
        let store = small();
        for (tenant, tickets) in [("t_a", 10), ("t_b", 10), ("t_c", 9), ("t_d", 1)] {
            for i in 0..tickets {
                let name = format!("{tenant}{i}");
                assert!(insert(&store, &name, record(tenant, "prod", &name), 1000));
            }
        }
        open(&store, "t_b0");
        assert_eq!(count(&store), 30, "full");
        let more = |name: &str, tenant| insert(&store, name, record(tenant, "prod", name), 1000);
        assert!(!more("x", "t_c"), "it would be as large as the largest");
        assert!(more("d1", "t_d") && more("d2", "t_d"), "a small one is not");
        assert!(knows(&store, "t_b0") && !knows(&store, "t_b1"), "not one in use");
        assert!(!knows(&store, "t_a0") && knows(&store, "t_a1"), "each of the largest gave one");
        assert!((0..9).all(|i| knows(&store, format!("t_c{i}"))) && knows(&store, "t_d0"));
        assert_eq!(count(&store), 30);
        // However many come, each tenant keeps its fair share.
        for i in 0..1000 {
            let tenant = ["t_d", "t_e", "t_f"][i % 3];
            insert(&store, i, record(tenant, "prod", &format!("{i}")), 1000);
        }
        let state = store.state();
        let shares: Vec<_> = state.accounts.values().map(|group| group.tickets.len()).collect();
        assert_eq!(shares, [5; 6], "of six");
    }

    #[test]
    fn old_tickets_are_thrown_away_and_those_in_use_are_not() {
        let store = MemoryTickets::new();
        for i in 0..100 {
            insert(&store, i, record("t_a", "prod", &format!("u{i}")), 1000);
        }
        open(&store, 7);
        store.swap(key(8), 0, UsedUp).now_or_never().unwrap().unwrap().unwrap();
        insert(&store, "new", record("t_a", "prod", "new"), 1029);
        assert_eq!(count(&store), 101);
        let mut newer = record("t_a", "prod", "newer");
        newer.open_until = from_unix(1060);
        insert(&store, "newer", newer, 1030);
        assert_eq!(count(&store), 2, "one in use, and the last");
        // One that is given back is as old as it was.
        store.swap(key(7), 1, Unused).now_or_never().unwrap().unwrap().unwrap();
        insert(&store, "last", record("t_a", "prod", "last"), 1030);
        assert!(!knows(&store, 7));
    }

    #[test]
    fn an_ordinary_ticket_counts_the_least() {
        let limits = Limits::default();
        assert_eq!(limits.count(&record("t_a", "prod", "ada")), limits.least);
    }
}
