//! Several issuers: each has bounds, and a replaced verifier is freed.

use super::support::{NOW, Probe, SECRET, builder, good_claims, hs256, with};
use crate::{
    auth::{
        AuthRequest, Authenticator as _, Verdict,
        jwt::{Algorithm, JwtConfigError, JwtKey, JwtVerifier, JwtVerifierBuilder, TrustedIssuers},
    },
    testing::ManualClock,
};
use serde_json::{Value, json};

#[test]
fn trusted_issuers_refuse_a_verifier_that_names_no_tenants() {
    let issuers = TrustedIssuers::new();
    let build = |builder: JwtVerifierBuilder| builder.build().unwrap();
    let named = |builder: JwtVerifierBuilder| issuers.insert(build(builder));
    assert!(matches!(named(builder()), Err(JwtConfigError::NoTenants)));
    assert!(matches!(named(builder().default_tenants(["t_a"])), Err(JwtConfigError::NoTenants)));
    assert!(matches!(named(builder().envs(["prod"])), Err(JwtConfigError::NoTenants)));
    named(builder().tenants(["t_a"])).unwrap();
    named(builder().any_tenant()).unwrap();

    let nameless = || JwtVerifier::builder().key(JwtKey::hmac(Algorithm::HS256, SECRET).unwrap());
    let nameless = || nameless().audience("chat").clock(ManualClock::at(NOW).shared());
    let fallback = |builder: JwtVerifierBuilder| issuers.set_fallback(build(builder));
    assert!(matches!(fallback(nameless()), Err(JwtConfigError::NoTenants)));
    let with_issuer = builder().any_tenant();
    assert!(matches!(fallback(with_issuer), Err(JwtConfigError::FallbackIssuer)));
    fallback(nameless().tenants(["t_a"])).unwrap();

    let code = |claims: &Value| {
        let request = http::Request::builder();
        let request = request.header("authorization", format!("Bearer {}", hs256(claims)));
        match issuers.authenticate(&AuthRequest::of(&request.body(()).unwrap())) {
            Verdict::Ready(verdict) => verdict.map(drop).map_err(|refused| refused.code()),
            Verdict::Later(_) => panic!("there is nothing to wait for"),
        }
    };
    assert_eq!(code(&good_claims()), Ok(()));
    assert_eq!(code(&with("iss", Value::Null)), Ok(()), "the fallback verifies it");
    let mut foreign = with("iss", Value::Null);
    foreign["tenant_id"] = json!("t_b");
    assert_eq!(code(&foreign), Err("tenant.mismatch"), "the fallback has bounds, too");
    // The fallback has the right key, but it does not verify tokens that name an issuer.
    assert_eq!(code(&with("iss", json!("https://stranger.example"))), Err("auth.invalid"));
    assert!(issuers.remove("https://id.example"));
    assert_eq!(
        code(&good_claims()),
        Err("auth.invalid"),
        "the fallback does not verify tokens of a removed issuer"
    );
}

#[test]
fn a_replaced_verifier_is_freed_after_the_list_is_unlocked() {
    let issuers = TrustedIssuers::new();
    let (was_free, drops) = std::sync::mpsc::channel();
    let verifier = |issuer: Option<&str>| {
        let list = issuers.clone();
        let probe = Probe { is_free: move || list.is_free(), was_free: was_free.clone() };
        let mut builder = JwtVerifier::builder()
            .key(JwtKey::hmac(Algorithm::HS256, SECRET).unwrap())
            .any_tenant()
            .clock(std::sync::Arc::new(probe));
        if let Some(issuer) = issuer {
            builder = builder.issuer(issuer);
        }
        builder.build().unwrap()
    };
    issuers.insert(verifier(Some("a"))).unwrap();
    issuers.set_fallback(verifier(None)).unwrap();
    assert!(drops.try_recv().is_err(), "both verifiers are in the list");
    issuers.insert(verifier(Some("a"))).unwrap();
    assert_eq!(drops.try_recv(), Ok(true));
    issuers.set_fallback(verifier(None)).unwrap();
    assert_eq!(drops.try_recv(), Ok(true));
    issuers.remove("a");
    assert_eq!(drops.try_recv(), Ok(true));
}
