//! Measures the full stack, from the guards to the frames, and baselines in the same run.
//!
//! ```sh
//! cargo bench -p tower-tenancy-benches --bench stack
//! ```

#![allow(clippy::unwrap_used, missing_docs, reason = "a bench")]

#[path = "../tests/minter/mod.rs"]
mod minter;
#[path = "stack/paths.rs"]
mod paths;

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::FutureExt as _;
use http::Request;
use http_body::Body as _;
use paths::{call, grant, no_op, stores_one_context, tenancy, verifier};
use std::{
    hint::black_box,
    pin::Pin,
    task::{Context, Poll, Waker},
    thread,
    time::Instant,
};
use tower::{Layer as _, service_fn};
use tower_tenancy::{
    LastEventId, MemoryLog, Publisher, RequireTenantScope, Routing, auth::TokenCache,
};

fn guards(c: &mut Criterion) {
    let mut group = c.benchmark_group("guards");
    let request = paths::request();
    let mut run = |name: &str, service: &mut dyn FnMut(Request<()>)| {
        group.bench_function(name, |b| {
            b.iter_batched(|| request.clone(), &mut *service, BatchSize::SmallInput);
        });
    };
    let mut bare = service_fn(no_op);
    run("no-op service", &mut |request| call(&mut bare, request));
    let mut storing = service_fn(stores_one_context);
    run("no-op service, one context stored", &mut |request| call(&mut storing, request));
    let cached = verifier().cache(TokenCache::new(1000)).build().unwrap();
    let mut guarded = RequireTenantScope::new(cached).layer(bare);
    run("full stack, token cached", &mut |request| call(&mut guarded, request));
    let mut guarded = tenancy().layer(bare);
    run("full stack, HS256, uncached", &mut |request| call(&mut guarded, request));
    group.finish();
}

fn adapter(c: &mut Criterion) {
    const EVENTS: u64 = 1000;
    let mut group = c.benchmark_group("adapter");
    group.throughput(Throughput::Elements(EVENTS));
    let sample = paths::event();
    let events = || vec![sample.clone(); 1000];
    group.bench_function("bare stream", |b| b.iter(|| paths::bare(events())));
    group.bench_function("guarded stream", |b| {
        let run = |grant| paths::guarded(grant, events());
        b.iter_batched(grant, run, BatchSize::SmallInput);
    });
    group.bench_function("guarded and framed as SSE", |b| {
        let run = |grant| paths::framed(grant, events());
        b.iter_batched(grant, run, BatchSize::SmallInput);
    });
    group.finish();
}

/// Measures one event to all subscribers of a thread, until each has its frame.
fn fan_out(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _in_runtime = runtime.enter();
    let mut group = c.benchmark_group("fan-out");
    for subscribers in [1_u64, 100, 10_000] {
        group.throughput(Throughput::Elements(subscribers));
        let log = MemoryLog::new();
        let publisher = Publisher::without_proof(log.clone(), grant().routing().clone());
        let mut bodies: Vec<Pin<Box<_>>> = (0..subscribers)
            .map(|_| {
                let grant = grant();
                let events = grant.subscribe(&log, LastEventId::Live).now_or_never().unwrap();
                Box::pin(grant.guard(events.unwrap()).into_sse())
            })
            .collect();
        let data = "x".repeat(256);
        let mut cx = Context::from_waker(Waker::noop());
        group.bench_function(BenchmarkId::new("tower-tenancy", subscribers), |b| {
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

/// Measures the time that one publisher takes for an event. Each publisher has its own core. A second publisher to
/// another thread of the log should not slow down the first.
fn publishers(c: &mut Criterion) {
    let mut group = c.benchmark_group("publishers");
    let log = MemoryLog::new();
    for (name, places) in [
        ("one", &[(&log, "a")] as &[_]),
        ("two, of different logs", &[(&log, "a"), (&MemoryLog::new(), "a")]),
        ("two, of different threads", &[(&log, "a"), (&log, "b")]),
        ("two, of the same thread", &[(&log, "a"), (&log, "a")]),
    ] {
        let data = "x".repeat(256);
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|events| {
                let publish = |(log, thread): (&MemoryLog, &str)| {
                    let routing: Routing = format!("t_alpha/prod/{thread}").parse().unwrap();
                    let publisher = Publisher::without_proof(log.clone(), routing);
                    for _ in 0..events {
                        publisher.publish("message", &data).now_or_never().unwrap().unwrap();
                    }
                };
                let start = Instant::now();
                thread::scope(|scope| {
                    for place in places {
                        scope.spawn(|| publish(*place));
                    }
                });
                start.elapsed()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, guards, adapter, fan_out, publishers);
criterion_main!(benches);
