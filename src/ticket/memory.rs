//! Tickets of one process.

use super::{StoredTicket, TicketFuture, TicketKey, TicketRecord, TicketStore};
use crate::{
    auth::Revocation,
    clock::{self, Clock},
    id::{Env, Subject, TenantId},
};
use std::{
    collections::{HashMap, VecDeque},
    fmt,
    future::ready,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

/// Most tickets that one caller has at a time. One more, and the oldest is forgotten.
const PER_HOLDER: usize = 64;
/// Most tickets in all.
const IN_ALL: usize = 100_000;
/// Fewer than these are not worth looking through for old ones.
const SWEEP_FROM: usize = 1024;

/// Keeps tickets in memory: at most 64 of one caller, and 100,000 in all.
pub struct MemoryTickets {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
}

#[derive(Default)]
struct State {
    tickets: HashMap<TicketKey, Entry>,
    holders: HashMap<Holder, VecDeque<TicketKey>>,
    sweep_at: usize,
}

type Holder = (TenantId, Env, Subject);

struct Entry {
    stored: StoredTicket,
    /// Of the connection that is open now.
    revocation: Revocation,
}

impl State {
    fn forget(&mut self, key: TicketKey) -> Option<Entry> {
        let entry = self.tickets.remove(&key)?;
        let holder = holder(&entry.stored.record);
        if let Some(keys) = self.holders.get_mut(&holder) {
            keys.retain(|known| *known != key);
            if keys.is_empty() {
                self.holders.remove(&holder);
            }
        }
        Some(entry)
    }

    fn sweep(&mut self, now: SystemTime) {
        let over = |entry: &Entry| now >= entry.stored.record.keep_until(entry.stored.uses > 0);
        self.tickets.retain(|_, entry| !over(entry));
        let known = &self.tickets;
        self.holders.retain(|_, keys| {
            keys.retain(|key| known.contains_key(key));
            !keys.is_empty()
        });
        self.sweep_at = (self.tickets.len() * 2).clamp(SWEEP_FROM, IN_ALL);
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
        let state = State { sweep_at: SWEEP_FROM, ..State::default() };
        Self { state: Mutex::new(state), clock: clock::system() }
    }

    /// The clock by which old tickets are thrown away.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Every change below is whole before the lock is given back.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryTickets {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryTickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tickets = self.state().tickets.len();
        f.debug_struct("MemoryTickets").field("tickets", &tickets).finish_non_exhaustive()
    }
}

impl TicketStore for MemoryTickets {
    fn put(&self, key: TicketKey, record: TicketRecord) -> TicketFuture<'_, ()> {
        let mut state = self.state();
        if state.tickets.len() >= state.sweep_at {
            state.sweep(self.clock.now());
        }
        if state.tickets.len() >= IN_ALL {
            return Box::pin(ready(Err("too many tickets are open".into())));
        }
        let keys = state.holders.entry(holder(&record)).or_default();
        keys.push_back(key);
        let oldest = if keys.len() > PER_HOLDER { keys.front().copied() } else { None };
        let stored = StoredTicket { record, uses: 0 };
        state.tickets.insert(key, Entry { stored, revocation: Revocation::new() });
        if let Some(oldest) = oldest {
            state.forget(oldest);
        }
        Box::pin(ready(Ok(())))
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
    use super::{MemoryTickets, PER_HOLDER, SWEEP_FROM};
    use crate::{
        clock::manual::ManualClock,
        ticket::{TicketKey, TicketRecord, TicketStore as _},
    };
    use futures_util::FutureExt as _;
    use std::time::{Duration, UNIX_EPOCH};

    fn record(subject: &str) -> TicketRecord {
        TicketRecord {
            tenant: "t_a".parse().unwrap(),
            env: "prod".parse().unwrap(),
            thread: "th".parse().unwrap(),
            subject: subject.parse().unwrap(),
            roles: vec!["ops".to_owned()],
            actor_type: None,
            origin: Some("https://app.test".to_owned()),
            epoch: None,
            open_until: UNIX_EPOCH + Duration::from_secs(1030),
            valid_until: UNIX_EPOCH + Duration::from_secs(2000),
            revocations: Vec::new(),
        }
    }

    fn key(name: impl ToString) -> TicketKey {
        TicketKey::of(&name.to_string())
    }

    #[test]
    fn a_record_survives_a_store_that_writes_text() {
        let record = record("ada");
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<TicketRecord>(&text).unwrap(), record);
    }

    #[test]
    fn a_caller_with_too_many_tickets_loses_its_oldest_and_nobody_elses() {
        let store = MemoryTickets::new();
        store.put(key("bob"), record("bob")).now_or_never().unwrap().unwrap();
        for i in 0..=PER_HOLDER {
            store.put(key(i), record("ada")).now_or_never().unwrap().unwrap();
        }
        let known = |name: TicketKey| store.get(name).now_or_never().unwrap().unwrap().is_some();
        assert!(!known(key(0)) && known(key(1)) && known(key(PER_HOLDER)) && known(key("bob")));
    }

    #[test]
    fn old_tickets_are_thrown_away() {
        let clock = ManualClock::at(1000);
        let store = MemoryTickets::new().clock(clock.shared());
        for i in 0..SWEEP_FROM {
            store.put(key(i), record(&format!("u{i}"))).now_or_never().unwrap().unwrap();
        }
        store.swap(key(7), 0, true).now_or_never().unwrap().unwrap().unwrap();
        clock.advance(Duration::from_secs(60));
        store.put(key("new"), record("new")).now_or_never().unwrap().unwrap();
        assert_eq!(store.state().tickets.len(), 2, "the new one, and the one that is in use");
        assert_eq!(store.state().holders.len(), 2);
    }
}
