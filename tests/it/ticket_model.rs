//! A model: a few clients use one ticket, in every possible order of their steps.

use crate::layers::{request, verifier};
use bytes::Bytes;
use futures_util::{FutureExt as _, future::LocalBoxFuture};
use http::{Request, Response};
use http_body_util::Full;
use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::SystemTime,
};
use tower::{Layer as _, Service as _, ServiceExt as _, service_fn, util::BoxCloneService};
use tower_tenancy::{
    AuthContext, LastEventId, MemoryLog, MemoryRegistry, RedeemTicket, Rejection, RejectionKind,
    RequireTenantScope, Routing, TenantScope, ThreadGrant, TicketIssuer,
    auth::Revocation,
    rejection::{ByContentType, Dialect, RejectWith as _},
    ticket::{
        MemoryTickets, StoredTicket, TicketFuture, TicketKey, TicketRecord, TicketState,
        TicketStore,
    },
    verify_thread_access,
};

/// The in-memory store in steps: `get` and `swap` do their work at the second poll.
struct Stepwise {
    tickets: MemoryTickets,
    /// Whether the answer of a swap takes one more step.
    slow_answers: bool,
    /// A deliberate fault: the store accepts every give-back, even if the ticket has changed since.
    careless: bool,
    /// The states of the ticket, in order.
    states: Mutex<Vec<TicketState>>,
}

impl Stepwise {
    fn times(&self, state: TicketState) -> usize {
        self.states.lock().unwrap().iter().filter(|was| **was == state).count()
    }
}

impl TicketStore for Stepwise {
    fn insert(
        &self,
        key: TicketKey,
        record: TicketRecord,
        now: SystemTime,
    ) -> TicketFuture<'_, bool> {
        self.tickets.insert(key, record, now)
    }

    fn get(&self, key: TicketKey) -> TicketFuture<'_, Option<StoredTicket>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.tickets.get(key).await
        })
    }

    fn swap(
        &self,
        key: TicketKey,
        revision: u64,
        next: TicketState,
    ) -> TicketFuture<'_, Option<Revocation>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            let mut revision = revision;
            if self.careless && next == TicketState::Unused {
                revision = self.tickets.get(key).await?.unwrap().revision;
            }
            let swapped = self.tickets.swap(key, revision, next).await?;
            if swapped.is_some() {
                self.states.lock().unwrap().push(next);
            }
            if self.slow_answers {
                tokio::task::yield_now().await;
            }
            Ok(swapped)
        })
    }
}

/// One attempt to open the stream.
#[derive(Clone, Copy, Debug)]
struct Try {
    /// With a cursor, like a browser that reconnects.
    re_opens: bool,
    /// The registry does not answer.
    fails: bool,
}

const OPEN: Try = Try { re_opens: false, fails: false };
const FAIL: Try = Try { re_opens: false, fails: true };
const RE_OPEN: Try = Try { re_opens: true, fails: false };
const FAIL_AGAIN: Try = Try { re_opens: true, fails: true };

/// A request that reached the handler.
#[derive(Clone)]
struct Proof {
    auth: AuthContext,
    of: Try,
}

type Proofs = Arc<Mutex<Vec<Proof>>>;
type Site = BoxCloneService<Request<()>, Response<Full<Bytes>>, Infallible>;

fn grant(threads: &MemoryRegistry) -> ThreadGrant {
    let scoped = service_fn(async |request: Request<()>| {
        let mut response = Response::new(Full::<Bytes>::default());
        let scope = TenantScope::from_extensions(request.extensions()).unwrap().clone();
        response.extensions_mut().insert(scope);
        Ok::<_, Infallible>(response)
    });
    let answer = RequireTenantScope::new(verifier()).layer(scoped).oneshot(request());
    let answer = answer.now_or_never().unwrap().unwrap();
    let scope = answer.extensions().get::<TenantScope>().unwrap();
    verify_thread_access(threads, scope, "th").now_or_never().unwrap().unwrap()
}

