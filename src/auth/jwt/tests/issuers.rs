//! Several issuers: each is bound, and a former one is freed.

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
fn a_verifier_that_names_no_tenants_is_refused_beside_others() {
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
    assert_eq!(code(&with("iss", Value::Null)), Ok(()), "the fallback's");
    let mut foreign = with("iss", Value::Null);
    foreign["tenant_id"] = json!("t_b");
    assert_eq!(code(&foreign), Err("tenant.mismatch"), "the fallback is bound, too");
    // The fallback has the key, but a token that names an issuer is only for that issuer.
    assert_eq!(code(&with("iss", json!("https://stranger.example"))), Err("auth.invalid"));
    assert!(issuers.remove("https://id.example"));
    assert_eq!(code(&good_claims()), Err("auth.invalid"), "a removed issuer is not the fallback");
}

#[test]
fn a_former_verifier_is_freed_when_the_list_is_not_locked() {
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
    assert!(drops.try_recv().is_err(), "both are held");
    issuers.insert(verifier(Some("a"))).unwrap();
    assert_eq!(drops.try_recv(), Ok(true));
    issuers.set_fallback(verifier(None)).unwrap();
    assert_eq!(drops.try_recv(), Ok(true));
    issuers.remove("a");
    assert_eq!(drops.try_recv(), Ok(true));
}
