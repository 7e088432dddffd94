//! Tests of backpressure: which requests hold a permit of the inner service, which ones wait, and in which
//! order.

use crate::layers::{counting, later, request, verifier, without};
use bytes::Bytes;
use futures_channel::oneshot;
use futures_util::{FutureExt as _, poll};
use http::{Request, Response};
use http_body_util::Full;
use std::{
    convert::Infallible,
    future::{Ready, ready},
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, SystemTime},
};
use tower::{
    Layer as _, Service, ServiceBuilder, ServiceExt as _,
    limit::{ConcurrencyLimit, ConcurrencyLimitLayer},
    service_fn,
};
use tower_tenancy::{
    AuthContext, AuthRequest, Authenticator, RejectionKind, RequireAuth, RequireClaims,
    RequireRequestContext, RequireTenantScope, Subject, TenantEnvGuard, Verdict, auth::Revocation,
};

type Body = Full<Bytes>;

fn ada() -> AuthContext {
    let soon = SystemTime::now() + Duration::from_secs(600);
    let auth = AuthContext::new(Subject::new("ada").unwrap(), soon);
    auth.with_tenants(["t_alpha"]).with_envs(["prod"])
}

/// An authenticator that answers the oldest request when the test calls [`answer`](Slow::answer).
#[derive(Clone, Default)]
struct Slow(Arc<Mutex<Vec<oneshot::Sender<AuthContext>>>>);

impl Slow {
    fn asked(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn answer(&self, auth: AuthContext) {
        self.0.lock().unwrap().remove(0).send(auth).unwrap();
    }
}

impl Authenticator for Slow {
    fn authenticate(&self, _: &AuthRequest<'_>) -> Verdict {
        let (sender, receiver) = oneshot::channel();
        self.0.lock().unwrap().push(sender);
        Verdict::later(async move { receiver.await.map_err(|_| RejectionKind::AuthInvalid.into()) })
    }
}

/// An inner service that works on each request until the test ends the work. It records the requests that
/// it has begun.
#[derive(Clone, Default)]
struct Work {
    begun: Arc<Mutex<Vec<String>>>,
    ends: Arc<Mutex<Vec<oneshot::Sender<()>>>>,
}

impl Work {
    fn begun(&self) -> Vec<String> {
        self.begun.lock().unwrap().clone()
    }

    /// Ends the work on the oldest request. The limit gets its permit back when the response future is
    /// dropped.
    fn end(&self) {
        self.ends.lock().unwrap().remove(0).send(()).unwrap();
    }

