//! What a ticket is good for, by the clock and by the log.

use super::{Opening, Redeemed, Ticket, TicketIssuer};
use crate::{
    access::tests::grant,
    auth::AuthContext,
    clock::{from_unix, manual::ManualClock},
    event::{Cursor, LastEventId},
    log::{EventLog as _, LogReader as _, MemoryLog},
    origin::Head,
    rejection::Rejection,
    scope::{TenantScope, tests as scopes},
};
use futures_util::FutureExt as _;
use http::Request;
use std::{future::poll_fn, time::Duration};

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

    /// For a token that is good for ten minutes.
    fn scope(&self) -> TenantScope {
        let auth = scopes::auth(&["t_a"], &["prod"]);
        let auth = AuthContext::new(auth.subject().clone(), from_unix(1600))
            .with_tenants(["t_a"])
            .with_envs(["prod"])
            .with_clock(self.clock.shared());
        TenantScope::agree(&scopes::request("t_a", "prod"), &auth).unwrap()
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
        let opening = Opening::of(Head::of(&request));
        self.issuer.redeem(ticket.secret(), opening).now_or_never().unwrap()
    }

    fn head(&self, log: &MemoryLog) -> Cursor {
        let grant = grant(self.scope(), "th");
        let mut reader = log.reader(grant.routing().key());
        poll_fn(|cx| reader.poll_extent(cx)).now_or_never().unwrap().unwrap().head()
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
fn a_stream_is_re_opened_until_the_token_is_over() {
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
fn a_used_ticket_opens_nothing_of_a_log_that_began_anew() {
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
    // Whoever has only an old cursor would be told the new epoch, and read on with that.
    let anew = MemoryLog::new();
    for from in [cursor.into(), LastEventId::Live, LastEventId::Earliest] {
        assert_eq!(subscribe(&anew, from), Err("auth.invalid"));
    }
}

#[test]
fn a_ticket_is_not_issued_for_a_ticket_nor_for_a_token_that_is_over() {
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
fn a_ticket_says_where_its_stream_starts_the_first_time() {
    let desk = Desk::open();
    let cursor = desk.head(&desk.log);
    let start =
        |ticket: &Ticket, from| desk.redeemed(ticket, from).unwrap().start().map(str::to_owned);
    // From when it was issued, also if it is used later.
    let live = desk.issue();
    assert_eq!(live.starts_after(), Some(cursor));
    assert_eq!(start(&live, None), Some(cursor.to_string()));
    let ticket = desk.issue_from(cursor.into());
    assert_eq!(start(&ticket, None), Some(cursor.to_string()));
    assert_eq!(start(&ticket, Some(cursor)), None, "then the request does");
}

#[test]
fn a_ticket_that_is_given_back_opens_a_stream_once_more() {
    let desk = Desk::open();
    let ticket = desk.issue();
    let (key, record) = desk.redeemed(&ticket, None).unwrap().into_first().unwrap();
    assert!(desk.redeem(&ticket, None).is_err());
    desk.issuer.give_back(key, record).now_or_never().unwrap();
    desk.redeem(&ticket, None).unwrap();
    assert!(desk.redeem(&ticket, None).is_err());
}

#[test]
fn a_ticket_hides_itself() {
    let ticket = Desk::open().issue();
    assert!(!format!("{ticket:?}").contains(ticket.secret()));
    assert_eq!(ticket.secret().len(), 64);
    let json = serde_json::to_value(&ticket).unwrap();
    let starts = ticket.starts_after().unwrap().to_string();
    let expected =
        serde_json::json!({"ticket": ticket.secret(), "expires_at": 1030, "last_event_id": starts});
    assert_eq!(json, expected);
}
