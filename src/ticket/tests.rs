//! When a ticket can be used, by the clock and by the log.

use super::{
    MemoryTickets, Opening, Redeemed, StoredTicket, Ticket, TicketFuture, TicketIssuer, TicketKey,
    TicketRecord, TicketState, TicketStore,
};
use crate::{
    auth::{AuthContext, Revocation},
    clock::from_unix,
    event::{Cursor, LastEventId},
    log::MemoryLog,
    rejection::Rejection,
    request::RequestHead,
    scope::TenantScope,
    testing::{
        ManualClock,
        fixtures::{self as scopes, grant},
    },
};
use futures_util::FutureExt as _;
use http::Request;
use std::time::{Duration, SystemTime};

struct Desk {
    clock: ManualClock,
    issuer: TicketIssuer,
    log: MemoryLog,
}

impl Desk {
    fn open() -> Self {
        let clock = ManualClock::at(1000);
        let issuer = TicketIssuer::in_memory().clock(clock.shared());
        Self { clock, issuer, log: MemoryLog::new() }
    }

    /// A scope for a token that is valid for ten minutes.
    fn scope(&self) -> TenantScope {
        self.scope_of(|auth| auth)
    }

    fn scope_of(&self, change: impl FnOnce(AuthContext) -> AuthContext) -> TenantScope {
        let auth = scopes::auth(&["t_a"], &["prod"]);
        let auth = AuthContext::new(auth.subject().clone(), from_unix(1600))
            .with_tenants(["t_a"])
            .with_envs(["prod"])
            .with_clock(self.clock.shared());
        TenantScope::agree(&scopes::request("t_a", "prod"), &change(auth)).unwrap()
    }

    fn issue(&self) -> Ticket {
        self.issue_from(LastEventId::Live)
    }

    fn issue_from(&self, from: LastEventId) -> Ticket {
        let grant = grant(self.scope(), "th");
        self.issuer.issue(&grant, &self.log, from).now_or_never().unwrap().unwrap()
    }

    fn redeem(&self, ticket: &Ticket, from: Option<Cursor>) -> Result<AuthContext, Rejection> {
        self.redeemed(ticket, from).map(|redeemed| redeemed.auth)
    }

    fn redeemed(&self, ticket: &Ticket, from: Option<Cursor>) -> Result<Redeemed, Rejection> {
        let mut request = Request::builder().uri("/");
        if let Some(cursor) = from {
            request = request.header("last-event-id", cursor.to_string());
        }
        let request = request.body(()).unwrap();
        let opening = Opening::of(RequestHead::of(&request));
        self.issuer.redeem(ticket.secret(), opening).now_or_never().unwrap()
    }

    fn head(&self, log: &MemoryLog) -> Cursor {
        let grant = grant(self.scope(), "th");
        grant.position(log).now_or_never().unwrap().unwrap()
    }
}

#[test]
fn a_ticket_opens_its_stream_within_half_a_minute() {
    let desk = Desk::open();
    let (in_time, late) = (desk.issue(), desk.issue());
    assert_eq!(in_time.expires_at(), from_unix(1030));
    desk.clock.advance(Duration::from_secs(29));
    let auth = desk.redeem(&in_time, None).unwrap();
    assert_eq!(auth.valid_until(), from_unix(1600), "the stream may last as long as the token");
    desk.clock.advance(Duration::from_secs(1));
    assert_eq!(desk.redeem(&late, None).unwrap_err().code(), "auth.invalid");
    assert_eq!(desk.redeem(&late, None).unwrap_err().code(), "auth.invalid");
}

#[test]
fn a_ticket_re_opens_its_stream_until_the_token_expires() {
    let desk = Desk::open();
    let ticket = desk.issue();
    desk.redeem(&ticket, None).unwrap();
    let cursor = desk.head(&desk.log);
    desk.clock.advance(Duration::from_secs(599));
    desk.redeem(&ticket, Some(cursor)).unwrap();
    desk.clock.advance(Duration::from_secs(1));
    assert_eq!(desk.redeem(&ticket, Some(cursor)).unwrap_err().code(), "auth.invalid");
}

