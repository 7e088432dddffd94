//! Counts the instructions and allocations of the hot paths, and those of baselines in the same run. The load of
//! the machine does not change these figures.
//!
//! ```sh
//! cargo bench -p tower-tenancy-benches --bench counts
//! ```
//!
//! It needs Valgrind, and in the `PATH` a `gungraun-runner` of the same version as the library.
//! `scripts/test counts` installs both.
//!
//! It counts the second run of each path, because the first run initialises things. Valgrind simulates a
//! processor with AVX2 but without SHA instructions. So an HMAC takes more instructions than on most servers.
//!
//! In each group, the benchmarks are compared with the later ones in the list.

#![allow(clippy::unwrap_used, missing_docs, reason = "a bench")]

#[path = "../tests/minter/mod.rs"]
mod minter;
#[path = "stack/paths.rs"]
mod paths;
#[path = "tokens/variant.rs"]
mod variant;

use bytes::Bytes;
use gungraun::{
    Callgrind, Dhat, DhatMetric, EventKind, LibraryBenchmarkConfig, library_benchmark,
    library_benchmark_group, main,
};
use http::{Request, Response};
use http_body_util::Full;
use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
use paths::{call, grant, no_op, stores_one_context, tenancy, verifier};
use std::{convert::Infallible, hint::black_box};
use tower::{Layer as _, Service, service_fn};
use tower_http::validate_request::ValidateRequestHeaderLayer;
use tower_tenancy::{
    RequireTenantScope, StreamEvent, ThreadGrant,
    auth::{Backend, JwtVerifier, TokenCache},
};
use variant::{Variant, eddsa, es256, hs256, rs256};

/// Never drops the value: the bench must not count the drop.
fn leak<T>(value: T) -> &'static mut T {
    Box::leak(Box::new(value))
}

/// The common type of the services of this bench.
trait Answers: Service<Request<()>, Response = Response<Full<Bytes>>, Error = Infallible> {}

impl<S> Answers for S where
    S: Service<Request<()>, Response = Response<Full<Bytes>>, Error = Infallible>
{
}

/// A service and its request.
struct Ask<S: 'static>(&'static mut S, Request<()>);

impl<S: Answers> Ask<S> {
    fn again(service: S) -> Self {
        let (service, request) = (leak(service), leak(paths::request()));
        call(service, request.clone());
        Self(service, request.clone())
    }

    fn call(self) {
        call(self.0, self.1);
    }
}

fn static_bearer() -> impl Answers {
    let header = paths::request().headers()["authorization"].to_str().unwrap().to_owned();
    #[expect(deprecated, reason = "too weak for an application, but a baseline")]
    let layer = ValidateRequestHeaderLayer::bearer(header.strip_prefix("Bearer ").unwrap());
    layer.layer(service_fn(no_op))
}

fn cached() -> RequireTenantScope {
    RequireTenantScope::new(verifier().cache(TokenCache::new(1000)).build().unwrap())
}

#[library_benchmark]
#[bench::request(Ask::again(service_fn(no_op)))]
fn no_op_service<S: Answers>(ask: Ask<S>) {
    ask.call();
}

#[library_benchmark]
#[bench::request(Ask::again(service_fn(stores_one_context)))]
fn one_context_stored<S: Answers>(ask: Ask<S>) {
    ask.call();
}

#[library_benchmark]
#[bench::request(Ask::again(static_bearer()))]
fn tower_http_static_bearer<S: Answers>(ask: Ask<S>) {
    ask.call();
}

#[library_benchmark]
#[bench::request(Ask::again(cached().layer(service_fn(no_op))))]
fn full_guards_token_cached<S: Answers>(ask: Ask<S>) {
    ask.call();
}

#[library_benchmark]
#[bench::request(Ask::again(tenancy().layer(service_fn(no_op))))]
fn full_guards_hs256_uncached<S: Answers>(ask: Ask<S>) {
    ask.call();
}

library_benchmark_group!(
    name = guards;
    compare_by_id = true;
    benchmarks = full_guards_hs256_uncached, full_guards_token_cached,
        tower_http_static_bearer, one_context_stored, no_op_service
);

