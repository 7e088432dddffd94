//! Helpers for the tests of tokens: keys, good claims, and a verifier that accepts them.

#[path = "../../../../tests/minter/mod.rs"]
mod minter;

use crate::{
    auth::{
        AuthContext,
        jwt::{Algorithm, Backend, JwtKey, JwtVerifier, JwtVerifierBuilder, ready_key},
    },
    clock::from_unix,
    testing::ManualClock,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::EncodingKey;
use minter::Minter;
use serde_json::{Value, json};
use std::time::Duration;

pub(super) const SECRET: &[u8] = b"a secret of more than thirty-two bytes, for tests only";

pub(super) const NOW: u64 = 1_800_000_000;

pub(super) fn backends() -> Vec<Backend> {
    vec![
        #[cfg(feature = "aws-lc-rs")]
        Backend::aws_lc_rs(),
        #[cfg(feature = "rust-crypto")]
        Backend::rust_crypto(),
    ]
}

pub(super) fn pem(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/keys/{name}.pem", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).unwrap()
}

pub(super) fn public(name: &str) -> JwtKey {
    JwtKey::public_pem(pem(name)).unwrap()
}

pub(super) fn der(name: &str) -> Vec<u8> {
    spki::Document::from_pem(std::str::from_utf8(&pem(name)).unwrap())
        .unwrap()
        .1
        .as_bytes()
        .to_vec()
}

pub(super) fn private(algorithm: Algorithm) -> EncodingKey {
    match algorithm {
        Algorithm::ES256 => EncodingKey::from_ec_pem(&pem("p256")).unwrap(),
        Algorithm::ES384 => EncodingKey::from_ec_pem(&pem("p384")).unwrap(),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(&pem("ed25519")).unwrap(),
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => EncodingKey::from_secret(SECRET),
        _ => EncodingKey::from_rsa_pem(&pem("rsa")).unwrap(),
    }
}

pub(super) fn jwks() -> Value {
    // The keys of RFC 8037 appendix A.2 and RFC 7517 appendix A.1, and two keys that cannot be used.
    json!({"keys": [
        {"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        {"kty": "EC", "crv": "P-256", "kid": "ec", "use": "sig",
         "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"},
        {"kty": "EC", "crv": "P-256", "kid": "enc", "use": "enc",
         "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"},
        {"kty": "unheard-of", "kid": "x"},
    ]})
}

/// The JWK of an RSA key. Each `i` makes another key.
pub(super) fn some_rsa(bits: usize, i: u8) -> Value {
    let mut n = vec![0xff; bits / 8];
    n[1] = i;
    json!({"kty": "RSA", "n": URL_SAFE_NO_PAD.encode(n), "e": "AQAB"})
}

pub(super) fn good_claims() -> Value {
    json!({
        "iss": "https://id.example", "aud": "chat", "sub": "auth0|ada", "exp": NOW + 600,
        "tenant_id": "t_a", "env": "prod", "roles": ["ops"],
    })
}

/// The good claims, but with this value for one claim. `null` removes the claim.
pub(super) fn with(name: &str, value: Value) -> Value {
    let mut claims = good_claims();
    let members = claims.as_object_mut().unwrap();
    if value.is_null() {
        members.remove(name)
    } else {
        members.insert(name.into(), value)
    };
    claims
}

/// The claims that every token needs, and these members, including those that are `null`.
pub(super) fn extended(own: &Value) -> Value {
    let mut claims = json!({
        "iss": "https://id.example", "aud": "chat", "sub": "auth0|ada", "exp": NOW + 600,
    });
    claims.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
    claims
}

pub(super) fn minter(algorithm: Algorithm, key: EncodingKey) -> Minter {
    Minter::new(backends()[0].provider(), algorithm.in_jsonwebtoken(), key)
}

/// A token with this header and these claims. They need not be JSON.
pub(super) fn sign_text(header: &str, claims: &str, algorithm: Algorithm) -> String {
    minter(algorithm, private(algorithm)).sign(header, claims)
}

pub(super) fn sign(header: &Value, claims: &Value, algorithm: Algorithm) -> String {
    minter(algorithm, private(algorithm)).sign(header, claims)
}

pub(super) fn hs256(claims: &Value) -> String {
    sign(&json!({"alg": "HS256"}), claims, Algorithm::HS256)
}

/// A token with a made-up signature of this many bytes.
pub(super) fn garbage(header: &Value, signature: usize) -> String {
    let [header, claims] =
        [header, &good_claims()].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode(vec![1; signature]))
}

pub(super) fn builder() -> JwtVerifierBuilder {
    JwtVerifier::builder()
        .key(JwtKey::hmac(Algorithm::HS256, SECRET).unwrap())
        .issuer("https://id.example")
        .audience("chat")
        .clock(ManualClock::at(NOW).shared())
}

pub(super) fn verify(
    builder: &JwtVerifierBuilder,
    token: &str,
) -> Result<AuthContext, &'static str> {
    let mut verdicts = backends().into_iter().map(|backend| {
        let verifier = builder.clone().backend(backend).build().unwrap();
        verifier.verify(token).map_err(|rejection| rejection.code())
    });
    let first = verdicts.next().unwrap();
    for other in verdicts {
        assert_eq!(first.as_ref().err(), other.as_ref().err(), "both backends must agree");
    }
    first
}

pub(super) fn verify_claims(claims: &Value) -> Result<AuthContext, &'static str> {
    verify(&builder(), &sign(&json!({"alg": "HS256"}), claims, Algorithm::HS256))
}

/// How many keys are tried while `f` runs, and its result.
pub(super) fn tries<T>(f: impl FnOnce() -> T) -> (usize, T) {
    let before = ready_key::TRIES.get();
    let result = f();
    (ready_key::TRIES.get() - before, result)
}

/// A clock that reports, when it is dropped, whether the lock was free.
pub(super) struct Probe<F: Fn() -> bool + Send + Sync> {
    pub(super) is_free: F,
    pub(super) was_free: std::sync::mpsc::Sender<bool>,
}

impl<F: Fn() -> bool + Send + Sync> std::fmt::Debug for Probe<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Probe")
    }
}

impl<F: Fn() -> bool + Send + Sync> crate::clock::Clock for Probe<F> {
    fn now(&self) -> std::time::SystemTime {
        from_unix(NOW)
    }

    fn sleep(&self, _: Duration) -> crate::clock::Sleep {
        Box::pin(std::future::pending())
    }
}

impl<F: Fn() -> bool + Send + Sync> Drop for Probe<F> {
    fn drop(&mut self) {
        let _ = self.was_free.send((self.is_free)());
    }
}