#[test]
fn a_used_ticket_cannot_read_a_log_with_a_new_epoch() {
    let desk = Desk::open();
    let ticket = desk.issue();
    desk.redeem(&ticket, None).unwrap();
    let cursor = desk.head(&desk.log);
    let auth = desk.redeem(&ticket, Some(cursor)).unwrap();
    let scope = TenantScope::agree(&scopes::request("t_a", "prod"), &auth).unwrap();
    let grant = grant(scope, "th");
    let subscribe = |log: &MemoryLog, from: LastEventId| {
        grant.subscribe(log, from).now_or_never().unwrap().map(drop).map_err(|error| error.code())
    };
    assert_eq!(subscribe(&desk.log, cursor.into()), Ok(()));
    // Otherwise, a client with only an old cursor would learn the new epoch, and could then read the log.
    let new_log = MemoryLog::new();
    for from in [cursor.into(), LastEventId::Live, LastEventId::Earliest] {
        assert_eq!(subscribe(&new_log, from), Err("auth.invalid"));
    }
}

#[test]
fn no_ticket_is_issued_for_a_ticket_or_for_an_expired_token() {
    let desk = Desk::open();
    let auth = desk.redeem(&desk.issue(), None).unwrap();
    let scope = TenantScope::agree(&scopes::request("t_a", "prod"), &auth).unwrap();
    let by_ticket = grant(scope, "th");
    let refused = desk.issuer.issue_once(&by_ticket).now_or_never().unwrap().unwrap_err();
    assert_eq!(refused.code(), "auth.insufficient_scope");
    let kept = grant(desk.scope(), "th");
    desk.clock.advance(Duration::from_secs(600));
    let refused = desk.issuer.issue_once(&kept).now_or_never().unwrap().unwrap_err();
    assert_eq!(refused.code(), "auth.expired");
}

#[test]
fn a_ticket_for_a_stream_without_a_log_is_used_up_at_once() {
    let desk = Desk::open();
    let grant = grant(desk.scope(), "th");
    let ticket = desk.issuer.issue_once(&grant).now_or_never().unwrap().unwrap();
    desk.redeem(&ticket, None).unwrap();
    let cursor = desk.head(&desk.log);
    assert_eq!(desk.redeem(&ticket, Some(cursor)).unwrap_err().code(), "auth.invalid");
}

#[test]
fn the_first_use_of_a_ticket_starts_at_the_cursor_of_the_ticket() {
    let desk = Desk::open();
    let cursor = desk.head(&desk.log);
    let start =
        |ticket: &Ticket, from| desk.redeemed(ticket, from).unwrap().start().map(str::to_owned);
    // It starts at the time of issue, even if it is used later.
    let live = desk.issue();
    assert_eq!(live.starts_after(), Some(cursor));
    assert_eq!(start(&live, None), Some(cursor.to_string()));
    let ticket = desk.issue_from(cursor.into());
    assert_eq!(start(&ticket, None), Some(cursor.to_string()));
    assert_eq!(start(&ticket, Some(cursor)), None, "the request has the cursor then");
}

#[test]
fn a_ticket_that_is_given_back_opens_a_stream_once_more() {
    let desk = Desk::open();
    let ticket = desk.issue();
    let opened = desk.redeemed(&ticket, None).unwrap().opened().unwrap();
    assert!(desk.redeem(&ticket, None).is_err());
    desk.issuer.give_back(opened).now_or_never().unwrap();
    let second = desk.redeemed(&ticket, None).unwrap();
    assert!(desk.redeem(&ticket, None).is_err());
    // Give it back once more, late: another request has used the ticket since.
    desk.issuer.give_back(opened).now_or_never().unwrap();
    assert!(second.auth.remaining().is_ok());
    assert!(desk.redeem(&ticket, None).is_err());
}

