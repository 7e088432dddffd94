//! Measures how long it takes to verify a token without a cache, with a cache that does not have the token, and with
//! a cache that has it. The baseline is `jsonwebtoken::decode`, which checks less.
//!
//! ```sh
//! cargo bench -p tower-tenancy-benches --bench tokens
//! BACKEND=rust-crypto cargo bench -p tower-tenancy-benches --bench tokens
//! ```
//!
//! A run measures one backend, because `decode` uses one backend for the whole process.

#![allow(clippy::unwrap_used, reason = "a bench")]

#[path = "../tests/minter/mod.rs"]
mod minter;
#[path = "tokens/variant.rs"]
mod variant;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use jsonwebtoken::crypto;
use std::hint::black_box;
use tower_tenancy::auth::{Backend, TokenCache};
use variant::{eddsa, es256, hs256, rs256};

fn tokens(criterion: &mut Criterion) {
    let (name, backend, provider) = match std::env::var("BACKEND").as_deref() {
        Ok("rust-crypto") => {
            ("rust-crypto", Backend::rust_crypto(), &crypto::rust_crypto::DEFAULT_PROVIDER)
        }
        _ => ("aws-lc-rs", Backend::aws_lc_rs(), &crypto::aws_lc::DEFAULT_PROVIDER),
    };
    assert!(provider.install_default().is_ok(), "only one provider for each process");
    for variant in [hs256(), rs256(), es256(), eddsa()] {
        let token = &variant.token;
        let mut group = criterion.benchmark_group(format!("{:?} by {name}", variant.algorithm));
        group.bench_function("jsonwebtoken::decode", |bencher| bencher.iter(|| variant.decode()));
        group.bench_function("signature alone", |bencher| {
            bencher.iter(|| variant.signature_alone(provider));
        });
        let plain = variant.verifier(backend).build().unwrap();
        group.bench_function("no cache", |bencher| {
            bencher.iter(|| plain.verify(black_box(token)).unwrap());
        });
        let cache = TokenCache::new(1000);
        let cached = variant.verifier(backend).cache(cache.clone()).build().unwrap();
        group.bench_function("miss", |bencher| {
            bencher.iter_batched(
                || cache.clear(),
                |()| cached.verify(black_box(token)).unwrap(),
                BatchSize::PerIteration,
            );
        });
        cached.verify(token).unwrap();
        group.bench_function("hit", |bencher| {
            bencher.iter(|| cached.verify(black_box(token)).unwrap());
        });
        group.finish();
    }
}

criterion_group!(benches, tokens);
criterion_main!(benches);
