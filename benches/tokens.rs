//! What it costs to verify a token: without a cache, when the cache does not have it, and when it
//! does; next to bare `jsonwebtoken::decode`, which checks less.
//!
//! ```sh
//! cargo bench --all-features --bench tokens
//! BACKEND=rust-crypto cargo bench --all-features --bench tokens
//! ```
//!
//! One backend a run: `decode` has one for the whole process.

#![allow(clippy::unwrap_used, reason = "a bench")]

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use jsonwebtoken::{DecodingKey, EncodingKey, Validation, crypto};
use serde::Deserialize;
use serde_json::json;
use std::{
    hint::black_box,
    time::{SystemTime, UNIX_EPOCH},
};
use tower_tenancy::auth::{Algorithm, Backend, JwtKey, JwtVerifier, TokenCache};

const SECRET: &[u8] = b"a secret of more than thirty-two bytes, for benches";

#[derive(Deserialize)]
#[expect(dead_code, reason = "they are parsed, as an application would have them")]
struct Claims {
    sub: String,
    exp: u64,
    tenant_id: String,
    env: String,
    roles: Vec<String>,
}

macro_rules! pem {
    ($name:literal) => {
        include_bytes!(concat!("../tests/keys/", $name, ".pem"))
    };
}

/// Algorithm, who signs, who verifies with us, who verifies bare.
fn variants() -> Vec<(Algorithm, EncodingKey, JwtKey, DecodingKey)> {
    vec![
        (
            Algorithm::HS256,
            EncodingKey::from_secret(SECRET),
            JwtKey::hmac(Algorithm::HS256, SECRET).unwrap(),
            DecodingKey::from_secret(SECRET),
        ),
        (
            Algorithm::RS256,
            EncodingKey::from_rsa_pem(pem!("rsa")).unwrap(),
            JwtKey::public_pem(pem!("rsa.pub")).unwrap(),
            DecodingKey::from_rsa_pem(pem!("rsa.pub")).unwrap(),
        ),
        (
            Algorithm::ES256,
            EncodingKey::from_ec_pem(pem!("p256")).unwrap(),
            JwtKey::public_pem(pem!("p256.pub")).unwrap(),
            DecodingKey::from_ec_pem(pem!("p256.pub")).unwrap(),
        ),
        (
            Algorithm::EdDSA,
            EncodingKey::from_ed_pem(pem!("ed25519")).unwrap(),
            JwtKey::public_pem(pem!("ed25519.pub")).unwrap(),
            DecodingKey::from_ed_pem(pem!("ed25519.pub")).unwrap(),
        ),
    ]
}

fn token(algorithm: Algorithm, key: &EncodingKey) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({
        "iss": "https://id.example.com", "aud": "chat", "sub": "auth0|507f1f77bcf86cd799439020",
        "iat": now, "exp": now + 36_000, "tenant_id": "t_alpha", "env": "prod",
        "roles": ["editor", "ops"], "scope": "chat:read chat:write",
    });
    let encode = |json: serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let header = json!({ "alg": format!("{algorithm:?}"), "typ": "JWT" });
    let message = format!("{}.{}", encode(header), encode(claims));
    let signer = (crypto::aws_lc::DEFAULT_PROVIDER.signer_factory)(&algorithm, key).unwrap();
    let signature = signer.try_sign(message.as_bytes()).unwrap();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn tokens(criterion: &mut Criterion) {
    let (name, backend, provider) = match std::env::var("BACKEND").as_deref() {
        Ok("rust-crypto") => {
            ("rust-crypto", Backend::rust_crypto(), &crypto::rust_crypto::DEFAULT_PROVIDER)
        }
        _ => ("aws-lc-rs", Backend::aws_lc_rs(), &crypto::aws_lc::DEFAULT_PROVIDER),
    };
    assert!(provider.install_default().is_ok(), "one a process");
    for (algorithm, signs, key, bare) in variants() {
        let token = token(algorithm, &signs);
        let mut group = criterion.benchmark_group(format!("{algorithm:?} by {name}"));
        let build = || {
            let builder = JwtVerifier::builder().key(key.clone()).backend(backend);
            builder.issuer("https://id.example.com").audience("chat")
        };
        let mut validation = Validation::new(algorithm);
        validation.set_issuer(&["https://id.example.com"]);
        validation.set_audience(&["chat"]);
        group.bench_function("jsonwebtoken::decode", |bencher| {
            bencher.iter(|| {
                jsonwebtoken::decode::<Claims>(black_box(&token), &bare, &validation).unwrap()
            });
        });
        // What no verifier can save: the crypto library's own work on the same token.
        let (message, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        group.bench_function("signature alone", |bencher| {
            bencher.iter(|| {
                let verifier = (provider.verifier_factory)(&algorithm, &bare).unwrap();
                verifier.verify(black_box(message.as_bytes()), &signature).unwrap();
            });
        });
        let plain = build().build().unwrap();
        group.bench_function("no cache", |bencher| {
            bencher.iter(|| plain.verify(black_box(&token)).unwrap());
        });
        let cache = TokenCache::new(1000);
        let cached = build().cache(cache.clone()).build().unwrap();
        group.bench_function("miss", |bencher| {
            bencher.iter_batched(
                || cache.clear(),
                |()| cached.verify(black_box(&token)).unwrap(),
                BatchSize::PerIteration,
            );
        });
        cached.verify(&token).unwrap();
        group.bench_function("hit", |bencher| {
            bencher.iter(|| cached.verify(black_box(&token)).unwrap());
        });
        group.finish();
    }
}

criterion_group!(benches, tokens);
criterion_main!(benches);