    fn limited(
        &self,
        to: usize,
    ) -> ConcurrencyLimit<
        impl Service<Request<()>, Response = Response<Body>, Error = Infallible, Future: Send + Unpin>
        + Clone
        + use<>,
    > {
        let Self { begun, ends } = self.clone();
        let work = service_fn(move |request: Request<()>| {
            let (sender, receiver) = oneshot::channel();
            ends.lock().unwrap().push(sender);
            begun.lock().unwrap().push(request.uri().path().to_owned());
            receiver.map(|_| Ok(Response::new(Body::default())))
        });
        ConcurrencyLimit::new(work, to)
    }
}

fn named(path: &str) -> Request<()> {
    let mut request = request();
    *request.uri_mut() = path.parse().unwrap();
    request
}

#[tokio::test]
async fn requests_that_wait_for_an_authenticator_hold_no_permit() {
    let (slow, work) = (Slow::default(), Work::default());
    let inner = work.limited(1);
    let mut waiting = RequireTenantScope::new(slow.clone()).layer(inner.clone());
    let mut waiters = Vec::new();
    for _ in 0..10 {
        // If the first request held the only permit, the service would not become ready again.
        let ready = waiting.ready().now_or_never().expect("no request holds the permit").unwrap();
        let mut response = Box::pin(ready.call(named("/waits")));
        assert!(poll!(&mut response).is_pending());
        waiters.push(response);
    }
    assert_eq!(slow.asked(), 10);
    let mut other = RequireTenantScope::new(verifier()).layer(inner);
    let ready = other.ready().now_or_never().expect("no request holds the permit").unwrap();
    let mut served = Box::pin(ready.call(named("/other")));
    assert!(poll!(&mut served).is_pending());
    assert_eq!(work.begun(), ["/other"]);
    work.end();
    assert_eq!(served.await.unwrap().status(), 200);
}

#[tokio::test]
async fn accepted_requests_wait_for_the_inner_service_in_order() {
    let (slow, work) = (Slow::default(), Work::default());
    let inner = work.limited(1);
    let mut late = RequireTenantScope::new(slow.clone()).layer(inner.clone());
    let mut prompt = RequireTenantScope::new(verifier()).layer(inner);

    let mut first = Box::pin(late.ready().await.unwrap().call(named("/first")));
    let mut second = Box::pin(late.ready().await.unwrap().call(named("/second")));
    let mut gone = Box::pin(late.ready().await.unwrap().call(named("/gone")));
    let mut before = Box::pin(prompt.ready().await.unwrap().call(named("/before")));
    assert!(poll!(&mut before).is_pending());
    assert!(poll!(&mut first).is_pending());
    assert!(poll!(&mut second).is_pending());
    assert!(poll!(&mut gone).is_pending());

    // All three tokens are valid, but another request is being served.
    (0..3).for_each(|_| slow.answer(ada()));
    assert!(poll!(&mut first).is_pending());
    assert!(poll!(&mut gone).is_pending());
    assert!(poll!(&mut second).is_pending());
    // A new request queues behind them.
    let mut after = prompt.clone();
    let mut after_ready = Box::pin(after.ready());
    assert!(poll!(&mut after_ready).is_pending());
    // A client that goes away leaves the queue.
    drop(gone);
    assert_eq!(work.begun(), ["/before"]);

    work.end();
    assert!(poll!(&mut before).is_ready());
    drop(before);
    assert!(poll!(&mut after_ready).is_pending(), "it is the last in the queue");
    assert!(poll!(&mut second).is_pending(), "it is the second in the queue");
    assert!(poll!(&mut first).is_pending());
    assert_eq!(work.begun(), ["/before", "/first"]);
    work.end();
    assert!(poll!(&mut first).is_ready());
    drop(first);
    assert!(poll!(&mut second).is_pending());
    assert_eq!(work.begun(), ["/before", "/first", "/second"]);
    work.end();
    assert!(poll!(&mut second).is_ready());
    drop(second);
    let mut last = Box::pin(after_ready.await.unwrap().call(named("/after")));
    assert!(poll!(&mut last).is_pending());
    assert_eq!(work.begun(), ["/before", "/first", "/second", "/after"]);
}

#[tokio::test]
async fn a_request_whose_proof_ends_in_the_queue_is_refused() {
    let (slow, work) = (Slow::default(), Work::default());
    let inner = work.limited(1);
    let mut late = RequireTenantScope::new(slow.clone()).layer(inner.clone());
    let mut prompt = RequireTenantScope::new(verifier()).layer(inner);
    let mut waits = Box::pin(late.ready().await.unwrap().call(named("/waits")));
    let mut before = Box::pin(prompt.ready().await.unwrap().call(named("/before")));
    assert!(poll!(&mut before).is_pending());
    assert!(poll!(&mut waits).is_pending());
    let session = Revocation::new();
    slow.answer(ada().with_revocation(session.clone()));
    assert!(poll!(&mut waits).is_pending());
    session.revoke();
    work.end();
    assert!(poll!(&mut before).is_ready());
    drop(before);
    let response = waits.await.unwrap();
    assert!(response.status().is_client_error(), "{}", response.status());
    assert_eq!(work.begun(), ["/before"]);
    assert!(
        prompt.ready().now_or_never().is_some(),
        "the refused request must not hold the permit"
    );
}

#[tokio::test]
async fn every_layer_releases_the_permit_at_once_when_it_refuses() {
    let limited = || ConcurrencyLimit::new(counting(&Arc::default()), 1);
    let no_token = || without(request(), "authorization");
    let no_env = || without(request(), "x-env");

    macro_rules! holds_nothing {
        ($layers:expr, $request:expr) => {{
            let inner = limited();
            let mut service = $layers.layer(inner.clone());
            let mut other = inner;
            let refused = service.ready().await.unwrap().call($request);
            // The test has neither polled nor dropped the future of the refusal.
            assert!(other.ready().now_or_never().is_some(), "the refused request holds the permit");
            drop(other);
            assert!(refused.await.unwrap().status().as_u16() >= 400);
        }};
    }
    let parts = || (RequireAuth::new(verifier()), TenantEnvGuard::new());
    holds_nothing!(RequireTenantScope::new(verifier()), no_token());
    holds_nothing!(RequireTenantScope::new(later), no_env());
    holds_nothing!((RequireRequestContext::new(), parts()), no_env());
    holds_nothing!((RequireRequestContext::new(), parts()), no_token());
    holds_nothing!(TenantEnvGuard::new(), request());
    let ops = RequireClaims::new().role("ops");
    holds_nothing!((RequireTenantScope::new(verifier()), ops), request());
}

#[tokio::test]
async fn a_late_refusal_does_not_wait_for_a_permit() {
    let slow = Slow::default();
    let inner = ConcurrencyLimit::new(counting(&Arc::default()), 1);
    let mut service = RequireTenantScope::new(slow.clone()).layer(inner.clone());
    let refused = service.ready().await.unwrap().call(request());
    let mut other = inner;
    // Another request keeps the permit until the end of the test.
    other.ready().await.unwrap();
    drop(std::mem::take(&mut *slow.0.lock().unwrap()));
    let response = refused.now_or_never().expect("a refusal needs no permit").unwrap();
    assert_eq!(response.status(), 401);
}

/// An inner service whose clones do not become ready.
struct Breaks {
    clones: Arc<AtomicUsize>,
    is_clone: bool,
}

impl Clone for Breaks {
    fn clone(&self) -> Self {
        self.clones.fetch_add(1, Ordering::Relaxed);
        Self { clones: Arc::clone(&self.clones), is_clone: true }
    }
}

impl Service<Request<()>> for Breaks {
    type Response = Response<Body>;
    type Error = io::Error;
    type Future = Ready<io::Result<Response<Body>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let broken = self.is_clone.then(|| io::Error::other("the pool is closed"));
        Poll::Ready(broken.map_or(Ok(()), Err))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        ready(Ok(Response::new(Body::default())))
    }
}

