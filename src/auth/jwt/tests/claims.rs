//! Claims: which ones pass, which ones cause a refusal, and what the log says.

use super::support::{NOW, SECRET, builder, good_claims, hs256, verify, verify_claims, with};
use crate::{
    auth::jwt::{Algorithm, ClaimNames, JwtKey, JwtVerifier, token_error::TokenError},
    clock::from_unix,
    rejection::Rejection,
    testing::ManualClock,
};
use serde_json::{Value, json};
use std::error::Error as _;

#[test]
fn a_good_token_proves_its_subject_tenant_env_and_roles_until_it_expires() {
    let auth = verify_claims(&good_claims()).unwrap();
    assert_eq!(auth.subject().as_str(), "auth0|ada");
    assert_eq!(auth.tenants().collect::<Vec<_>>(), ["t_a"]);
    assert_eq!(auth.envs().collect::<Vec<_>>(), ["prod"]);
    assert!(auth.has_role("ops") && !auth.has_role("dev"));
    assert_eq!(auth.expires_at(), from_unix(NOW + 600));
    assert_eq!(auth.valid_until(), from_unix(NOW + 660));
}

#[test]
fn valid_variants_of_claims_pass() {
    for (name, value) in [
        ("aud", json!(["other", "chat"])),
        ("exp", json!(NOW as f64 + 0.5)),
        ("exp", json!(253_402_300_799_u64)),
        ("exp", json!(253_402_300_798.5)),
        ("exp", json!(NOW - 59)),
        ("nbf", json!(NOW + 60)),
        ("iat", json!(NOW + 60)),
        ("tenant_id", Value::Null),
        ("env", Value::Null),
        ("roles", Value::Null),
        ("extra", json!({"a": [1, {"b": null}]})),
    ] {
        assert!(verify_claims(&with(name, value.clone())).is_ok(), "{name}: {value}");
    }
    let many = json!({
        "iss": "https://id.example", "aud": "chat", "sub": "x", "exp": NOW + 1,
        "tenant_id": "t_a", "tenant_ids": ["t_b", "t_c"], "envs": ["dev", "prod"],
        "actor_type": "agent",
    });
    let auth = verify_claims(&many).unwrap();
    assert_eq!(auth.tenants().collect::<Vec<_>>(), ["t_b", "t_c", "t_a"]);
    assert_eq!(auth.actor_type().unwrap().as_str(), "agent");
}

#[test]
fn claims_that_are_absent_wrong_or_of_the_wrong_type_are_refused() {
    for (name, value) in [
        ("iss", Value::Null),
        ("iss", json!("https://id.example/")),
        ("iss", json!(5)),
        ("iss", json!(["https://id.example"])),
        ("aud", Value::Null),
        ("aud", json!("CHAT")),
        ("aud", json!([])),
        ("aud", json!({})),
        ("aud", json!(["chat", 5])),
        ("aud", json!([["chat"]])),
        ("sub", Value::Null),
        ("sub", json!("")),
        ("sub", json!(7)),
        ("sub", json!("a\nb")),
        ("exp", Value::Null),
        ("exp", json!("1900000000")),
        ("exp", json!(-1)),
        ("exp", json!([NOW + 600])),
        ("nbf", json!(NOW + 61)),
        ("nbf", json!("0")),
        ("iat", json!(NOW + 86_400)),
        ("iat", json!(true)),
        ("tenant_id", json!({"t_a": {}})),
        ("tenant_id", json!(true)),
        ("tenant_id", json!(1.0)),
        ("tenant_id", json!(1e300)),
        ("tenant_ids", json!(["t_a", {}])),
        ("tenant_ids", json!(["t_a", 1.5])),
        ("tenant_ids", json!([["t_a"]])),
        ("env", json!(1)),
        ("env", json!(false)),
        ("envs", json!(["prod", 1])),
        ("envs", json!({"prod": true})),
    ] {
        let verdict = verify_claims(&with(name, value.clone())).err();
        assert_eq!(verdict, Some("auth.invalid"), "{name}: {value}");
    }
}