/// A service with the layers of a real one. Its handler fails if the request says so.
fn site(issuer: TicketIssuer, proofs: &Proofs) -> Site {
    let proofs = Arc::clone(proofs);
    let handler = service_fn(move |request: Request<()>| {
        let scope = TenantScope::from_extensions(request.extensions()).unwrap();
        let of = *request.extensions().get::<Try>().unwrap();
        proofs.lock().unwrap().push(Proof { auth: scope.auth().clone(), of });
        let unavailable = Rejection::new(RejectionKind::RegistryUnavailable);
        let dialect = Dialect::of(&request);
        std::future::ready(Ok::<_, Infallible>(match of.fails {
            true => ByContentType.reject(&unavailable, dialect),
            false => Response::new(Full::default()),
        }))
    });
    let tenancy = RequireTenantScope::new(verifier()).or_ticket();
    BoxCloneService::new(RedeemTicket::new(issuer).layer(tenancy.layer(handler)))
}

struct Model {
    grant: ThreadGrant,
    log: MemoryLog,
    slow_answers: bool,
    careless: bool,
}

impl Model {
    fn new() -> Self {
        let threads = MemoryRegistry::new();
        threads.register(&"t_alpha/prod/th".parse::<Routing>().unwrap());
        let (slow_answers, careless) = (false, false);
        Self { grant: grant(&threads), log: MemoryLog::new(), slow_answers, careless }
    }

    /// Runs the clients in every order. Returns the number of orders, or what went wrong in one of them.
    fn check(&self, clients: &[&[Try]]) -> Result<usize, String> {
        let (mut orders, mut order) = (0, Vec::new());
        loop {
            self.run(clients, &mut order).map_err(|wrong| format!("{wrong}: {order:?}"))?;
            orders += 1;
            // The next order: find the last step that the next client could also make, and let that client make
            // it.
            loop {
                match order.pop() {
                    None => return Ok(orders),
                    Some((step, could)) if step + 1 < could => {
                        order.push((step + 1, could));
                        break;
                    }
                    Some(_) => {}
                }
            }
        }
    }

    /// Runs one order. Each step of `order` says which of the unfinished clients makes it, and how many of them
    /// there are. After the end of `order`, the first unfinished client makes each step.
    fn run(&self, clients: &[&[Try]], order: &mut Vec<(usize, usize)>) -> Result<(), String> {
        let proofs = Proofs::default();
        let store = Arc::new(Stepwise {
            tickets: MemoryTickets::new(),
            slow_answers: self.slow_answers,
            careless: self.careless,
            states: Mutex::new(vec![TicketState::Unused]),
        });
        let issuer = TicketIssuer::new(Arc::clone(&store));
        let ticket = issuer.issue(&self.grant, &self.log, LastEventId::Live);
        let ticket = ticket.now_or_never().unwrap().unwrap();
        let site = site(issuer, &proofs);
        let uri = format!("/th?ticket={}", ticket.secret());
        let cursor = ticket.starts_after().unwrap().to_string();
        let ask = |of: Try| {
            let mut request = Request::builder().uri(&uri);
            if of.re_opens {
                request = request.header("last-event-id", &cursor);
            }
            let request = request.extension(of).body(()).unwrap();
            let mut site = site.clone();
            async move { site.ready().await.unwrap().call(request).await.unwrap().status().as_u16() }
        };
        let mut waiting: Vec<LocalBoxFuture<'_, ()>> = Vec::new();
        for tries in clients {
            waiting.push(Box::pin(async {
                for of in *tries {
                    ask(*of).await;
                }
            }));
        }
        // The proofs that are still valid.
        let live = || -> Vec<usize> {
            let proofs = proofs.lock().unwrap();
            let holds = |i: &usize| proofs[*i].auth.remaining().is_ok();
            (0..proofs.len()).filter(holds).collect()
        };
        let failed = |i: usize| proofs.lock().unwrap()[i].of.fails;
        let mut cx = Context::from_waker(Waker::noop());
        let mut steps = 0;
        while !waiting.is_empty() {
            if steps == order.len() {
                order.push((0, waiting.len()));
            }
            let (client, could) = order[steps];
            assert_eq!(could, waiting.len(), "a run depends only on its order");
            steps += 1;
            let (before, unused) = (live(), store.times(TicketState::Unused));
            if let Poll::Ready(()) = waiting[client].as_mut().poll(&mut cx) {
                drop(waiting.remove(client));
            }
            let after = live();
            if after.len() > 1 {
                return Err("two proofs are valid at the same time".to_owned());
            }
            let ended = before.into_iter().any(|i| !failed(i) && !after.contains(&i));
            if ended && store.times(TicketState::Unused) > unused {
                return Err("a give-back ended the stream of another client".to_owned());
            }
        }
        drop(waiting);
        // Then two more clients use the ticket, one after the other, without a cursor.
        let before = live();
        let opens = store.states.lock().unwrap().last() == Some(&TicketState::Unused);
        let mut again = || {
            let mut again = Box::pin(ask(OPEN));
            loop {
                if let Poll::Ready(status) = again.as_mut().poll(&mut cx) {
                    break status == 200;
                }
            }
        };
        if (again(), again()) != (opens, false) {
            return Err(format!(
                "an unused ticket must open one stream, and a used ticket none; unused: {opens}"
            ));
        }
        if before.iter().any(|i| !failed(*i)) && (opens || live() != before) {
            return Err("a stream is open, and another client could use its ticket".to_owned());
        }
        let first_uses = proofs.lock().unwrap().iter().filter(|proof| !proof.of.re_opens).count();
        if first_uses > store.times(TicketState::Unused) {
            return Err("a ticket was used for the first time too often".to_owned());
        }
        Ok(())
    }
}

