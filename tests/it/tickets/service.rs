//! The service that redeems tickets: its waits, its errors, its clients.

use super::support::{Plain, ada, ticket_of, with_ticket, without_ticket};
use crate::layers::verifier;
use futures_util::poll;
use serde_json::Value;
use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, SystemTime},
};
use tokio::sync::Semaphore;
use tower::{Layer as _, Service, ServiceExt as _};
use tower_tenancy::{
    RedeemTicket, RequireClaims, RequireTenantScope, TenantScope, TicketIssuer,
    auth::Revocation,
    ticket::{
        MemoryTickets, StoredTicket, TicketFuture, TicketKey, TicketRecord, TicketState,
        TicketStore,
    },
};

#[tokio::test]
async fn require_claims_checks_a_ticket_like_its_token() {
    let issuer = TicketIssuer::in_memory();
    let good = || {
        ada()
            .with_roles(["ops"])
            .with_scopes(["chat:read", "chat:write"])
            .with_audiences(["chat"])
            .with_access_token(true)
            .with_issued_at(SystemTime::now())
            .with_leeway(Duration::from_secs(60))
    };
    let none: [&str; 0] = [];
    for (auth, status) in [
        (good(), 200),
        (good().with_roles(["dev"]), 403),
        (good().with_scopes(["chat:read"]), 403),
        (good().with_audiences(none), 401),
        (good().with_access_token(false), 401),
        (good().with_issued_at(SystemTime::now() - Duration::from_secs(60)), 401),
    ] {
        let handler = tower::service_fn(async |_: http::Request<()>| {
            Ok::<_, Infallible>(Plain::new("stream".into()))
        });
        let claims = RequireClaims::new()
            .role("ops")
            .scope("chat:write")
            .audience("chat")
            .at_jwt()
            .max_lifetime(Duration::from_secs(610));
        let service = RequireTenantScope::new(verifier()).or_ticket().layer(claims.layer(handler));
        let service = RedeemTicket::new(issuer.clone()).layer(service);
        let mine = ticket_of(&issuer, &auth).await;
        let answer = service.oneshot(with_ticket(&mine)).await.unwrap();
        assert_eq!(answer.status(), status, "{auth:?}");
    }
}

/// A store that answers a `get` when the test gives it a permit.
struct Gated(MemoryTickets, Semaphore);

impl TicketStore for Gated {
    fn insert(
        &self,
        key: TicketKey,
        record: TicketRecord,
        now: SystemTime,
    ) -> TicketFuture<'_, bool> {
        self.0.insert(key, record, now)
    }

    fn get(&self, key: TicketKey) -> TicketFuture<'_, Option<StoredTicket>> {
        Box::pin(async move {
            self.1.acquire().await?.forget();
            self.0.get(key).await
        })
    }

    fn swap(
        &self,
        key: TicketKey,
        revision: u64,
        next: TicketState,
    ) -> TicketFuture<'_, Option<Revocation>> {
        self.0.swap(key, revision, next)
    }
}

#[tokio::test]
async fn a_request_that_waits_for_the_store_holds_no_permit_and_then_waits_its_turn() {
    let store = Arc::new(Gated(MemoryTickets::new(), Semaphore::new(0)));
    let issuer = TicketIssuer::new(Arc::clone(&store));
    // The request with a ticket is the one that has a `Last-Event-ID` at the handler.
    let (started, handler_may) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Semaphore::new(0)));
    let handler = {
        let (started, may) = (Arc::clone(&started), Arc::clone(&handler_may));
        tower::service_fn(move |request: http::Request<()>| {
            let may = Arc::clone(&may);
            started.lock().unwrap().push(request.headers().contains_key("last-event-id"));
            async move {
                may.acquire().await.unwrap().forget();
                Ok::<_, Infallible>(Plain::new("stream".into()))
            }
        })
    };
    let service = RedeemTicket::new(issuer.clone())
        .layer(tower::limit::ConcurrencyLimitLayer::new(1).layer(handler));
    let ask = |request: http::Request<()>| {
        let mut service = service.clone();
        Box::pin(async move { service.ready().await.unwrap().call(request).await.unwrap() })
    };
    let mine = ticket_of(&issuer, &ada()).await;
    let mut by_ticket = ask(with_ticket(&mine));
    assert!(poll!(&mut by_ticket).is_pending(), "the store does not answer");
    // The only permit is free meanwhile.
    let mut first = ask(without_ticket());
    assert!(poll!(&mut first).is_pending());
    assert_eq!(*started.lock().unwrap(), [false]);
    // The store answers. Now the request waits for its turn, before later requests.
    store.1.add_permits(1);
    assert!(poll!(&mut by_ticket).is_pending());
    let mut last = ask(without_ticket());
    assert!(poll!(&mut last).is_pending());
    assert_eq!(*started.lock().unwrap(), [false], "there is only one permit");
    handler_may.add_permits(3);
    assert!(poll!(&mut first).is_ready());
    drop(first);
    assert!(poll!(&mut last).is_pending(), "it is not its turn");
    let Poll::Ready(answer) = poll!(&mut by_ticket) else { panic!("it is the turn of the ticket") };
    assert_eq!(answer.status(), 200);
    drop(by_ticket);
    assert!(poll!(&mut last).is_ready());
    assert_eq!(*started.lock().unwrap(), [false, true, false]);
}

