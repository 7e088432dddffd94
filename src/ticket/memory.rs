//! Tickets of one process.

use super::{StoredTicket, TicketFuture, TicketKey, TicketRecord, TicketStore, TooManyTickets};
use crate::{
    auth::Revocation,
    id::{Env, Subject, TenantId},
};
use std::{
    collections::{HashMap, VecDeque},
    fmt,
    future::ready,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

/// Most tickets that one caller has at a time. One more, and the one is forgotten that is least
/// missed.
const PER_HOLDER: usize = 64;
/// Most tickets of one tenant: it cannot keep the others from having theirs.
const PER_TENANT: usize = 10_000;
/// Most tickets in all.
const IN_ALL: usize = 100_000;
/// How often all tickets are looked through for old ones.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// Keeps tickets in memory: at most 64 of one caller, 10,000 of one tenant, and 100,000 in all.
#[derive(Default)]
pub struct MemoryTickets(Mutex<State>);

#[derive(Default)]
struct State {
    tickets: HashMap<TicketKey, Entry>,
    holders: HashMap<Holder, VecDeque<TicketKey>>,
    tenants: HashMap<TenantId, usize>,
    swept_at: Option<SystemTime>,
}

type Holder = (TenantId, Env, Subject);

struct Entry {
    stored: StoredTicket,
    /// Of the connection that is open now.
    revocation: Revocation,
}

impl Entry {
    fn is_over(&self, now: SystemTime) -> bool {
        now >= self.stored.record.keep_until(self.stored.uses > 0)
    }
}

impl State {
    fn forget(&mut self, key: TicketKey) {
        let Some(entry) = self.tickets.remove(&key) else { return };
        let holder = holder(&entry.stored.record);
        if let Some(keys) = self.holders.get_mut(&holder) {
            keys.retain(|known| *known != key);
            if keys.is_empty() {
                self.holders.remove(&holder);
            }
        }
        if let Some(count) = self.tenants.get_mut(&holder.0) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.tenants.remove(&holder.0);
            }
        }
    }

    fn sweep(&mut self, now: SystemTime) {
        // A clock that was set back is no reason to wait for it to catch up.
        let since = self.swept_at.map(|then| now.duration_since(then).unwrap_or(SWEEP_EVERY));
        if since.is_some_and(|since| since < SWEEP_EVERY) {
            return;
        }
        self.swept_at = Some(now);
        let over = self.tickets.iter().filter(|(_, entry)| entry.is_over(now));
        let over: Vec<_> = over.map(|(key, _)| *key).collect();
        over.into_iter().for_each(|key| self.forget(key));
    }

    /// Which of a caller's tickets is least missed: one that is over, else one that opened nothing
    /// yet, else the oldest.
    fn least_missed(&self, holder: &Holder, now: SystemTime) -> Option<TicketKey> {
        let keys = self.holders.get(holder).filter(|keys| keys.len() >= PER_HOLDER)?;
        let rank = |key: &&TicketKey| match self.tickets.get(*key) {
            Some(entry) if entry.is_over(now) => 0,
            Some(entry) if entry.stored.uses == 0 => 1,
            _ => 2,
        };
        // The first of several is the oldest.
        keys.iter().min_by_key(rank).copied()
    }

    fn put(
        &mut self,
        key: TicketKey,
        record: TicketRecord,
        now: SystemTime,
    ) -> Result<(), TooManyTickets> {
        self.sweep(now);
        self.forget(key);
        let holder = holder(&record);
        if let Some(key) = self.least_missed(&holder, now) {
            self.forget(key);
        }
        let count = self.tenants.get(&holder.0).copied().unwrap_or_default();
        if count >= PER_TENANT || self.tickets.len() >= IN_ALL {
            return Err(TooManyTickets);
        }
        self.tenants.insert(holder.0.clone(), count + 1);
        self.holders.entry(holder).or_default().push_back(key);
        let stored = StoredTicket { record, uses: 0 };
        self.tickets.insert(key, Entry { stored, revocation: Revocation::new() });
        Ok(())
    }
}

fn holder(record: &TicketRecord) -> Holder {
    let (tenant, env, subject) = record.holder();
    (tenant.clone(), env.clone(), subject.clone())
}

impl MemoryTickets {
    /// Keeps nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Every change is whole before the lock is given back.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryTickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tickets = self.state().tickets.len();
        f.debug_struct("MemoryTickets").field("tickets", &tickets).finish_non_exhaustive()
    }
}