#[test]
fn a_ticket_that_is_given_back_keeps_its_age() {
    let desk = Desk::open();
    let ticket = desk.issue();
    let opened = desk.redeemed(&ticket, None).unwrap().opened().unwrap();
    let cursor = desk.head(&desk.log);
    desk.clock.advance(Duration::from_secs(31));
    desk.issuer.give_back(opened).now_or_never().unwrap();
    for from in [None, Some(cursor)] {
        assert_eq!(desk.redeem(&ticket, from).unwrap_err().code(), "auth.invalid", "{from:?}");
    }
}

#[test]
fn a_replaced_connection_stays_replaced_and_cannot_give_the_ticket_back() {
    let desk = Desk::open();
    let ticket = desk.issue();
    let first = desk.redeemed(&ticket, None).unwrap();
    let cursor = desk.head(&desk.log);
    let second = desk.redeemed(&ticket, Some(cursor)).unwrap();
    assert!(second.opened().is_none(), "a re-opened stream gives no ticket back");
    desk.issuer.give_back(first.opened().unwrap()).now_or_never().unwrap();
    assert!(first.auth.remaining().is_err() && second.auth.remaining().is_ok());
    assert!(desk.redeem(&ticket, None).is_err());
    desk.redeem(&ticket, Some(cursor)).unwrap();
}

#[test]
fn a_stream_whose_ticket_was_evicted_still_ends_with_its_session() {
    let desk = Desk::open();
    let session = Revocation::new();
    let scope = desk.scope_of(|auth| auth.with_revocation(session.clone()));
    let issue = || {
        let grant = grant(scope.clone(), "th");
        desk.issuer.issue(&grant, &desk.log, LastEventId::Live).now_or_never().unwrap().unwrap()
    };
    let oldest = issue();
    let stream = desk.redeem(&oldest, None).unwrap();
    let cursor = desk.head(&desk.log);
    // All tickets are in use, so the oldest one is evicted.
    for _ in 0..64 {
        desk.redeem(&issue(), None).unwrap();
    }
    assert_eq!(desk.redeem(&oldest, Some(cursor)).unwrap_err().code(), "auth.invalid");
    assert!(stream.remaining().is_ok(), "the stream continues");
    session.revoke();
    assert!(stream.remaining().is_err());
}

/// A store that takes long for a swap.
struct Slow(MemoryTickets, ManualClock, Duration);

impl TicketStore for Slow {
    fn insert(
        &self,
        key: TicketKey,
        record: TicketRecord,
        now: SystemTime,
    ) -> TicketFuture<'_, bool> {
        self.0.insert(key, record, now)
    }

    fn get(&self, key: TicketKey) -> TicketFuture<'_, Option<StoredTicket>> {
        self.0.get(key)
    }

    fn swap(
        &self,
        key: TicketKey,
        revision: u64,
        next: TicketState,
    ) -> TicketFuture<'_, Option<Revocation>> {
        self.1.advance(self.2);
        self.0.swap(key, revision, next)
    }
}

#[test]
fn a_ticket_that_expires_during_the_swap_opens_nothing() {
    for (slow, good) in [(29, true), (30, false)] {
        let mut desk = Desk::open();
        let store = Slow(MemoryTickets::new(), desk.clock.clone(), Duration::from_secs(slow));
        desk.issuer = TicketIssuer::new(store).clock(desk.clock.shared());
        assert_eq!(desk.redeem(&desk.issue(), None).is_ok(), good, "{slow}");
    }
    // The same for a token that expires during the swap, at 1600.
    for (slow, good) in [(299, true), (300, false)] {
        let mut desk = Desk::open();
        let store = Slow(MemoryTickets::new(), desk.clock.clone(), Duration::from_secs(slow));
        let issuer = TicketIssuer::new(store).clock(desk.clock.shared());
        desk.issuer = issuer.open_within(Duration::from_secs(600));
        let ticket = desk.issue();
        desk.redeem(&ticket, None).unwrap();
        let cursor = desk.head(&desk.log);
        desk.clock.advance(Duration::from_secs(300 - slow));
        assert_eq!(desk.redeem(&ticket, Some(cursor)).is_ok(), good, "{slow}");
    }
}