const TRIES: [Try; 4] = [OPEN, FAIL, RE_OPEN, FAIL_AGAIN];

#[test]
fn one_client_opens_a_stream_once_and_again_after_a_server_side_failure() {
    let model = Model::new();
    let mut order = Vec::new();
    for tries in [&[OPEN, OPEN][..], &[FAIL, OPEN, OPEN], &[FAIL, FAIL, FAIL_AGAIN, OPEN]] {
        model.run(&[tries], &mut order).unwrap();
        order.clear();
    }
}

#[test]
fn two_clients_never_hold_one_ticket_in_any_order() {
    let model = Model { slow_answers: true, ..Model::new() };
    for first in TRIES {
        for second in TRIES {
            let orders = model.check(&[&[first], &[second]]).unwrap();
            assert!(orders > 50, "{orders} orders of {first:?} and {second:?}");
        }
    }
    let model = Model::new();
    let twice = [[FAIL, OPEN], [FAIL, RE_OPEN], [OPEN, RE_OPEN]];
    for first in &twice {
        for second in &twice {
            let orders = model.check(&[first, second]).unwrap();
            assert!(orders > 100, "{orders} orders of {first:?} and {second:?}");
        }
    }
}

#[test]
fn three_clients_never_hold_one_ticket_in_any_order() {
    let model = Model::new();
    for [first, second, third] in [
        [OPEN, RE_OPEN, RE_OPEN],
        [FAIL, RE_OPEN, OPEN],
        [FAIL, FAIL, OPEN],
        [FAIL, FAIL, RE_OPEN],
        [FAIL, FAIL_AGAIN, RE_OPEN],
        [FAIL, FAIL, FAIL],
    ] {
        let orders = model.check(&[&[first], &[second], &[third]]).unwrap();
        assert!(orders > 1000, "{orders} orders of {first:?}, {second:?} and {third:?}");
    }
}

/// A fault that the crate once had. The model must find it.
#[test]
fn the_model_finds_a_store_that_accepts_every_give_back() {
    let model = Model { careless: true, ..Model::new() };
    let wrong = model.check(&[&[FAIL], &[RE_OPEN]]).unwrap_err();
    assert!(wrong.starts_with("a give-back ended the stream of another client"), "{wrong}");
}