#[tokio::test]
async fn a_browser_gets_a_notice_with_its_request_id_if_the_store_does_not_answer() {
    let store = Arc::new(Gated(MemoryTickets::new(), Semaphore::new(1)));
    let issuer = TicketIssuer::new(Arc::clone(&store));
    let mine = ticket_of(&issuer, &ada()).await;
    store.1.close();
    let handler = tower::service_fn(|_: http::Request<()>| {
        std::future::ready(Ok::<_, Infallible>(Plain::new("stream".into())))
    });
    let tenancy = RequireTenantScope::new(verifier()).or_ticket().opens_streams();
    let service = RedeemTicket::new(issuer).layer(tenancy.layer(handler));
    let mut request = with_ticket(&mine);
    request.headers_mut().insert("accept", "text/event-stream".parse().unwrap());
    let answer = service.oneshot(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    let body = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
    let text = std::str::from_utf8(&body).unwrap();
    let data = text.lines().find_map(|line| line.strip_prefix("data: ")).expect(text);
    let data: Value = serde_json::from_str(data).unwrap();
    assert_eq!(data["meta"]["trace_id"], id, "{text}");
}

/// A service that is ready as many times as the test says, and then fails.
#[derive(Clone)]
struct Readies(Arc<AtomicUsize>);

impl Service<http::Request<()>> for Readies {
    type Response = Plain;
    type Error = &'static str;
    type Future = std::future::Ready<Result<Plain, &'static str>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        let left = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
        Poll::Ready(left.map(drop).map_err(|_| "out of order"))
    }

    fn call(&mut self, request: http::Request<()>) -> Self::Future {
        let by_ticket = TenantScope::from_extensions(request.extensions()).is_ok();
        std::future::ready(Ok(Plain::new(if by_ticket { "ticket" } else { "none" }.into())))
    }
}

#[tokio::test]
async fn an_error_of_the_service_passes_and_gives_the_ticket_back() {
    let issuer = TicketIssuer::in_memory();
    let mine = ticket_of(&issuer, &ada()).await;
    let readies = Arc::new(AtomicUsize::new(1));
    let tenancy = RequireTenantScope::new(verifier()).or_ticket();
    let mut service =
        RedeemTicket::new(issuer.clone()).layer(tenancy.clone().layer(Readies(readies.clone())));
    let refused = service.ready().await.unwrap().call(with_ticket(&mine)).await;
    assert_eq!(refused.unwrap_err(), "out of order", "the second `poll_ready` fails");
    // An error instead of a response.
    let broken = tower::service_fn(async |_: http::Request<()>| Err::<Plain, _>("broken"));
    let broken = RedeemTicket::new(issuer).layer(tenancy.layer(broken));
    assert_eq!(broken.oneshot(with_ticket(&mine)).await.unwrap_err(), "broken");
    readies.store(10, Ordering::Relaxed);
    let opened = service.ready().await.unwrap().call(with_ticket(&mine)).await.unwrap();
    assert_eq!(opened.status(), 200);
    let again = service.ready().await.unwrap().call(with_ticket(&mine)).await.unwrap();
    assert_eq!(again.status(), 401);
}

#[tokio::test]
async fn a_client_that_disconnects_early_has_used_its_ticket_if_the_store_answered() {
    let store = Arc::new(Gated(MemoryTickets::new(), Semaphore::new(0)));
    let issuer = TicketIssuer::new(Arc::clone(&store));
    let tenancy = RequireTenantScope::new(verifier()).or_ticket();
    let never = tower::service_fn(async |_: http::Request<()>| {
        std::future::pending::<Result<Plain, Infallible>>().await
    });
    let silent = RedeemTicket::new(issuer.clone()).layer(tenancy.clone().layer(never));
    let answers = tower::service_fn(async |_: http::Request<()>| {
        Ok::<_, Infallible>(Plain::new("stream".into()))
    });
    let answers = RedeemTicket::new(issuer.clone()).layer(tenancy.layer(answers));
    for (asked, status) in [(0, 200), (1, 401)] {
        let mine = ticket_of(&issuer, &ada()).await;
        store.1.add_permits(asked);
        let mut gone = Box::pin(silent.clone().oneshot(with_ticket(&mine)));
        assert!(poll!(&mut gone).is_pending());
        drop(gone);
        store.1.add_permits(1);
        let answer = answers.clone().oneshot(with_ticket(&mine)).await.unwrap();
        assert_eq!(answer.status(), status, "the store answered {asked} times");
    }
}