#[test]
fn a_ticket_proves_the_claims_of_its_token_for_its_own_tenant_and_env() {
    let desk = Desk::open();
    let scope = desk.scope_of(|auth| {
        auth.with_tenants(["t_b", "t_a"])
            .with_envs(["dev", "prod"])
            .with_issuer("https://id.test")
            .with_issued_at(from_unix(900))
            .with_audiences(["chat", "files"])
            .with_access_token(true)
            .with_roles(["ops", "dev"])
            .with_scopes(["chat:read", "chat:write"])
            .with_actor_type("agent".parse().unwrap())
            .with_leeway(Duration::from_secs(60))
    });
    let token = scope.auth().clone();
    let grant = grant(scope, "th");
    let ticket = desk.issuer.issue(&grant, &desk.log, LastEventId::Live);
    let ticket = ticket.now_or_never().unwrap().unwrap();
    let cursor = desk.head(&desk.log);
    for from in [None, Some(cursor)] {
        let proven = desk.redeem(&ticket, from).unwrap();
        assert_eq!(proven.subject(), token.subject());
        assert_eq!(proven.issuer(), Some("https://id.test"));
        assert_eq!(proven.issued_at(), Some(from_unix(900)));
        assert_eq!(proven.expires_at(), from_unix(1600));
        assert_eq!(proven.valid_until(), from_unix(1660));
        assert!(proven.is_access_token());
        assert_eq!(proven.actor_type(), token.actor_type());
        assert!(proven.roles().eq(token.roles()) && proven.has_role("dev"));
        assert!(proven.scopes().eq(token.scopes()) && proven.has_scope("chat:write"));
        assert!(proven.audiences().eq(["chat", "files"]));
        assert_eq!(proven.tenants().collect::<Vec<_>>(), ["t_a"]);
        assert_eq!(proven.envs().collect::<Vec<_>>(), ["prod"]);
    }
}

#[test]
fn no_ticket_is_issued_for_a_token_with_too_long_claims() {
    let desk = Desk::open();
    let issue = |change: &dyn Fn(AuthContext) -> AuthContext| {
        let grant = grant(desk.scope_of(change), "th");
        let ticket = desk.issuer.issue(&grant, &desk.log, LastEventId::Live);
        ticket.now_or_never().unwrap().map_err(|refused| refused.code())
    };
    let texts = |len: usize| (0..len / 4).map(|_| "x".to_owned());
    let half = TicketRecord::MAX_BYTES / 2;
    assert!(issue(&|auth| auth.with_roles(texts(half))).is_ok());
    assert!(issue(&|auth| auth.with_scopes(texts(half))).is_ok());
    let refused = Err("auth.insufficient_scope");
    let outcome = |issued: Result<Ticket, &'static str>| issued.map(|_| ());
    assert_eq!(
        outcome(issue(&|auth| auth.with_roles(texts(half)).with_scopes(texts(half)))),
        refused
    );
    assert_eq!(outcome(issue(&|auth| auth.with_audiences(texts(half * 2)))), refused);
    assert_eq!(outcome(issue(&|auth| auth.with_roles(["x".repeat(half * 2)]))), refused);
    assert_eq!(outcome(issue(&|auth| auth.with_issuer("x".repeat(half * 2)))), refused);
}

#[test]
fn debug_hides_the_secret_of_a_ticket() {
    let ticket = Desk::open().issue();
    assert!(!format!("{ticket:?}").contains(ticket.secret()));
    assert_eq!(ticket.secret().len(), 64);
    let json = serde_json::to_value(&ticket).unwrap();
    let starts = ticket.starts_after().unwrap().to_string();
    let expected =
        serde_json::json!({"ticket": ticket.secret(), "expires_at": 1030, "last_event_id": starts});
    assert_eq!(json, expected);
}