#[tokio::test]
async fn an_error_of_readiness_fails_the_request() {
    let breaks = Breaks { clones: Arc::default(), is_clone: false };
    let mut service = RequireTenantScope::new(later).layer(breaks);
    let error = service.ready().await.unwrap().call(request()).await.unwrap_err();
    assert_eq!(error.to_string(), "the pool is closed");
}

#[tokio::test]
async fn an_authenticator_that_answers_at_once_costs_no_clone() {
    let clones = Arc::<AtomicUsize>::default();
    let counts = Breaks { clones: Arc::clone(&clones), is_clone: false };
    let mut service = RequireTenantScope::new(verifier()).layer(counts);
    for _ in 0..3 {
        assert_eq!(service.ready().await.unwrap().call(request()).await.unwrap().status(), 200);
    }
    assert_eq!(clones.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn many_requests_that_wait_in_nested_layers_are_all_served() {
    let calls = Arc::default();
    let service = ServiceBuilder::new()
        .layer(RequireRequestContext::new())
        .layer(RequireAuth::new(later))
        .layer(TenantEnvGuard::new())
        .layer(ConcurrencyLimitLayer::new(2))
        .service(counting(&calls));
    let many = (0..50).map(|_| service.clone().oneshot(request()));
    for response in futures_util::future::join_all(many).await {
        assert_eq!(response.unwrap().status(), 200);
    }
    assert_eq!(calls.load(Ordering::Relaxed), 50);
}