#[test]
fn a_malformed_claim_that_no_rule_needs_causes_no_refusal_and_grants_nothing() {
    let many = json!(vec!["admin"; 513]);
    for value in [
        json!({"admin": true}),
        json!(5),
        json!(true),
        json!([1]),
        json!(["admin", {}]),
        json!([["admin"]]),
        many,
    ] {
        for claim in ["roles", "scope", "actor_type", "jti", "client_id", "typ", "azp", "email"] {
            let auth = verify_claims(&with(claim, value.clone())).unwrap();
            let none = |has: usize| assert_eq!(has, 0, "{claim}: {value}");
            match claim {
                "roles" => none(auth.roles().count()),
                "scope" => none(auth.scopes().count()),
                _ => assert!(auth.has_role("ops")),
            }
            assert_eq!(auth.actor_type(), None);
            assert!(!auth.is_access_token());
        }
        // The same applies to a value above the claim.
        let below = ClaimNames::default().roles("/x/a").scopes("/x/b").actor_type("/x/c");
        let auth = verify(&builder().claims(below), &hs256(&with("x", value.clone()))).unwrap();
        assert_eq!(auth.roles().chain(auth.scopes()).count(), 0, "{value}");
    }
    assert_eq!(verify_claims(&with("actor_type", json!("a b"))).unwrap().actor_type(), None);
    // This verifier requires no issuer.
    let open = JwtVerifier::builder().key(JwtKey::hmac(Algorithm::HS256, SECRET).unwrap());
    let open = open.audience("chat").clock(ManualClock::at(NOW).shared());
    for iss in [json!(5), json!(["https://id.example"]), json!({})] {
        let claims = with("iss", iss);
        assert_eq!(verify(&open, &hs256(&claims)).unwrap().issuer(), None);
        assert_eq!(verify(&builder(), &hs256(&claims)).err(), Some("auth.invalid"));
    }
    // A verifier without an audience refuses every token with an audience.
    let claims = with("aud", json!({"billing": true}));
    let open = JwtVerifier::builder().key(JwtKey::hmac(Algorithm::HS256, SECRET).unwrap());
    let open = open.clock(ManualClock::at(NOW).shared());
    assert_eq!(verify(&open, &hs256(&claims)).err(), Some("auth.invalid"));
}

#[test]
fn a_malformed_claim_that_a_rule_needs_is_refused_and_the_log_has_its_type_but_not_its_value() {
    let verifier = builder().require_claim("/token_use", "access").build().unwrap();
    let good = with("token_use", json!("access"));
    assert!(verifier.check(&hs256(&good)).is_ok());
    for (claim, value, found) in [
        ("sub", json!({"secret": 1}), "an object"),
        ("iss", json!(["secret"]), "an array"),
        ("aud", json!(["chat", {"secret": 1}]), "an array with an object in it"),
        ("aud", json!([["secret"]]), "an array with an array in it"),
        ("token_use", json!(777), "a number"),
        ("token_use", json!(["secret"]), "an array"),
        ("exp", json!("secret"), "a string"),
        ("nbf", json!(true), "a boolean"),
        ("iat", json!({"secret": 1}), "an object"),
        ("tenant_id", json!({"secret": 1}), "an object"),
        ("tenant_ids", json!(["t_a", true]), "an array with a boolean in it"),
        ("env", json!(777), "a number"),
        ("envs", json!([777]), "an array with a number in it"),
    ] {
        let mut claims = good.clone();
        claims[claim] = value;
        let refused = verifier.check(&hs256(&claims)).unwrap_err();
        let expected = TokenError::BadClaim { claim: format!("/{claim}"), found };
        assert_eq!(refused, expected);
        let told = refused.to_string();
        assert!(told.contains(claim) && told.contains(found), "{told}");
        assert!(!told.contains("secret") && !told.contains("777"), "{told}");
    }
}

#[test]
fn a_route_that_requires_a_role_refuses_a_malformed_claim_and_the_log_has_the_reason() {
    use crate::middleware::{RequireAuth, RequireClaims};
    use tower::{Layer as _, Service as _, service_fn};

    let refused = |claims: &Value, asks: RequireClaims| {
        let inner = service_fn(|_: http::Request<()>| {
            let body = http_body_util::Full::<bytes::Bytes>::default();
            std::future::ready(Ok::<_, std::convert::Infallible>(http::Response::new(body)))
        });
        let verifier = builder().build().unwrap();
        let mut service = RequireAuth::new(verifier).layer(asks.layer(inner));
        let request = http::Request::builder();
        let request = request.header("authorization", format!("Bearer {}", hs256(claims)));
        let answer = service.call(request.body(()).unwrap());
        let answer = futures_util::FutureExt::now_or_never(answer).unwrap().unwrap();
        answer.extensions().get::<Rejection>().map(|rejection| {
            let source = rejection.source().map(ToString::to_string).unwrap_or_default();
            (rejection.code(), source)
        })
    };
    let roles = || RequireClaims::new().role("ops");
    let scopes = || RequireClaims::new().scope("ops");
    assert_eq!(refused(&good_claims(), roles()), None);
    for (claim, asks) in [("roles", roles()), ("scope", scopes())] {
        let (code, why) = refused(&with(claim, json!({"ops": "s3cret"})), asks.clone()).unwrap();
        assert_eq!(code, "auth.insufficient_scope");
        assert!(why.contains("found an object") && !why.contains("s3cret"), "{why}");
        let (code, why) = refused(&with(claim, json!(["other"])), asks.clone()).unwrap();
        assert_eq!((code, why.as_str()), ("auth.insufficient_scope", ""));
        assert_eq!(refused(&with(claim, json!("ops")), asks), None);
    }
}