impl TicketStore for MemoryTickets {
    fn put(&self, key: TicketKey, record: TicketRecord, now: SystemTime) -> TicketFuture<'_, ()> {
        let kept = self.state().put(key, record, now);
        Box::pin(ready(kept.map_err(Into::into)))
    }

    fn get(&self, key: TicketKey) -> TicketFuture<'_, Option<StoredTicket>> {
        let stored = self.state().tickets.get(&key).map(|entry| entry.stored.clone());
        Box::pin(ready(Ok(stored)))
    }

    fn swap(&self, key: TicketKey, uses: u32, keep: bool) -> TicketFuture<'_, Option<Revocation>> {
        let mut state = self.state();
        let Some(entry) = state.tickets.get_mut(&key).filter(|entry| entry.stored.uses == uses)
        else {
            return Box::pin(ready(Ok(None)));
        };
        let revocation = Revocation::new();
        entry.stored.uses = uses.saturating_add(1);
        let replaced = std::mem::replace(&mut entry.revocation, revocation.clone());
        if !keep {
            state.forget(key);
        }
        drop(state);
        // Outside the lock: it wakes the stream that is replaced.
        replaced.revoke();
        Box::pin(ready(Ok(Some(revocation))))
    }
}

#[cfg(test)]
mod tests {
    use super::{MemoryTickets, PER_HOLDER, PER_TENANT};
    use crate::{
        clock::from_unix,
        ticket::{TicketKey, TicketRecord, TicketStore as _, TooManyTickets},
    };
    use futures_util::FutureExt as _;
    use std::time::SystemTime;

    fn record(tenant: &str, subject: &str) -> TicketRecord {
        TicketRecord {
            tenant: tenant.parse().unwrap(),
            env: "prod".parse().unwrap(),
            thread: "th".parse().unwrap(),
            subject: subject.parse().unwrap(),
            roles: vec!["ops".to_owned()],
            actor_type: None,
            origin: Some("https://app.test".to_owned()),
            epoch: None,
            start: "earliest".to_owned(),
            open_until: from_unix(1030),
            valid_until: from_unix(2000),
            revocations: Vec::new(),
        }
    }

    fn key(name: impl ToString) -> TicketKey {
        TicketKey::of(&name.to_string())
    }

    fn put(store: &MemoryTickets, name: impl ToString, record: TicketRecord, now: u64) -> bool {
        let now: SystemTime = from_unix(now);
        match store.put(key(name), record, now).now_or_never().unwrap() {
            Ok(()) => true,
            Err(error) => {
                assert!(error.is::<TooManyTickets>());
                false
            }
        }
    }

    fn open(store: &MemoryTickets, name: impl ToString) {
        store.swap(key(name), 0, true).now_or_never().unwrap().unwrap().unwrap();
    }

    fn knows(store: &MemoryTickets, name: impl ToString) -> bool {
        store.get(key(name)).now_or_never().unwrap().unwrap().is_some()
    }

    #[test]
    fn a_record_survives_a_store_that_writes_text() {
        let record = record("t_a", "ada");
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<TicketRecord>(&text).unwrap(), record);
    }

    #[test]
    fn a_caller_with_too_many_tickets_loses_what_is_least_missed_and_nobody_else_does() {
        let store = MemoryTickets::new();
        assert!(put(&store, "bob", record("t_a", "bob"), 1000));
        for i in 0..PER_HOLDER {
            assert!(put(&store, i, record("t_a", "ada"), 1000));
        }
        open(&store, 0);
        assert!(put(&store, "one more", record("t_a", "ada"), 1001));
        assert!(knows(&store, 0), "it is in use");
        assert!(!knows(&store, 1), "the oldest that opened nothing yet");
        assert!(knows(&store, 2) && knows(&store, "one more") && knows(&store, "bob"));
        assert!(put(&store, 2, record("t_a", "ada"), 1001), "in place of itself");
        assert_eq!(store.state().tickets.len(), PER_HOLDER + 1);
    }

    #[test]
    fn a_tenant_with_too_many_tickets_is_refused_and_the_others_are_not() {
        let store = MemoryTickets::new();
        for i in 0..PER_TENANT {
            assert!(put(&store, i, record("t_a", &format!("u{i}")), 1000));
        }
        assert!(!put(&store, "more", record("t_a", "more"), 1001));
        assert!(put(&store, "other", record("t_b", "more"), 1001));
        assert!(put(&store, "later", record("t_a", "more"), 1030), "the old ones are over");
        let state = store.state();
        assert_eq!((state.tickets.len(), state.holders.len(), state.tenants.len()), (1, 1, 1));
    }

    #[test]
    fn of_all_who_swap_the_same_use_one_succeeds() {
        let store = MemoryTickets::new();
        put(&store, "t", record("t_a", "ada"), 1000);
        let swap = |uses| store.swap(key("t"), uses, true).now_or_never().unwrap().unwrap();
        let first = swap(0).unwrap();
        assert!(swap(0).is_none());
        assert!(!first.is_revoked(), "who comes too late does not displace");
        assert!(swap(1).is_some() && first.is_revoked());
        assert!(swap(1).is_none());
    }

    #[test]
    fn old_tickets_are_thrown_away_and_those_in_use_are_not() {
        let store = MemoryTickets::new();
        for i in 0..100 {
            put(&store, i, record("t_a", &format!("u{i}")), 1000);
        }
        open(&store, 7);
        put(&store, "new", record("t_a", "new"), 1029);
        assert_eq!(store.state().tickets.len(), 101);
        put(&store, "newer", record("t_a", "newer"), 1040);
        assert_eq!(store.state().tickets.len(), 2, "one in use, and the last");
    }
}
