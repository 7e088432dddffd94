//! Purposes: a token for another purpose is refused.

use super::support::{NOW, SECRET, builder, good_claims, hs256, sign, verify, with};
use crate::{
    auth::{
        AuthRequest, Authenticator as _, Verdict,
        jwt::{Algorithm, JwtKey, JwtVerifier, JwtVerifierBuilder, TrustedIssuers},
    },
    testing::ManualClock,
};
use serde_json::{Value, json};
use std::{error::Error as _, time::Duration};

#[test]
fn a_token_with_an_unconfigured_audience_is_refused_but_not_with_an_unconfigured_issuer() {
    let key = JwtKey::hmac(Algorithm::HS256, SECRET).unwrap();
    let open = JwtVerifier::builder().key(key).clock(ManualClock::at(NOW).shared());
    let token = |claims: &Value| sign(&json!({"alg": "HS256"}), claims, Algorithm::HS256);
    assert_eq!(verify(&open, &token(&good_claims())).err(), Some("auth.invalid"));
    assert!(verify(&open, &token(&with("aud", Value::Null))).is_ok());
}

#[test]
fn a_token_that_is_bound_to_a_key_is_refused_unless_the_application_checks_the_key() {
    #[cfg(feature = "token-cache")]
    let cache = crate::auth::jwt::TokenCache::new(100);
    let build = |builder: JwtVerifierBuilder| {
        #[cfg(feature = "token-cache")]
        let builder = builder.cache(cache.clone());
        builder.build().unwrap()
    };
    let issuers = TrustedIssuers::new();
    let (plain, checked) = (build(builder()), build(builder().accept_key_bound_tokens()));
    issuers.insert(build(builder().any_tenant())).unwrap();
    for cnf in [
        json!({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}),
        json!({"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}),
        json!({"jwk": {"kty": "EC"}}),
        json!({"kid": "a"}),
        json!({"unheard of": 1}),
        json!({}),
        json!([]),
        json!("x"),
        json!(0),
        json!(false),
    ] {
        let claims = with("cnf", cnf.clone());
        let token = hs256(&claims);
        let request = http::Request::builder();
        let request = request.header("authorization", format!("Bearer {token}"));
        let request = request.body(()).unwrap();
        // The second time, the token is in the cache, because another verifier with the same cache accepted
        // it.
        for _ in 0..2 {
            assert!(checked.verify(&token).is_ok(), "{cnf}");
            for refused in [
                plain.verify(&token),
                match plain.authenticate(&AuthRequest::of(&request)) {
                    Verdict::Ready(verdict) => verdict,
                    Verdict::Later(_) => panic!("there is nothing to wait for"),
                },
                match issuers.authenticate(&AuthRequest::of(&request)) {
                    Verdict::Ready(verdict) => verdict,
                    Verdict::Later(_) => panic!("there is nothing to wait for"),
                },
            ] {
                let refused = refused.unwrap_err();
                assert_eq!((refused.code(), refused.status().as_u16()), ("auth.invalid", 401));
                let detail = refused.detail();
                assert!(detail.contains("Send a token that is not bound to a key"), "{detail}");
                let why = refused.source().unwrap().to_string();
                assert!(why.contains("accept_key_bound_tokens"), "{why}");
            }
        }
        // All other rules still apply.
        let mut other = claims;
        other["aud"] = json!("other");
        assert!(checked.verify(&hs256(&other)).is_err());
    }
    let mut null = good_claims();
    null["cnf"] = Value::Null;
    assert!(plain.verify(&hs256(&null)).is_ok());
}

#[test]
fn a_token_with_a_long_lifetime_another_typ_or_a_missing_claim_is_refused() {
    let plain = |claims: &Value| sign(&json!({"alg": "HS256"}), claims, Algorithm::HS256);
    let hour = || builder().max_lifetime(Duration::from_secs(3600));
    for (issued, verdict) in [
        (json!(NOW - 3000), Ok(())),
        (json!(NOW - 3001), Err("auth.invalid")),
        (Value::Null, Err("auth.invalid")),
    ] {
        let token = plain(&with("iat", issued.clone()));
        assert_eq!(verify(&hour(), &token).map(drop), verdict, "{issued}");
        let again = hour().max_lifetime(Duration::from_secs(86_400));
        assert_eq!(verify(&again, &token).map(drop), verdict, "{issued}");
    }
    // This token expires before it was issued, so its lifetime is unknown.
    let mut backwards = with("iat", json!(NOW + 1));
    backwards["exp"] = json!(NOW);
    assert!(verify(&builder(), &plain(&backwards)).is_ok());
    assert_eq!(verify(&hour(), &plain(&backwards)).err(), Some("auth.invalid"));

    let mut claims = with("iat", json!(NOW));
    claims["client_id"] = json!("app");
    claims["jti"] = json!("1");
    let at = |typ: &str, claims: &Value| {
        sign(&json!({"alg": "HS256", "typ": typ}), claims, Algorithm::HS256)
    };
    let strict = || builder().require_at_jwt();
    assert!(verify(&strict(), &at("at+jwt", &claims)).unwrap().is_access_token());
    assert!(verify(&strict(), &at("application/AT+JWT", &claims)).is_ok());
    assert_eq!(verify(&strict(), &at("JWT", &claims)).err(), Some("auth.invalid"));
    assert_eq!(verify(&strict(), &plain(&claims)).err(), Some("auth.invalid"));
    for name in ["iat", "client_id", "jti"] {
        let mut lacking = claims.clone();
        lacking.as_object_mut().unwrap().remove(name);
        let token = at("at+jwt", &lacking);
        assert_eq!(verify(&strict(), &token).err(), Some("auth.invalid"), "{name}");
        // A route that requires an access token gets the same verdict.
        assert!(!verify(&builder(), &token).unwrap().is_access_token(), "{name}");
    }
    assert!(!verify(&builder(), &at("JWT", &claims)).unwrap().is_access_token());

    let access = || builder().require_claim("/token_use", "access");
    assert!(verify(&access(), &plain(&with("token_use", json!("access")))).is_ok());
    for other in [json!("id"), json!(["access"]), Value::Null] {
        let token = plain(&with("token_use", other));
        assert_eq!(verify(&access(), &token).err(), Some("auth.invalid"));
    }
    assert!(
        builder().require_claim("token_use", "access").build().is_err(),
        "the text is not a JSON pointer"
    );
}