/// A token and its verifier.
struct Verify(JwtVerifier, Variant);

impl Verify {
    fn again(verifier: JwtVerifier, variant: Variant) -> &'static Self {
        let verify = leak(Self(verifier, variant));
        verify.call();
        verify
    }

    fn call(&self) {
        black_box(self.0.verify(black_box(&self.1.token)).unwrap());
    }
}

fn decode_again(variant: Variant) -> &'static Variant {
    assert!(DEFAULT_PROVIDER.install_default().is_ok(), "only one provider for each process");
    variant.decode();
    leak(variant)
}

fn check_again(variant: Variant) -> &'static Variant {
    variant.signature_alone(&DEFAULT_PROVIDER);
    leak(variant)
}

fn verify_again(variant: Variant) -> &'static Verify {
    let verifier = variant.verifier(Backend::aws_lc_rs()).build().unwrap();
    Verify::again(verifier, variant)
}

fn look_up_again(variant: Variant) -> &'static Verify {
    let verifier = variant.verifier(Backend::aws_lc_rs()).cache(TokenCache::new(1000));
    Verify::again(verifier.build().unwrap(), variant)
}

#[library_benchmark(setup = decode_again)]
#[bench::hs256(hs256())]
#[bench::rs256(rs256())]
#[bench::es256(es256())]
#[bench::eddsa(eddsa())]
fn jsonwebtoken_decode(variant: &'static Variant) {
    variant.decode();
}

#[library_benchmark(setup = check_again)]
#[bench::hs256(hs256())]
#[bench::rs256(rs256())]
#[bench::es256(es256())]
#[bench::eddsa(eddsa())]
fn signature_alone(variant: &'static Variant) {
    variant.signature_alone(&DEFAULT_PROVIDER);
}

#[library_benchmark(setup = verify_again)]
#[bench::hs256(hs256())]
#[bench::rs256(rs256())]
#[bench::es256(es256())]
#[bench::eddsa(eddsa())]
fn no_cache(verify: &'static Verify) {
    verify.call();
}

#[library_benchmark(setup = look_up_again)]
#[bench::hs256(hs256())]
#[bench::rs256(rs256())]
#[bench::es256(es256())]
#[bench::eddsa(eddsa())]
fn cache_hit(verify: &'static Verify) {
    verify.call();
}

library_benchmark_group!(
    name = tokens;
    compare_by_id = true;
    benchmarks = cache_hit, no_cache, jsonwebtoken_decode, signature_alone
);

fn events() -> Vec<StreamEvent> {
    vec![paths::event(); 1000]
}

fn bare_again() -> Vec<StreamEvent> {
    paths::bare(events());
    events()
}

fn guarded_again() -> (ThreadGrant, Vec<StreamEvent>) {
    paths::guarded(grant(), events());
    (grant(), events())
}

fn framed_again() -> (ThreadGrant, Vec<StreamEvent>) {
    paths::framed(grant(), events());
    (grant(), events())
}

#[library_benchmark]
#[bench::a_thousand_events(bare_again())]
fn bare_stream(events: Vec<StreamEvent>) {
    paths::bare(events);
}

#[library_benchmark]
#[bench::a_thousand_events(guarded_again())]
fn guarded_stream((grant, events): (ThreadGrant, Vec<StreamEvent>)) {
    paths::guarded(grant, events);
}

#[library_benchmark]
#[bench::a_thousand_events(framed_again())]
fn guarded_and_framed_as_sse((grant, events): (ThreadGrant, Vec<StreamEvent>)) {
    paths::framed(grant, events);
}

library_benchmark_group!(
    name = adapter;
    compare_by_id = true;
    benchmarks = guarded_and_framed_as_sse, guarded_stream, bare_stream
);

main!(
    config = LibraryBenchmarkConfig::default()
        .tool(Callgrind::default().format([EventKind::Ir]))
        .tool(Dhat::default().format([DhatMetric::TotalBlocks, DhatMetric::TotalBytes]));
    library_benchmark_groups = guards, tokens, adapter
);
