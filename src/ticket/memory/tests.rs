//! What the store of one process keeps and evicts.

use super::{
    limits::{Limits, OVERHEAD},
    store::MemoryTickets,
};
use crate::{
    auth::{Revocation, Texts},
    clock::from_unix,
    ticket::{
        TicketKey, TicketRecord,
        TicketState::{Open, Unused, UsedUp},
        TicketStore as _, TooManyTickets,
        record::Version,
    },
};
use futures_util::FutureExt as _;
use serde_json::json;
use std::time::Duration;

fn record(tenant: &str, env: &str, subject: &str) -> TicketRecord {
    TicketRecord {
        version: Version,
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

/// A record that counts for `bytes`.
fn large(mut record: TicketRecord, bytes: usize) -> TicketRecord {
    let room = bytes - record.kept_bytes() - OVERHEAD;
    record.start.push_str(&"x".repeat(room));
    record
}

fn limited(limits: Limits) -> MemoryTickets {
    let store = MemoryTickets::new();
    store.0.lock().limits = limits;
    store
}

/// A store with small limits: ten tickets of 4 KiB for an account, and 30 in all.
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
            assert!(inserted, "the ticket is new");
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
    store.get(key(name)).now_or_never().unwrap().unwrap().is_some()
}

fn count(store: &MemoryTickets) -> usize {
    let state = store.0.lock();
    // All indexes have the same tickets.
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
    let older = serde_json::from_value::<TicketRecord>(json.clone()).unwrap();
    assert_eq!(older.holder(), (None, &record.subject));
    assert_eq!((&older.roles, older.issued_at), (&record.roles, None));
    assert!(!older.is_access_token && older.leeway.is_zero());
    assert_eq!([older.scopes, older.audiences], [Texts::None, Texts::None]);
    // A record of another version is refused.
    assert_eq!(json["version"], 1);
    for other in [json!(0), json!(2), json!("1"), json!(null)] {
        json["version"] = other;
        assert!(serde_json::from_value::<TicketRecord>(json.clone()).is_err(), "{json}");
    }
    json.as_object_mut().unwrap().remove("version");
    assert!(serde_json::from_value::<TicketRecord>(json).is_err());
}

#[test]
fn a_ticket_is_inserted_once() {
    let store = MemoryTickets::new();
    assert!(insert(&store, "t", record("t_a", "prod", "ada"), 1000));
    open(&store, "t");
    let again = store.insert(key("t"), record("t_b", "prod", "bob"), from_unix(1000));
    assert!(!again.now_or_never().unwrap().unwrap());
    let stored = store.get(key("t")).now_or_never().unwrap().unwrap().unwrap();
    assert_eq!((stored.state, stored.revision), (Open, 1), "the ticket is unchanged");
    assert_eq!(stored.record.account().0.as_str(), "t_a");
}

#[test]
fn one_swap_of_each_revision_succeeds_and_no_revision_comes_back() {
    let store = MemoryTickets::new();
    insert(&store, "t", record("t_a", "prod", "ada"), 1000);
    let swap =
        |revision, next| store.swap(key("t"), revision, next).now_or_never().unwrap().unwrap();
    let first = swap(0, Open).unwrap();
    assert!(swap(0, Open).is_none() && swap(7, Open).is_none());
    assert!(!first.is_revoked(), "a late swap replaces nothing");
    let second = swap(1, Open).unwrap();
    assert!(first.is_revoked() && swap(1, Unused).is_none());
    assert!(!second.is_revoked(), "a late give-back replaces nothing, either");
    swap(2, Unused).unwrap();
    assert!(second.is_revoked(), "a give-back is not a stream");
    assert!(swap(0, Open).is_none(), "the ticket is unused again, but at another revision");
    let third = swap(3, UsedUp).unwrap();
    assert!(swap(3, UsedUp).is_none() && !third.is_revoked());
    assert!(store.swap(key("other"), 0, Open).now_or_never().unwrap().unwrap().is_none());
}

#[test]
fn a_caller_with_too_many_tickets_loses_the_least_useful_and_other_callers_lose_none() {
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
    assert!(!knows(&store, 0) && !stream.is_revoked(), "its stream continues");
    assert!(knows(&store, "bob") && knows(&store, "another ada"));
    assert_eq!(count(&store), 6);
    // The limit of bytes works in the same way.
    assert!(insert(&store, 8, large(record("t_a", "prod", "ada"), 30 << 10), 1001));
    assert_eq!(count(&store), 3, "the large ticket evicted the four others of its caller");
    assert!(!insert(&store, 9, large(record("t_a", "prod", "ada"), 33 << 10), 1001));
    assert_eq!(count(&store), 3, "a ticket that never fits evicts nothing");
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
    // A caller whose new ticket is refused loses no ticket.
    for i in 0..4 {
        insert(&store, format!("b{i}"), record("t_b", "prod", "ada"), 1001);
    }
    for i in 0..6 {
        insert(&store, format!("c{i}"), record("t_b", "prod", &format!("u{i}")), 1001);
    }
    assert!(!insert(&store, "x", large(record("t_b", "prod", "ada"), 31 << 10), 1001));
    assert_eq!(count(&store), 22);
    // All old tickets have ended by now, so there is room.
    assert!(insert(&store, "later", record("t_a", "dev", "more"), 1030));
    assert_eq!(count(&store), 1);
}

#[test]
fn a_few_large_tickets_count_as_much_as_many_small_ones() {
    let store = small();
    for i in 0..2 {
        let record = large(record("t_a", "prod", &format!("u{i}")), 20 << 10);
        assert!(insert(&store, i, record, 1000));
    }
    assert!(!insert(&store, "more", record("t_a", "prod", "more"), 1000));
    assert_eq!(store.bytes(), 40 << 10);
}

#[test]
fn in_a_full_store_the_largest_account_loses_a_ticket_or_is_refused() {
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
    assert!(more("d1", "t_d") && more("d2", "t_d"), "a small account is not refused");
    assert!(knows(&store, "t_b0") && !knows(&store, "t_b1"), "a ticket in use stays");
    assert!(
        !knows(&store, "t_a0") && knows(&store, "t_a1"),
        "each of the two largest accounts lost one"
    );
    assert!((0..9).all(|i| knows(&store, format!("t_c{i}"))) && knows(&store, "t_d0"));
    assert_eq!(count(&store), 30);
    // No matter how many tickets come, each tenant keeps its fair share.
    for i in 0..1000 {
        let tenant = ["t_d", "t_e", "t_f"][i % 3];
        insert(&store, i, record(tenant, "prod", &format!("{i}")), 1000);
    }
    let state = store.0.lock();
    let shares: Vec<_> = state.accounts.values().map(|group| group.tickets.len()).collect();
    assert_eq!(shares, [5; 6], "six accounts share the store");
}

#[test]
fn old_tickets_are_removed_and_tickets_in_use_are_not() {
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
    assert_eq!(count(&store), 2, "the ticket in use, and the newest one");
    // A ticket that is given back keeps its age.
    store.swap(key(7), 1, Unused).now_or_never().unwrap().unwrap().unwrap();
    insert(&store, "last", record("t_a", "prod", "last"), 1030);
    assert!(!knows(&store, 7));
}

#[test]
fn an_ordinary_ticket_counts_for_the_least() {
    let limits = Limits::default();
    assert_eq!(limits.count(&record("t_a", "prod", "ada")), limits.least);
}
