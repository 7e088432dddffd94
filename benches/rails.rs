//! What the rails cost: each figure next to a baseline of the same run.
//!
//! ```sh
//! cargo bench --bench rails
//! ```

#![allow(clippy::unwrap_used, missing_docs, reason = "a bench")]

#[path = "fanout/token.rs"]
mod token;

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::{FutureExt as _, StreamExt as _, stream};
use http::{Request, Response};
use http_body::Body as _;
use http_body_util::Full;
use std::{
    convert::Infallible,
    future::ready,
    hint::black_box,
    pin::Pin,
    task::{Context, Poll, Waker},
};
use token::SECRET;
use tower::{Layer, Service, service_fn};
use tower_tenancy::{
    LastEventId, MemoryLog, MemoryRegistry, Publisher, RequireTenantScope, Routing, StreamEvent,
    TenantScope, ThreadGrant,
    auth::{Algorithm, JwtKey, JwtVerifier, JwtVerifierBuilder, TokenCache},
    verify_thread_access,
};

fn request() -> Request<()> {
    Request::builder()
        .header("x-tenant-id", "t_alpha")
        .header("x-env", "prod")
        .header("x-request-id", "0190b3e0-0000-7000-8000-000000000000")
        .header("authorization", format!("Bearer {}", token::mint().unwrap()))
        .body(())
        .unwrap()
}

fn verifier() -> JwtVerifierBuilder {
    JwtVerifier::builder().key(JwtKey::hmac(Algorithm::HS256, SECRET).unwrap())
}

fn tenancy() -> RequireTenantScope {
    RequireTenantScope::new(verifier().build().unwrap())
}

/// A grant, come by honestly.
fn grant() -> ThreadGrant {
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

fn guards(c: &mut Criterion) {
    let mut group = c.benchmark_group("guards");
    let no_op = service_fn(|_: Request<()>| {
        ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
    });
    let request = request();
    let mut run = |name: &str, service: &mut dyn FnMut(Request<()>)| {
        group.bench_function(name, |b| {
            b.iter_batched(|| request.clone(), &mut *service, BatchSize::SmallInput);
        });
    };
    let mut bare = no_op;
    run("no-op service", &mut |request| {
        black_box(bare.call(request).now_or_never().unwrap().unwrap());
    });
    let mut storing = service_fn(|mut request: Request<()>| {
        request.extensions_mut().insert([0_u8; 200]);
        ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
    });
    run("no-op service, one context stored", &mut |request| {
        black_box(storing.call(request).now_or_never().unwrap().unwrap());
    });
    let cached = verifier().cache(TokenCache::new(1000)).build().unwrap();
    let mut guarded = RequireTenantScope::new(cached).layer(no_op);
    run("full stack, token cached", &mut |request| {
        black_box(guarded.call(request).now_or_never().unwrap().unwrap());
    });
    let mut guarded = tenancy().layer(no_op);
    run("full stack, HS256, uncached", &mut |request| {
        black_box(guarded.call(request).now_or_never().unwrap().unwrap());
    });
    group.finish();
}

fn event(routing: &std::sync::Arc<Routing>) -> StreamEvent {
    StreamEvent::new(routing.clone(), "message", &"x".repeat(256)).unwrap()
}

fn adapter(c: &mut Criterion) {
    const EVENTS: u64 = 1000;
    let mut group = c.benchmark_group("adapter");
    group.throughput(Throughput::Elements(EVENTS));
    let sample = event(grant().routing());
    let source = || stream::iter(vec![sample.clone(); 1000]);
    group.bench_function("bare stream", |b| {
        b.iter(|| source().for_each(async |event| drop(black_box(event))).now_or_never());
    });
    group.bench_function("guarded stream", |b| {
        let run = |grant: ThreadGrant| {
            let guarded = grant.guard(source());
            guarded.for_each(async |outbound| drop(black_box(outbound))).now_or_never()
        };
        b.iter_batched(grant, run, BatchSize::SmallInput);
    });
    group.bench_function("guarded and framed as SSE", |b| {
        let run = |grant: ThreadGrant| {
            let mut body = Box::pin(grant.guard(source()).into_sse());
            let mut cx = Context::from_waker(Waker::noop());
            while let Poll::Ready(Some(frame)) = body.as_mut().poll_frame(&mut cx) {
                drop(black_box(frame));
            }
        };
        b.iter_batched(grant, run, BatchSize::SmallInput);
    });
    group.finish();
}

/// One event to all subscribers of a thread, until each has its frame.
fn fan_out(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _in_runtime = runtime.enter();
    let mut group = c.benchmark_group("fan-out");
    for subscribers in [1_u64, 100, 10_000] {
        group.throughput(Throughput::Elements(subscribers));
        let log = MemoryLog::new();
        let publisher = Publisher::new(log.clone(), grant().routing().clone());
        let mut bodies: Vec<Pin<Box<_>>> = (0..subscribers)
            .map(|_| {
                let grant = grant();
                let events = grant.subscribe(&log, LastEventId::Live).now_or_never().unwrap();
                Box::pin(grant.guard(events.unwrap()).into_sse())
            })
            .collect();
        let data = "x".repeat(256);
        let mut cx = Context::from_waker(Waker::noop());
        group.bench_function(BenchmarkId::new("rails", subscribers), |b| {
            b.iter(|| {
                publisher.publish("message", &data).now_or_never().unwrap().unwrap();
                for body in &mut bodies {
                    while let Poll::Ready(Some(frame)) = body.as_mut().poll_frame(&mut cx) {
                        drop(black_box(frame));
                    }
                }
            });
        });

        // By hand: a broadcast channel of values, written as JSON for each subscriber.
        let (sender, first) = tokio::sync::broadcast::channel::<serde_json::Value>(64);
        let mut receivers: Vec<_> = (0..subscribers).map(|_| sender.subscribe()).collect();
        drop(first);
        let envelope = serde_json::json!({
            "id": "1", "type": "message", "ts": "2026-11-22T12:00:00.000Z",
            "routing": {"tenant_id": "t_alpha", "env": "prod", "thread_id": "th"},
            "meta": {"trace_id": "0190b3e0-0000-7000-8000-000000000000", "seq": 1},
            "data": data,
        });
        group.bench_function(
            BenchmarkId::new("broadcast and serde_json by hand", subscribers),
            |b| {
                b.iter(|| {
                    sender.send(envelope.clone()).unwrap();
                    for receiver in &mut receivers {
                        let value = receiver.try_recv().unwrap();
                        black_box(Bytes::from(format!("id: 1\ndata: {value}\n\n")));
                    }
                });
            },
        );
    }
    group.finish();
}

criterion_group!(benches, guards, adapter, fan_out);
criterion_main!(benches);
