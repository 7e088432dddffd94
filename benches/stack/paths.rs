//! The paths that the benches measure: a request through services, and events through streams.

#[path = "../fanout/token.rs"]
mod token;

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use http::{Request, Response};
use http_body::Body as _;
use http_body_util::Full;
use std::{
    convert::Infallible,
    future::{Ready, ready},
    hint::black_box,
    task::{Context, Poll, Waker},
};
use tower::{Layer as _, Service, service_fn};
use tower_tenancy::{
    MemoryRegistry, RequireTenantScope, Routing, StreamEvent, TenantScope, ThreadGrant,
    auth::{Algorithm, JwtKey, JwtVerifier, JwtVerifierBuilder},
    verify_thread_access,
};

pub(crate) fn request() -> Request<()> {
    Request::builder()
        .header("x-tenant-id", "t_alpha")
        .header("x-env", "prod")
        .header("x-request-id", "0190b3e0-0000-7000-8000-000000000000")
        .header("authorization", format!("Bearer {}", token::mint()))
        .body(())
        .unwrap()
}

pub(crate) fn verifier() -> JwtVerifierBuilder {
    JwtVerifier::builder().key(JwtKey::hmac(Algorithm::HS256, token::SECRET).unwrap())
}

pub(crate) fn tenancy() -> RequireTenantScope {
    RequireTenantScope::new(verifier().build().unwrap())
}

type Answer = Ready<Result<Response<Full<Bytes>>, Infallible>>;

pub(crate) fn no_op(_: Request<()>) -> Answer {
    ready(Ok(Response::default()))
}

/// Does the least that a layer can do before `no_op`: it stores one context.
pub(crate) fn stores_one_context(mut request: Request<()>) -> Answer {
    request.extensions_mut().insert([0_u8; 200]);
    no_op(request)
}

/// Calls the service, and drops request and response.
pub(crate) fn call<S>(service: &mut S, request: Request<()>)
where
    S: Service<Request<()>, Response = Response<Full<Bytes>>, Error = Infallible>,
{
    black_box(service.call(request).now_or_never().unwrap().unwrap());
}

/// Makes a grant with the layers and the thread check.
pub(crate) fn grant() -> ThreadGrant {
    let thread: Routing = "t_alpha/prod/th".parse().unwrap();
    let registry = MemoryRegistry::new();
    registry.register(&thread);
    let inner = service_fn(|request: Request<()>| {
        let scope = TenantScope::from_extensions(request.extensions()).unwrap().clone();
        let mut response = Response::new(Full::<Bytes>::default());
        response.extensions_mut().insert(scope);
        ready(Ok::<_, Infallible>(response))
    });
    let response = tenancy().layer(inner).call(request()).now_or_never().unwrap().unwrap();
    let scope = response.extensions().get::<TenantScope>().unwrap();
    verify_thread_access(&registry, scope, thread.thread()).now_or_never().unwrap().unwrap()
}

/// An event of the thread of `grant`.
pub(crate) fn event() -> StreamEvent {
    let thread: Routing = "t_alpha/prod/th".parse().unwrap();
    StreamEvent::new(thread, "message", &"x".repeat(256)).unwrap()
}

pub(crate) fn bare(events: Vec<StreamEvent>) {
    stream::iter(events).for_each(async |event| drop(black_box(event))).now_or_never();
}

pub(crate) fn guarded(grant: ThreadGrant, events: Vec<StreamEvent>) {
    let guarded = grant.guard(stream::iter(events));
    guarded.for_each(async |outbound| drop(black_box(outbound))).now_or_never();
}

pub(crate) fn framed(grant: ThreadGrant, events: Vec<StreamEvent>) {
    let mut body = Box::pin(grant.guard(stream::iter(events)).into_sse());
    let mut cx = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(frame)) = body.as_mut().poll_frame(&mut cx) {
        drop(black_box(frame));
    }
}
