//! What a token must be to pass, on every backend that is compiled in.
#![allow(clippy::wildcard_enum_match_arm, reason = "tests")]

use super::{
    Algorithm, Backend, ClaimNames, ClaimPlace, JwtConfigError, JwtKey, JwtVerifier,
    JwtVerifierBuilder, TrustedIssuers, material::Material, token_error::TokenError,
};
use crate::{
    auth::{AuthContext, AuthRequest, Authenticator as _, Verdict},
    clock::{from_unix, manual::ManualClock},
    json::Fault,
    rejection::{Rejection, RejectionKind},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::EncodingKey;
use proptest::{collection::vec, prop_assert, prop_assert_eq, proptest};
use serde_json::{Value, json};
use std::{error::Error as _, time::Duration};

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

pub(super) fn private(algorithm: Algorithm) -> EncodingKey {
    match algorithm {
        Algorithm::ES256 => EncodingKey::from_ec_pem(&pem("p256")).unwrap(),
        Algorithm::ES384 => EncodingKey::from_ec_pem(&pem("p384")).unwrap(),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(&pem("ed25519")).unwrap(),
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => EncodingKey::from_secret(SECRET),
        _ => EncodingKey::from_rsa_pem(&pem("rsa")).unwrap(),
    }
}

pub(super) fn sign_text(header: &str, claims: &str, algorithm: Algorithm) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let factory = backends()[0].provider().signer_factory;
    let signature = factory(&algorithm.in_jsonwebtoken(), &private(algorithm))
        .unwrap()
        .try_sign(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.unwrap()))
}

pub(super) fn sign(header: &Value, claims: &Value, algorithm: Algorithm) -> String {
    sign_text(&header.to_string(), &claims.to_string(), algorithm)
}

pub(super) fn good_claims() -> Value {
    json!({
        "iss": "https://id.example", "aud": "chat", "sub": "auth0|ada", "exp": NOW + 600,
        "tenant_id": "t_a", "env": "prod", "roles": ["ops"],
    })
}

/// The good claims with one of them replaced, or removed by `null`.
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
        assert_eq!(first.as_ref().err(), other.as_ref().err(), "backends agree");
    }
    first
}

fn verify_claims(claims: &Value) -> Result<AuthContext, &'static str> {
    verify(&builder(), &sign(&json!({"alg": "HS256"}), claims, Algorithm::HS256))
}

#[test]
fn a_good_token_tells_who_for_whom_and_until_when() {
    let auth = verify_claims(&good_claims()).unwrap();
    assert_eq!(auth.subject().as_str(), "auth0|ada");
    assert_eq!(auth.tenants().collect::<Vec<_>>(), ["t_a"]);
    assert_eq!(auth.envs().collect::<Vec<_>>(), ["prod"]);
    assert!(auth.has_role("ops") && !auth.has_role("dev"));
    assert_eq!(auth.expires_at(), from_unix(NOW + 600));
    assert_eq!(auth.valid_until(), from_unix(NOW + 660));
}

#[test]
fn claims_that_may_vary_pass() {
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

/// The good claims with members of one's own, `null` among them.
fn extended(own: &Value) -> Value {
    let mut claims = json!({
        "iss": "https://id.example", "aud": "chat", "sub": "auth0|ada", "exp": NOW + 600,
    });
    claims.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
    claims
}

#[test]
fn names_are_a_string_or_an_array_at_every_place_and_null_is_absent() {
    let own = |kind: &str| format!("/own/{kind}");
    let named = ClaimNames::default()
        .tenant(own("tenant"))
        .env(own("env"))
        .roles(own("roles"))
        .scopes(own("scope"));
    let many = named.clone().tenants(own("tenant")).envs(own("env"));
    for (value, tenants, texts, scopes) in [
        (json!("a b"), &["a b"][..], &["a b"][..], &["a", "b"][..]),
        (json!(["a b", "c"]), &["a b", "c"], &["a b", "c"], &["a b", "c"]),
        (json!(""), &[""], &[""], &[]),
        (json!([]), &[], &[], &[]),
        (Value::Null, &[], &[], &[]),
        (json!([null]), &[], &[], &[]),
        (json!([null, "a", null]), &["a"], &["a"], &["a"]),
    ] {
        let top = json!({"tenant_id": value, "env": value, "roles": value, "scope": value});
        let plural = json!({"tenant_ids": value, "envs": value, "roles": value, "scope": value});
        let nested =
            json!({"own": {"tenant": value, "env": value, "roles": value, "scope": value}});
        for (names, claims) in [
            (ClaimNames::default(), &top),
            (ClaimNames::default(), &plural),
            (named.clone(), &nested),
        ] {
            let auth = verify(&builder().claims(names), &hs256(&extended(claims))).unwrap();
            assert!(auth.tenants().eq(tenants.iter().copied()), "{claims}");
            assert!(auth.envs().eq(texts.iter().copied()), "{claims}");
            assert!(auth.roles().eq(texts.iter().copied()), "{claims}");
            assert!(auth.scopes().eq(scopes.iter().copied()), "{claims}");
        }
        let auth = verify(&builder().claims(many.clone()), &hs256(&extended(&nested))).unwrap();
        assert_eq!(auth.tenants().count(), 2 * tenants.len(), "{nested}");
    }
    // As their issuer writes them, and only as tenants.
    for (written, tenants) in [
        ("0", vec!["0"]),
        ("42", vec!["42"]),
        ("-7", vec!["-7"]),
        ("18446744073709551616", vec!["18446744073709551616"]),
        ("[1, \"t_b\", 2]", vec!["1", "t_b", "2"]),
    ] {
        for place in ["tenant_id", "tenant_ids"] {
            let claims = extended(&json!({})).to_string();
            let claims = claims.replacen('{', &format!("{{\"{place}\":{written},"), 1);
            let token = sign_text(r#"{"alg":"HS256"}"#, &claims, Algorithm::HS256);
            let auth = verify(&builder(), &token).unwrap();
            assert!(auth.tenants().eq(tenants.iter().copied()), "{claims}");
        }
    }
    for written in ["1.0", "1e3", "-0.5", "1E0"] {
        let claims = extended(&json!({})).to_string();
        let claims = claims.replacen('{', &format!("{{\"tenant_id\":{written},"), 1);
        let token = sign_text(r#"{"alg":"HS256"}"#, &claims, Algorithm::HS256);
        assert_eq!(verify(&builder(), &token).err(), Some("auth.invalid"), "{written}");
    }
}

#[test]
fn an_object_stands_for_its_keys_only_where_that_was_said() {
    let tree = json!({
        "urn:zitadel:iam:org:project:roles": {"admin": {"1": "a.example"}, "ops": {}},
        "organization": {"acme": {"id": "1"}, "left": null, "never": false, "beta": {}},
        "one": "acme", "several": ["acme", "beta"], "empty": {}, "no": true, "nested": [{"a": 1}],
    });
    let token = hs256(&extended(&tree));
    let keys = ClaimPlace::keys_of;
    let names = ClaimNames::default()
        .tenants(keys("/organization"))
        .envs(keys("/organization/acme"))
        .roles(keys("/urn:zitadel:iam:org:project:roles"))
        .scopes(keys("/urn:zitadel:iam:org:project:roles"));
    let auth = verify(&builder().claims(names), &token).unwrap();
    assert_eq!(auth.tenants().collect::<Vec<_>>(), ["acme", "beta"], "null and false say no");
    assert_eq!(auth.envs().collect::<Vec<_>>(), ["id"]);
    assert_eq!(auth.roles().collect::<Vec<_>>(), ["admin", "ops"]);
    assert_eq!(auth.scopes().collect::<Vec<_>>(), ["admin", "ops"]);
    let told = |place: ClaimPlace| {
        let by_tenant = builder().claims(ClaimNames::default().tenant(place));
        let auth = verify(&by_tenant.default_tenants(["t_default"]), &token)?;
        Ok(auth.tenants().map(str::to_owned).collect::<Vec<_>>().join(" "))
    };
    for (place, tenants) in [
        (keys("/one"), Ok("acme".to_owned())),
        (keys("/several"), Ok("acme beta".into())),
        // It is there, and says none: no default is in its place.
        (keys("/empty"), Ok(String::new())),
        (keys("/nowhere"), Ok("t_default".into())),
        (keys("/organization/left"), Ok("t_default".into())),
        (keys("/no"), Err("auth.invalid")),
        (keys("/nested"), Err("auth.invalid")),
        (ClaimPlace::at("/organization"), Err("auth.invalid")),
        (ClaimPlace::at("/empty"), Err("auth.invalid")),
    ] {
        assert_eq!(told(place.clone()), tenants, "{place:?}");
    }
    let many: serde_json::Map<_, _> = (0..513).map(|n| (format!("{n}"), json!({}))).collect();
    let many = hs256(&extended(&json!({"organization": many})));
    let tenants = builder().claims(ClaimNames::default().tenants(keys("/organization")));
    assert_eq!(verify(&tenants, &many).err(), Some("auth.invalid"));
}

#[test]
fn a_claim_that_no_rule_needs_cannot_end_a_token_and_grants_nothing() {
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
        // Nor one above it.
        let below = ClaimNames::default().roles("/x/a").scopes("/x/b").actor_type("/x/c");
        let auth = verify(&builder().claims(below), &hs256(&with("x", value.clone()))).unwrap();
        assert_eq!(auth.roles().chain(auth.scopes()).count(), 0, "{value}");
    }
    assert_eq!(verify_claims(&with("actor_type", json!("a b"))).unwrap().actor_type(), None);
    // An issuer that nobody asked for.
    let open = JwtVerifier::builder().key(JwtKey::hmac(Algorithm::HS256, SECRET).unwrap());
    let open = open.audience("chat").clock(ManualClock::at(NOW).shared());
    for iss in [json!(5), json!(["https://id.example"]), json!({})] {
        let claims = with("iss", iss);
        assert_eq!(verify(&open, &hs256(&claims)).unwrap().issuer(), None);
        assert_eq!(verify(&builder(), &hs256(&claims)).err(), Some("auth.invalid"));
    }
    // An audience is always asked for: nobody is whom a token means that names somebody.
    let claims = with("aud", json!({"billing": true}));
    let open = JwtVerifier::builder().key(JwtKey::hmac(Algorithm::HS256, SECRET).unwrap());
    let open = open.clock(ManualClock::at(NOW).shared());
    assert_eq!(verify(&open, &hs256(&claims)).err(), Some("auth.invalid"));
}

#[test]
fn what_a_rule_needs_is_refused_and_the_log_says_what_was_found_and_no_value() {
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
fn a_route_that_asks_for_a_role_that_cannot_be_read_refuses_and_the_log_says_why() {
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

#[test]
fn a_token_that_is_bound_to_a_key_is_no_plain_bearer_token() {
    #[cfg(feature = "token-cache")]
    let cache = super::TokenCache::new(100);
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
        // Again, and also once one that shares the cache has taken it.
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
        // All else still holds.
        let mut other = claims;
        other["aud"] = json!("other");
        assert!(checked.verify(&hs256(&other)).is_err());
    }
    let mut null = good_claims();
    null["cnf"] = Value::Null;
    assert!(plain.verify(&hs256(&null)).is_ok());
}

#[test]
fn a_date_is_one_of_the_years_1970_to_9999() {
    let verifier = builder().build().unwrap();
    let token = |name: &str, literal: &str| {
        let claims = with(name, Value::Null).to_string();
        let claims = claims.replacen('{', &format!("{{\"{name}\":{literal},"), 1);
        sign_text(r#"{"alg":"HS256"}"#, &claims, Algorithm::HS256)
    };
    for name in ["exp", "nbf", "iat"] {
        for none in [
            "253402300800",
            "253402300799.5",
            "2.534023008e11",
            "18446744073709551615",
            "18446744073709551616",
            "99999999999999999999999999999999999999",
            "1e18",
            "1e300",
            "1.7976931348623157e308",
            "-1",
            "-0.5",
            "-1e-9",
            "-253402300799",
        ] {
            let refused = verifier.check(&token(name, none)).unwrap_err();
            let TokenError::BadClaim { claim, found } = refused else {
                panic!("{name}: {none}: {refused}")
            };
            assert_eq!(claim, format!("/{name}"));
            assert!(found.contains("1970 to 9999"), "{found}");
            assert_eq!(verify(&builder(), &token(name, none)).err(), Some("auth.invalid"));
        }
        for other in ["\"1800000600\"", "\"inf\"", "\"NaN\"", "[1]", "{}", "true", "\"\""] {
            assert_eq!(verify(&builder(), &token(name, other)).err(), Some("auth.invalid"));
        }
    }
    // As it is, whatever its spelling; a fraction is cut off.
    for literal in ["1800000600", "1800000600.0", "1.8000006e9", "1800000600.999", "18000006E2"] {
        let auth = verify(&builder(), &token("exp", literal)).unwrap();
        assert_eq!(auth.expires_at(), from_unix(NOW + 600), "{literal}");
    }
    for begun in ["0", "-0", "-0.0", "0.25", "1e-400"] {
        let auth = verify(&builder(), &token("iat", begun)).unwrap();
        assert_eq!(auth.issued_at(), Some(from_unix(0)), "{begun}");
    }
    let last = verify(&builder(), &token("exp", "253402300799")).unwrap();
    assert!(last.valid_until() > last.expires_at());
}

#[test]
fn expiry_is_told_apart_only_for_an_otherwise_good_token() {
    assert_eq!(verify_claims(&with("exp", json!(NOW - 60))).err(), Some("auth.expired"));
    let mut other = with("exp", json!(NOW - 60));
    other["aud"] = json!("other");
    assert_eq!(verify_claims(&other).err(), Some("auth.invalid"));
    let strict = builder().leeway(Duration::ZERO);
    let at = |exp: u64| sign(&json!({"alg": "HS256"}), &with("exp", json!(exp)), Algorithm::HS256);
    assert_eq!(verify(&strict, &at(NOW)).err(), Some("auth.expired"));
    assert!(verify(&strict, &at(NOW + 1)).is_ok());
    let forever = builder().leeway(Duration::MAX);
    assert!(verify(&forever, &at(NOW + 1)).is_ok(), "no overflow");
}

#[test]
fn an_audience_that_nobody_configured_is_refused_and_an_issuer_is_not() {
    let key = JwtKey::hmac(Algorithm::HS256, SECRET).unwrap();
    let open = JwtVerifier::builder().key(key).clock(ManualClock::at(NOW).shared());
    let token = |claims: &Value| sign(&json!({"alg": "HS256"}), claims, Algorithm::HS256);
    assert_eq!(verify(&open, &token(&good_claims())).err(), Some("auth.invalid"));
    assert!(verify(&open, &token(&with("aud", Value::Null))).is_ok());
}

#[test]
fn headers_that_ask_for_anything_else_are_refused() {
    for header in [
        json!({"alg": "none"}),
        json!({"alg": "None"}),
        json!({"alg": "hs256"}),
        json!({"alg": "HS384"}),
        json!({"alg": "RS256"}),
        json!({"alg": ["HS256"]}),
        json!({}),
        json!({"alg": "HS256", "crit": ["x"], "x": 1}),
        json!({"alg": "HS256", "crit": []}),
        json!({"alg": "HS256", "b64": false}),
        json!({"alg": "HS256", "zip": "DEF"}),
        json!({"alg": "HS256", "enc": "A128GCM"}),
        json!({"alg": "HS256", "typ": "dpop+jwt"}),
        json!({"alg": "HS256", "typ": "logout+jwt"}),
        json!({"alg": "HS256", "typ": 1}),
        json!({"alg": "HS256", "kid": 1}),
        json!({"alg": "HS256", "kid": "k".repeat(129)}),
    ] {
        let token = sign(&header, &good_claims(), Algorithm::HS256);
        assert_eq!(verify(&builder(), &token).err(), Some("auth.invalid"), "{header}");
    }
    for header in [
        json!({"alg": "HS256", "typ": "JWT"}),
        json!({"alg": "HS256", "typ": "at+jwt"}),
        json!({"alg": "HS256", "typ": "application/AT+JWT"}),
        json!({"alg": "HS256", "kid": "some", "jku": "http://127.0.0.1:1/", "jwk": {"kty": "oct"}}),
    ] {
        let token = sign(&header, &good_claims(), Algorithm::HS256);
        assert!(verify(&builder(), &token).is_ok(), "{header}");
    }
}

#[test]
fn texts_that_are_no_strict_jws_are_refused() {
    let good = sign(&json!({"alg": "HS256"}), &good_claims(), Algorithm::HS256);
    let parts: Vec<_> = good.split('.').collect();
    let header = r#"{"alg":"HS256"}"#;
    let claims = good_claims().to_string();
    let twice = claims.replacen('{', r#"{"tenant_id":"t_b","#, 1);
    let signed = |header: &str, claims: &str| sign_text(header, claims, Algorithm::HS256);
    for bad in [
        String::new(),
        "..".into(),
        "a.b".into(),
        parts[..2].join("."),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{good}."),
        format!("{good}="),
        format!(" {good}"),
        format!("{good}.{}", parts[2]),
        good.replace(parts[2], &"A".repeat(43)),
        signed(r#"{"alg":"HS256","alg":"HS256"}"#, &claims),
        signed(header, &twice),
        signed(header, "[1]"),
        signed(header, "not json"),
        signed("[]", &claims),
        signed(header, &claims.replace("\"chat\"", &format!("\"{}\"", "x".repeat(17_000)))),
        signed(header, &format!("{{\"a\":{}{}}}", "[".repeat(2000), "]".repeat(2000))),
    ] {
        assert_eq!(verify(&builder(), &bad).err(), Some("auth.invalid"), "{bad:.80}");
    }
}

proptest! {
    #[test]
    fn no_text_passes_or_panics(text in "[A-Za-z0-9_.=-]{0,200}|\\PC{0,60}", bytes in vec(0..=255_u8, 0..60)) {
        prop_assert!(verify(&builder(), &text).is_err());
        let forged = format!("{}.{}.{}", URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#), URL_SAFE_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes));
        prop_assert!(verify(&builder(), &forged).is_err());
    }
}

fn public(name: &str) -> JwtKey {
    JwtKey::public_pem(pem(name)).unwrap()
}

#[test]
fn every_kind_of_key_verifies_its_algorithm_and_no_other() {
    let rsa = |algorithm| public("rsa.pub").with_algorithm(algorithm).unwrap();
    let keys = [
        (Algorithm::HS256, JwtKey::hmac(Algorithm::HS256, SECRET).unwrap()),
        (Algorithm::HS384, JwtKey::hmac(Algorithm::HS384, SECRET).unwrap()),
        (Algorithm::RS256, public("rsa.pub")),
        (Algorithm::RS256, public("rsa.pkcs1.pub")),
        (Algorithm::RS512, rsa(Algorithm::RS512)),
        (Algorithm::PS256, rsa(Algorithm::PS256)),
        (Algorithm::ES256, public("p256.pub")),
        (Algorithm::ES384, public("p384.pub")),
        (Algorithm::EdDSA, public("ed25519.pub")),
    ];
    for (of_key, key) in &keys {
        let only = JwtVerifierBuilder { keys: vec![key.clone()], ..builder() };
        for (of_token, _) in &keys {
            let header = json!({"alg": format!("{of_token:?}")});
            let token = sign(&header, &good_claims(), *of_token);
            let verdict = verify(&only, &token);
            assert_eq!(verdict.is_ok(), of_key == of_token, "{of_key:?} for {of_token:?}");
        }
    }
}

#[test]
fn a_public_key_is_never_taken_for_a_secret() {
    // The classic confusion: the attacker signs with the text of the public key.
    let message = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#),
        URL_SAFE_NO_PAD.encode(good_claims().to_string())
    );
    let key = EncodingKey::from_secret(&pem("rsa.pub"));
    let factory = backends()[0].provider().signer_factory;
    let signature = factory(&jsonwebtoken::Algorithm::HS256, &key)
        .unwrap()
        .try_sign(message.as_bytes())
        .unwrap();
    let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature));
    let rsa = JwtVerifierBuilder { keys: vec![public("rsa.pub")], ..builder() };
    assert_eq!(verify(&rsa, &token).err(), Some("auth.invalid"));
}

fn der(name: &str) -> Vec<u8> {
    spki::Document::from_pem(std::str::from_utf8(&pem(name)).unwrap())
        .unwrap()
        .1
        .as_bytes()
        .to_vec()
}

#[test]
fn what_is_plainly_a_key_or_a_certificate_is_no_secret() {
    use std::hash::{Hash as _, Hasher as _};

    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    let names = [
        "rsa.pub",
        "rsa.pkcs1.pub",
        "p256.pub",
        "p384.pub",
        "p521.pub",
        "ed25519.pub",
        "rsa",
        "p256",
        "ed25519",
        "p256.cert",
    ];
    let mut keys = Vec::new();
    for name in names {
        let pem = String::from_utf8(pem(name)).unwrap();
        keys.extend([
            pem.clone().into_bytes(),
            format!(" \r\n\t{pem}").into_bytes(),
            format!("\u{feff}{pem}").into_bytes(),
            format!("# our key\n{pem}").into_bytes(),
            pem.replace('\n', "\\n").into_bytes(),
            pem.replace('\n', "").into_bytes(),
            [&[0xFF, 0xFE][..], &pem.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()]
                .concat(),
            STANDARD.encode(&pem).into_bytes(),
            der(name),
            [&der(name)[..], b"\r\n"].concat(),
            STANDARD.encode(der(name)).into_bytes(),
            URL_SAFE_NO_PAD.encode(der(name)).into_bytes(),
            pem.lines()
                .filter(|line| !line.starts_with('-'))
                .collect::<Vec<_>>()
                .join("\r\n")
                .into_bytes(),
        ]);
    }
    let ssh =
        [&[0, 0, 0, 7][..], b"ssh-rsa", &[0, 0, 0, 3, 1, 0, 1, 0, 0, 1, 0], &[9; 256]].concat();
    let ssh = STANDARD.encode(ssh);
    let jwk =
        r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x"}"#;
    for text in [
        jwk.to_owned(),
        format!("\u{feff}\n{{\"keys\":[{jwk}]}}"),
        format!("[{jwk}]"),
        URL_SAFE.encode(jwk),
        format!("ssh-rsa {ssh} ada@example"),
        format!("\n# ada\nrestrict,command=\"x y\" ssh-rsa {ssh}"),
        ssh,
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJmXoqh".to_owned(),
        "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTY".to_owned(),
        "---- BEGIN SSH2 PUBLIC KEY ----\nComment: x\nAAAA\n---- END SSH2 PUBLIC KEY ----"
            .to_owned(),
        "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjE".to_owned(),
        "-----BEGIN WHATEVER-----\nand no end".to_owned(),
    ] {
        keys.push(text.into_bytes());
    }
    for key in keys {
        let shown = String::from_utf8_lossy(&key).into_owned();
        let refused = JwtKey::hmac(Algorithm::HS256, &key).expect_err(&shown).to_string();
        assert!(
            refused.contains("not a secret") && refused.contains("public_pem"),
            "{shown}: {refused}"
        );
        let jwk = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode(&key)}).to_string();
        let refused = JwtKey::jwk(&jwk).expect_err(&shown).to_string();
        assert!(refused.contains("not a secret"), "{shown}: {refused}");
    }
    // Secrets, as random as they are written.
    let hash = |i: u32| -> Vec<u8> {
        let hash = |part: u32| {
            let mut hasher = std::hash::DefaultHasher::new();
            (i, part).hash(&mut hasher);
            hasher.finish().to_be_bytes()
        };
        (0..8).flat_map(hash).collect()
    };
    for i in 0..20_000 {
        let bytes = hash(i);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        for secret in [&bytes[..], hex.as_bytes(), STANDARD.encode(&bytes).as_bytes()] {
            assert!(JwtKey::hmac(Algorithm::HS512, secret).is_ok(), "{i}");
        }
        assert!(JwtKey::hmac(Algorithm::HS256, &bytes[..32]).is_ok(), "{i}");
    }
    for secret in [
        "0".repeat(50),
        "02".repeat(40),
        "0".repeat(98),
        "ssh-rsa, and more than thirty-two".into(),
    ] {
        assert!(JwtKey::hmac(Algorithm::HS256, &secret).is_ok(), "{secret}");
    }
}

/// How many keys are tried while `f` runs.
fn tries<T>(f: impl FnOnce() -> T) -> (usize, T) {
    let before = super::ready_key::TRIES.get();
    let result = f();
    (super::ready_key::TRIES.get() - before, result)
}

/// A token that nobody signed, with a signature of so many bytes.
fn garbage(header: &Value, signature: usize) -> String {
    let [header, claims] =
        [header, &good_claims()].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode(vec![1; signature]))
}

/// An RSA key that is like no other one.
fn some_rsa(bits: usize, i: u8) -> Value {
    let mut n = vec![0xff; bits / 8];
    n[1] = i;
    json!({"kty": "RSA", "n": URL_SAFE_NO_PAD.encode(n), "e": "AQAB"})
}

#[test]
fn a_token_tries_a_few_keys_and_none_that_cannot_fit() {
    let rsa = |i| JwtKey::jwk(&some_rsa(2048, i).to_string()).unwrap();
    let hmac = |i| JwtKey::hmac(Algorithm::HS256, [i; 32]).unwrap();
    let ours = || JwtKey::hmac(Algorithm::HS256, SECRET).unwrap();
    for backend in backends() {
        let build =
            |keys: Vec<JwtKey>| JwtVerifierBuilder { keys, ..builder() }.backend(backend).build();
        let named: Vec<_> = (0..64).map(|i| rsa(i).with_kid(format!("{i}"))).collect();
        let unnamed = (0..4).flat_map(|i| {
            let longer = JwtKey::jwk(&some_rsa(3072, i).to_string()).unwrap();
            [rsa(i), longer, rsa(i).with_algorithm(Algorithm::PS256).unwrap(), hmac(i)]
        });
        let ec = [public("p256.pub"), public("p384.pub"), public("ed25519.pub")];
        let verifier = build(named.into_iter().chain(unnamed).chain(ec).collect()).unwrap();
        for (header, signature, expected) in [
            (json!({"alg": "RS256"}), 256, 4),
            (json!({"alg": "RS256"}), 384, 4),
            (json!({"alg": "RS256"}), 255, 0),
            (json!({"alg": "RS256"}), 512, 0),
            (json!({"alg": "RS256"}), 0, 0),
            (json!({"alg": "RS256", "kid": "7"}), 256, 1),
            (json!({"alg": "RS256", "kid": "7"}), 384, 0),
            (json!({"alg": "RS256", "kid": "unknown"}), 256, 4),
            (json!({"alg": "RS384"}), 256, 0),
            (json!({"alg": "PS256"}), 256, 4),
            (json!({"alg": "HS256"}), 32, 4),
            (json!({"alg": "HS256"}), 31, 0),
            (json!({"alg": "HS256"}), 64, 0),
            (json!({"alg": "ES256"}), 64, 1),
            (json!({"alg": "ES256"}), 72, 0),
            (json!({"alg": "ES384"}), 96, 1),
            (json!({"alg": "ES384"}), 64, 0),
            (json!({"alg": "EdDSA"}), 64, 1),
            (json!({"alg": "EdDSA"}), 63, 0),
        ] {
            let (tries, refused) = tries(|| verifier.verify(&garbage(&header, signature)));
            assert_eq!(refused.unwrap_err().code(), "auth.invalid");
            assert_eq!(tries, expected, "{header}, {signature} bytes, {backend:?}");
        }
        // A header that was seen is tried with its own key first, and that counts as well.
        let ours_last = build((0..3).map(hmac).chain([ours()]).collect()).unwrap();
        let good = sign(&json!({"alg": "HS256"}), &good_claims(), Algorithm::HS256);
        assert_eq!(tries(|| ours_last.verify(&good).is_ok()), (4, true));
        assert_eq!(tries(|| ours_last.verify(&good).is_ok()), (1, true));
        assert_eq!(
            tries(|| ours_last.verify(&garbage(&json!({"alg": "HS256"}), 32)).is_ok()),
            (4, false)
        );
        assert_eq!(
            tries(|| ours_last.verify(&garbage(&json!({"alg": "HS256"}), 33)).is_ok()),
            (0, false)
        );

        // More than are tried: said when the verifier is built, or named.
        let keys = || (0..4).map(hmac).chain([ours()]);
        let refused = build(keys().collect()).unwrap_err();
        assert!(matches!(refused, JwtConfigError::TooManyAlike { kid: None, count: 5, .. }));
        assert!(refused.to_string().contains("its own `kid`"), "{refused}");
        let named =
            build(keys().enumerate().map(|(i, key)| key.with_kid(format!("{i}"))).collect());
        let named = named.unwrap();
        let by_name = sign(&json!({"alg": "HS256", "kid": "4"}), &good_claims(), Algorithm::HS256);
        assert_eq!(tries(|| named.verify(&by_name).is_ok()), (1, true));
        let (tries, why) = tries(|| named.check(&good).unwrap_err());
        assert_eq!((tries, why), (4, TokenError::TooManyKeys));
    }
}

#[test]
fn rsa_keys_are_bounded_and_the_bound_can_be_raised() {
    let e = |e: &str| {
        let mut jwk = some_rsa(2048, 0);
        jwk["e"] = json!(e);
        jwk
    };
    for backend in backends() {
        let build = |jwk: &Value, backend| {
            let key = JwtKey::jwk(&jwk.to_string()).unwrap();
            JwtVerifierBuilder { keys: vec![key], ..builder() }.backend(backend).build()
        };
        assert!(build(&some_rsa(4096, 0), backend).is_ok());
        for bits in [4104, 8192, 16_384, 65_536] {
            let refused = build(&some_rsa(bits, 0), backend).unwrap_err().to_string();
            assert!(refused.contains("with_max_rsa_bits"), "{refused}");
        }
        assert!(build(&some_rsa(16_384, 0), backend.with_max_rsa_bits(usize::MAX)).is_err());
        assert!(build(&some_rsa(4096, 0), backend.with_max_rsa_bits(3072)).is_err());
        let raised = build(&some_rsa(8192, 0), backend.with_max_rsa_bits(8192));
        assert_eq!(raised.is_ok(), format!("{backend:?}") == "aws-lc-rs", "{backend:?}");
        // 2^32 + 1, and longer.
        for huge in ["AQAAAAE", "AQAAAAAAAAAB", &"_".repeat(340)] {
            assert!(build(&e(huge), backend).is_err(), "{huge}");
        }
    }
}

#[test]
fn a_header_that_is_very_long_is_not_kept() {
    let key = JwtKey::hmac(Algorithm::HS256, SECRET).unwrap().ready(backends()[0]).unwrap();
    let header =
        super::header::Header { algorithm: Algorithm::HS256, kid: None, is_access_token: false };
    let long = "x".repeat(513);
    key.remember(&long, &header);
    assert!(key.knows(&long).is_none());
    key.remember("x", &header);
    assert!(key.knows("x").is_some());
}

#[cfg(feature = "jwks")]
#[test]
fn a_set_is_read_up_to_a_bound_and_its_garbage_tokens_try_no_key_twice() {
    use super::KeySet;

    let (set, install) = KeySet::by_hand(ManualClock::at(NOW).shared());
    let verifier = JwtVerifierBuilder { keys: Vec::new(), ..builder() }.key_set(set.clone());
    let verifier = verifier.build().unwrap();
    let jwks = |count: u8, bits, named: bool| {
        let keys = (0..count).map(|i| {
            let mut jwk = some_rsa(bits, i);
            if named {
                jwk["kid"] = json!(format!("{i}"));
            }
            jwk
        });
        json!({"keys": keys.collect::<Vec<_>>()}).to_string()
    };
    let header = json!({"alg": "RS256"});
    install(&jwks(5, 2048, false));
    let named = garbage(&json!({"alg": "RS256", "kid": "new"}), 2048 / 8);
    let tried = tries(|| verifier.check(&named).unwrap_err());
    assert_eq!(tried, (4, TokenError::NoSuchKey(Some("new".to_owned()))));
    for (count, bits, named, held) in
        [(200, 2048, true, 64), (200, 2048, false, 4), (200, 4096, true, 64), (4, 2048, false, 4)]
    {
        install(&jwks(count, bits, named));
        assert_eq!(set.health().keys, held);
        let (tries, refused) = tries(|| verifier.verify(&garbage(&header, bits / 8)));
        assert_eq!((tries, refused.unwrap_err().code()), (4, "auth.invalid"));
    }
}

#[test]
fn kid_selects_among_keys_and_unnamed_keys_serve_unknown_names() {
    let other = JwtKey::hmac(Algorithm::HS256, [7; 32]).unwrap();
    let ours = JwtKey::hmac(Algorithm::HS256, SECRET).unwrap();
    let token = |kid: Option<&str>| {
        let header = kid.map_or(json!({"alg": "HS256"}), |kid| json!({"alg": "HS256", "kid": kid}));
        sign(&header, &good_claims(), Algorithm::HS256)
    };
    let keys = |keys: Vec<JwtKey>| JwtVerifierBuilder { keys, ..builder() };
    let named = keys(vec![other.clone().with_kid("a"), ours.clone().with_kid("b")]);
    assert!(verify(&named, &token(Some("b"))).is_ok());
    assert!(verify(&named, &token(None)).is_ok());
    assert!(verify(&named, &token(Some("a"))).is_err(), "the other key has that name");
    assert!(verify(&named, &token(Some("c"))).is_err(), "nobody has that name");
    let unnamed = keys(vec![other, ours]);
    assert!(verify(&unnamed, &token(Some("c"))).is_ok());
}

/// RFC 7517 section 4.5: keys of one `kid` may have different algorithms, and more.
#[test]
fn keys_of_one_name_are_tried_in_turn_and_a_key_that_is_listed_twice_is_one() {
    let secret = |i: u8| JwtKey::hmac(Algorithm::HS256, [i; 32]).unwrap().with_kid("a");
    let ours = || JwtKey::hmac(Algorithm::HS256, SECRET).unwrap().with_kid("a");
    let header = json!({"alg": "HS256", "kid": "a"});
    let token = sign(&header, &good_claims(), Algorithm::HS256);
    for backend in backends() {
        let build =
            |keys: Vec<JwtKey>| JwtVerifierBuilder { keys, ..builder() }.backend(backend).build();
        // Another key of the name comes first, and one for another algorithm.
        let of_384 = JwtKey::hmac(Algorithm::HS384, [9; 48]).unwrap().with_kid("a");
        let several = build(vec![of_384, secret(0), secret(1), ours()]).unwrap();
        assert_eq!(tries(|| several.verify(&token).is_ok()), (3, true));
        assert_eq!(tries(|| several.verify(&token).is_ok()), (1, true), "its header is known");
        assert_eq!(tries(|| several.verify(&garbage(&header, 32)).is_ok()), (3, false));
        let twice = build(vec![ours(), ours(), secret(0), ours(), ours(), ours()]).unwrap();
        assert_eq!(tries(|| twice.verify(&garbage(&header, 32)).is_ok()), (2, false));
        let crowd = build((0..4).map(secret).chain([ours()]).collect()).unwrap_err();
        let JwtConfigError::TooManyAlike { kid: Some(kid), count: 5, .. } = &crowd else {
            panic!("{crowd}");
        };
        assert!(kid == "a" && crowd.to_string().contains("its own `kid`"), "{crowd}");
        // The same key by two names is tried once for a token without one.
        let both = build(vec![secret(0), secret(0).with_kid("b")]).unwrap();
        assert_eq!(
            tries(|| both.verify(&garbage(&json!({"alg": "HS256"}), 32)).is_ok()),
            (1, false)
        );
    }
}

/// RFC 9864 section 2.2.
#[test]
fn ed25519_is_the_full_name_of_eddsa_with_such_a_key() {
    let pem = public("ed25519.pub");
    let Material::Ed(x) = pem.identity().2 else { panic!("another kind of key") };
    let mut jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(x)});
    for (of_key, of_token) in
        [("Ed25519", "Ed25519"), ("Ed25519", "EdDSA"), ("EdDSA", "Ed25519"), ("EdDSA", "EdDSA")]
    {
        jwk["alg"] = json!(of_key);
        let key = JwtKey::jwk(&jwk.to_string()).unwrap();
        let token = sign(&json!({"alg": of_token}), &good_claims(), Algorithm::EdDSA);
        let only = JwtVerifierBuilder { keys: vec![key], ..builder() };
        assert!(verify(&only, &token).is_ok(), "{of_key} {of_token}");
    }
    for other in ["Ed448", "ED25519", "ed25519", "ESP256", "Ed25519ph"] {
        jwk["alg"] = json!(other);
        assert!(JwtKey::jwk(&jwk.to_string()).is_err(), "{other}");
        let token = sign(&json!({"alg": other}), &good_claims(), Algorithm::EdDSA);
        let only = JwtVerifierBuilder { keys: vec![pem.clone()], ..builder() };
        assert!(verify(&only, &token).is_err(), "{other}");
    }
}

fn jwks() -> Value {
    // RFC 8037 appendix A.2, RFC 7517 appendix A.1, and what must be left out.
    json!({"keys": [
        {"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        {"kty": "EC", "crv": "P-256", "kid": "ec", "use": "sig",
         "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"},
        {"kty": "EC", "crv": "P-256", "kid": "enc", "use": "enc",
         "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"},
        {"kty": "unheard-of", "kid": "x"},
    ]})
}

#[test]
fn a_key_set_gives_its_usable_keys_and_verifies_the_rfc_vector() {
    let keys = JwtKey::jwks(&jwks().to_string()).unwrap();
    assert_eq!(keys.iter().filter_map(|key| key.kid.as_deref()).collect::<Vec<_>>(), ["ed", "ec"]);
    // RFC 8037 appendix A.4: the signature is good, its payload no claims.
    let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    for backend in backends() {
        let verifier = builder().keys(keys.clone()).backend(backend).build().unwrap();
        assert_eq!(verifier.check(token).unwrap_err(), TokenError::Json(Fault::Grammar));
        let forged = token.replace("hgyY", "hgyZ");
        assert_eq!(verifier.check(&forged).unwrap_err(), TokenError::Signature);
    }
}

#[test]
fn unusable_keys_are_refused_when_the_verifier_is_built() {
    let set = jwks();
    let jwk = |change: &dyn Fn(&mut Value)| {
        let mut jwk = set["keys"][0].clone();
        change(&mut jwk);
        JwtKey::jwk(&jwk.to_string())
    };
    assert!(jwk(&|_| {}).is_ok());
    assert!(jwk(&|k| k["x"] = json!("AAAA")).is_err(), "too short: panics in one backend");
    assert!(jwk(&|k| k["x"] = json!("A".repeat(86))).is_err(), "too long");
    assert!(jwk(&|k| k["x"] = json!("=")).is_err());
    assert!(jwk(&|k| k["d"] = json!("AAAA")).is_err(), "private");
    assert!(jwk(&|k| k["alg"] = json!("HS256")).is_err(), "another family");
    assert!(jwk(&|k| k["alg"] = json!("ES512")).is_err());
    assert!(jwk(&|k| k["crv"] = json!("Ed448")).is_err());
    assert!(jwk(&|k| k["use"] = json!("enc")).is_err());
    assert!(jwk(&|k| k["key_ops"] = json!(["sign"])).is_err());
    assert!(jwk(&|k| k["key_ops"] = json!(["verify"])).is_ok());
    assert!(jwk(&|k| k["kid"] = json!(1)).is_err());
    assert!(JwtKey::jwk(r#"{"kty":"oct","k":"c2hvcnQ"}"#).is_err(), "a short secret");
    assert!(JwtKey::jwks("{}").is_err());
    let nothing = JwtKey::jwks(r#"{"keys":[{"kty":"x","kid":"odd"}]}"#).unwrap_err();
    assert!(nothing.to_string().contains(r#"["odd"]: the JWK is of an unknown kind"#), "{nothing}");
    let empty = JwtKey::jwks(r#"{"keys":[]}"#).unwrap_err().to_string();
    assert!(empty.contains("the set is empty"), "{empty}");

    assert!(JwtKey::hmac(Algorithm::HS256, "").is_err());
    assert!(JwtKey::hmac(Algorithm::HS512, SECRET).is_err(), "54 bytes are short of 64");
    assert!(JwtKey::hmac(Algorithm::RS256, SECRET).is_err());
    for private in ["rsa", "p256", "ed25519"] {
        let error = JwtKey::public_pem(pem(private)).unwrap_err().to_string();
        assert!(error.contains("private"), "{error}");
    }
    assert!(JwtKey::public_pem(pem("p521.pub")).is_err());
    assert!(JwtKey::public_pem("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----").is_err());
    for garbage in
        [&b""[..], b"\xff", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"]
    {
        assert!(JwtKey::public_pem(garbage).is_err());
        assert!(JwtKey::public_der(garbage).is_err());
    }
    assert!(public("rsa.pub").with_algorithm(Algorithm::ES256).is_err());

    for backend in backends() {
        let build = |key: JwtKey| builder().keys([key]).backend(backend).build();
        assert!(build(public("rsa1024.pub")).is_err(), "{backend:?}: too short");
        let small_exponent = json!({
            "kty": "RSA", "n": URL_SAFE_NO_PAD.encode([0xff; 256]), "e": "Aw",
        });
        assert!(build(JwtKey::jwk(&small_exponent.to_string()).unwrap()).is_err());
    }
    assert!(matches!(JwtVerifier::builder().build(), Err(JwtConfigError::NoKey)));
    let wrong = builder().claims(ClaimNames::default().tenant("tenant_id"));
    assert!(matches!(wrong.build(), Err(JwtConfigError::ClaimName(_))));
}

#[test]
fn claims_are_found_where_the_issuer_puts_them() {
    let names = ClaimNames::default()
        .tenant("/https:~1~1example.com~1tenant")
        .envs("/app_metadata/envs")
        .roles("/realm_access/roles");
    let claims = json!({
        "iss": "https://id.example", "aud": "chat", "sub": "x", "exp": NOW + 1,
        "https://example.com/tenant": "t_a",
        "app_metadata": {"envs": ["prod"]},
        "realm_access": {"roles": ["ops"]},
        "tenant_id": "t_ignored",
    });
    let token = sign(&json!({"alg": "HS256"}), &claims, Algorithm::HS256);
    let auth = verify(&builder().claims(names), &token).unwrap();
    assert_eq!(auth.tenants().collect::<Vec<_>>(), ["t_a"]);
    assert_eq!(auth.envs().collect::<Vec<_>>(), ["prod"]);
    assert!(auth.has_role("ops"));
}

#[test]
fn secrets_do_not_show_in_debug() {
    let verifier = builder().build().unwrap();
    let shown = format!("{:?} {verifier:?}", builder());
    let secret = std::str::from_utf8(SECRET).unwrap();
    assert!(!shown.contains(secret) && !shown.contains(&format!("{SECRET:?}")), "{shown}");
}

fn hs256(claims: &Value) -> String {
    sign(&json!({"alg": "HS256"}), claims, Algorithm::HS256)
}

#[test]
fn what_an_issuer_may_speak_for_is_all_that_its_tokens_prove() {
    let token = hs256(&with("tenant_ids", json!(["t_b", "t_c"])));
    let auth = verify(&builder().tenants(["t_b", "t_x"]), &token).unwrap();
    assert_eq!(auth.tenants().collect::<Vec<_>>(), ["t_b"]);
    for (bound, code) in [
        (builder().tenants(["t_x"]), "tenant.mismatch"),
        (builder().tenants(Vec::<String>::new()), "tenant.mismatch"),
        // Both bounds hold.
        (builder().tenants(["t_b"]).tenants(["t_c"]), "tenant.mismatch"),
        (builder().tenants(["t_x"]).any_tenant(), "tenant.mismatch"),
        (builder().any_tenant().tenants(["t_x"]), "tenant.mismatch"),
        (builder().envs(["dev"]), "env.mismatch"),
        (builder().envs(["dev"]).tenants(["t_x"]), "tenant.mismatch"),
    ] {
        assert_eq!(verify(&bound, &token).err(), Some(code), "{bound:?}");
    }
}

#[test]
fn a_token_left_with_nothing_is_refused_last_and_the_log_says_why() {
    let dev = builder().envs(["dev"]).build().unwrap();
    let refused = dev.verify(&hs256(&with("env", json!("pr\nod")))).unwrap_err();
    let source = refused.source().unwrap().to_string();
    assert_eq!((refused.code(), refused.status().as_u16()), ("env.mismatch", 403));
    for told in ["https://id.example", "envs", r#"["pr\nod"]"#] {
        assert!(source.contains(told), "{source}");
    }
    // The client hears what it hears of any mismatch.
    assert_eq!(refused.detail(), Rejection::new(RejectionKind::EnvMismatch).detail());
    let mut over = with("env", json!("prod"));
    over["exp"] = json!(NOW - 60);
    assert_eq!(verify(&builder().envs(["dev"]), &hs256(&over)).err(), Some("auth.expired"));
    over["aud"] = json!("other");
    assert_eq!(verify(&builder().envs(["dev"]), &hs256(&over)).err(), Some("auth.invalid"));
}

#[test]
fn a_default_is_for_a_claim_that_is_absent_and_comes_before_the_bound() {
    let dev = || builder().envs(["dev", "qa"]).default_envs(["dev"]);
    for (claims, expected) in [
        (json!({}), Ok(vec!["dev"])),
        (json!({"env": "qa"}), Ok(vec!["qa"])),
        (json!({"envs": ["qa", "prod"]}), Ok(vec!["qa"])),
        (json!({"env": "prod"}), Err("env.mismatch")),
        (json!({"envs": ["prod", "staging"]}), Err("env.mismatch")),
        (json!({"env": ""}), Err("env.mismatch")),
        // It says: none.
        (json!({"envs": []}), Ok(vec![])),
        (json!({"envs": [null]}), Ok(vec![])),
        (json!({"envs": "qa"}), Ok(vec!["qa"])),
        // It says nothing.
        (json!({"env": null}), Ok(vec!["dev"])),
        (json!({"env": null, "envs": null}), Ok(vec!["dev"])),
        (json!({"env": null, "envs": ["prod"]}), Err("env.mismatch")),
        // It says something that nobody understands, so no default may take its place.
        (json!({"env": {}}), Err("auth.invalid")),
        (json!({"env": 1}), Err("auth.invalid")),
        (json!({"envs": {"dev": true}}), Err("auth.invalid")),
        (json!({"env": "dev", "envs": [false]}), Err("auth.invalid")),
    ] {
        let mut all = with("env", Value::Null);
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        let auth = verify(&dev(), &hs256(&all));
        let envs = auth.map(|auth| auth.envs().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(
            envs,
            expected.map(|all| all.into_iter().map(str::to_owned).collect()),
            "{claims}"
        );
    }
    let nested = || {
        let names =
            ClaimNames::default().tenant("/meta/tenant").tenants("/meta/all").env("/meta/env/0");
        builder().claims(names).default_tenants(["t_x"]).default_envs(["dev"])
    };
    for (meta, expected) in [
        (json!({}), Ok(vec!["t_x", "dev"])),
        (json!({"tenant": "t_a"}), Ok(vec!["t_a", "dev"])),
        (json!({"all": [], "env": []}), Ok(vec!["dev"])),
        (json!({"tenant": "t_a", "env": ["qa"]}), Ok(vec!["t_a", "qa"])),
        (json!({"env": "qa"}), Err("auth.invalid")),
        (json!({"tenant": {}}), Err("auth.invalid")),
        (json!("x"), Err("auth.invalid")),
        (json!(["t_a"]), Err("auth.invalid")),
        (json!([]), Err("auth.invalid")),
        (json!(7), Err("auth.invalid")),
        (json!(false), Err("auth.invalid")),
    ] {
        let auth = verify(&nested(), &hs256(&with("meta", meta.clone())));
        let said = auth
            .map(|auth| auth.tenants().chain(auth.envs()).map(str::to_owned).collect::<Vec<_>>());
        let expected = expected.map(|all| all.into_iter().map(str::to_owned).collect());
        assert_eq!(said, expected, "{meta}");
    }
    // Null says nothing, also above a claim.
    for null in [json!({"meta": null}), json!({"meta": {"tenant": null, "env": null}})] {
        let auth = verify(&nested(), &hs256(&extended(&null))).unwrap();
        assert!(auth.tenants().chain(auth.envs()).eq(["t_x", "dev"]), "{null}");
    }
    assert_eq!(verify(&nested(), &hs256(&good_claims())).unwrap().tenants().next(), Some("t_x"));

    let of_a = builder().default_tenants(["t_a"]).default_tenants(["t_b"]);
    let auth = verify(&of_a, &hs256(&with("tenant_id", Value::Null))).unwrap();
    assert_eq!(auth.tenants().collect::<Vec<_>>(), ["t_a", "t_b"]);
    let auth = verify(&of_a, &hs256(&with("tenant_id", json!("t_c")))).unwrap();
    assert_eq!(auth.tenants().collect::<Vec<_>>(), ["t_c"]);

    // Whichever is said first.
    for (wrong, told) in [
        (builder().envs(["dev"]).default_envs(["prod"]), "prod"),
        (builder().default_envs(["dev", "prod"]).envs(["dev"]), "prod"),
        (builder().tenants(["t_a"]).default_tenants(["t_b"]), "t_b"),
        (builder().tenants(["t_a"]).any_tenant().default_tenants(["t_b"]), "t_b"),
    ] {
        let error = wrong.build().unwrap_err();
        assert!(
            matches!(&error, JwtConfigError::DefaultOutOfBound(name) if name == told),
            "{error}"
        );
    }
}

proptest! {
    /// Held against the rule in one sentence: what is claimed, or the default if nothing is, as far as
    /// the bound allows it.
    #[test]
    fn no_order_of_claims_bounds_and_defaults_proves_more_than_the_bound(
        one in proptest::option::of("[abc]"),
        many in proptest::option::of(vec("[abc]", 0..3)),
        bound in proptest::option::of(vec("[abc]", 0..3)),
        default in vec("[abc]", 0..2),
    ) {
        let mut claims = with("tenant_id", one.clone().map_or(Value::Null, Value::from));
        if let Some(many) = &many {
            claims["tenant_ids"] = json!(many);
        }
        let mut verifier = builder().default_tenants(&default);
        if let Some(bound) = &bound {
            verifier = verifier.tenants(bound);
        }
        let allowed = |name: &String| bound.as_ref().is_none_or(|bound| bound.contains(name));
        let built = verifier.clone().build();
        prop_assert_eq!(built.is_ok(), default.iter().all(allowed));
        if built.is_ok() {
            let claimed: Vec<String> = many.clone().into_iter().flatten().chain(one.clone()).collect();
            let is_absent = one.is_none() && many.is_none();
            let said = if is_absent { default } else { claimed };
            let mut expected = said.clone();
            expected.retain(allowed);
            let verdict = verify(&verifier, &hs256(&claims));
            if expected.is_empty() && !said.is_empty() {
                prop_assert_eq!(verdict.err(), Some("tenant.mismatch"));
            } else {
                let proven: Vec<_> = verdict.unwrap().tenants().map(str::to_owned).collect();
                prop_assert_eq!(proven, expected);
            }
        }
    }
}

#[test]
fn a_place_that_is_named_is_the_only_one_of_its_kind() {
    let claims = json!({
        "iss": "https://id.example", "aud": "chat", "sub": "x", "exp": NOW + 1,
        "tenant_id": "smuggled", "tenant_ids": ["smuggled"], "env": "smuggled", "envs": ["smuggled"],
        "roles": ["smuggled"], "scope": "smuggled", "actor_type": "smuggled",
        "app": {
            "sub": "y", "aud": "chat", "one": "a", "many": ["b"], "scp": ["s"], "kind": "agent",
        },
    });
    let names = ClaimNames::default;
    let told = |names: ClaimNames| {
        let auth = verify(&builder().claims(names), &hs256(&claims)).unwrap();
        let texts = |all: &mut dyn Iterator<Item = &str>| all.collect::<Vec<_>>().join(" ");
        (texts(&mut auth.tenants()), texts(&mut auth.envs()))
    };
    let smuggled = || "smuggled smuggled".to_owned();
    for (names, tenants) in [
        (names(), smuggled()),
        (names().tenant("/app/one"), "a".into()),
        (names().tenants("/app/many"), "b".into()),
        (names().tenant("/app/one").tenants("/app/many"), "b a".into()),
        (names().tenants("/app/many").tenant("/app/one"), "b a".into()),
        (names().tenant("/app/nowhere"), String::new()),
        (names().tenants("/app/nowhere"), String::new()),
        // A default that is named is a place like any other.
        (names().tenant("/tenant_id"), "smuggled".into()),
    ] {
        assert_eq!(told(names.clone()), (tenants, smuggled()), "{names:?}");
    }
    for (names, envs) in [
        (names().env("/app/one"), "a"),
        (names().envs("/app/many"), "b"),
        (names().env("/app/one").envs("/app/many"), "b a"),
        (names().envs("/app/nowhere"), ""),
    ] {
        assert_eq!(told(names.clone()), (smuggled(), envs.to_owned()), "{names:?}");
    }
    let elsewhere = names().subject("/app/sub").audience("/app/aud").roles("/app/many");
    let elsewhere = elsewhere.scopes("/app/scp").actor_type("/app/kind");
    let auth = verify(&builder().claims(elsewhere), &hs256(&claims)).unwrap();
    assert_eq!((auth.subject().as_str(), auth.actor_type().unwrap().as_str()), ("y", "agent"));
    assert!(auth.roles().eq(["b"]) && auth.scopes().eq(["s"]) && auth.audiences().eq(["chat"]));
}

#[test]
fn a_claim_has_at_most_512_names() {
    let empty = |names: usize| json!(vec![""; names]);
    let words = |names: usize| json!(vec!["s"; names].join("  "));
    let mut audiences = vec!["chat"; 512];
    for (claim, most, more) in [
        ("tenant_ids", empty(511), empty(512)), // and the one in `tenant_id`
        ("envs", empty(511), empty(512)),
        ("roles", empty(512), empty(513)),
        ("scope", empty(512), empty(513)),
        ("scope", words(512), words(513)),
        ("aud", json!(audiences), {
            audiences.push("");
            json!(audiences)
        }),
    ] {
        let verifier = builder().build().unwrap();
        let auth = verifier.check(&hs256(&with(claim, most))).unwrap();
        let token = hs256(&with(claim, more));
        // Roles and scopes beyond the bound are none, not some.
        let has = |auth: &AuthContext| match claim {
            "roles" => Some(auth.roles().count()),
            "scope" => Some(auth.scopes().count()),
            _ => None,
        };
        if let Some(names) = has(&auth) {
            assert_eq!(names, 512, "{claim}");
            assert_eq!(verify(&builder(), &token).map(|auth| has(&auth)), Ok(Some(0)), "{claim}");
            continue;
        }
        let refused = verifier.check(&token).unwrap_err();
        assert!(matches!(&refused, TokenError::BadClaim { .. }), "{claim}: {refused}");
        assert!(refused.to_string().contains("more than 512"), "{refused}");
        assert_eq!(verify(&builder(), &token).err(), Some("auth.invalid"));
    }
}

#[test]
fn header_and_claims_are_strict_json_at_every_depth() {
    let head = r#"{"alg":"HS256"}"#;
    let claims = good_claims().to_string();
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    for (value, fault) in [
        (r#"{"a":1,"\u0061":1}"#.to_owned(), Fault::Twice),
        (r#"[{"a":"\ud800"}]"#.to_owned(), Fault::Surrogate),
        (r#"{"\udc00":0}"#.to_owned(), Fault::Surrogate),
        ("[1e400]".to_owned(), Fault::Number),
        (r#"{"$serde_json::private::Number":"1"}"#.to_owned(), Fault::Reserved),
        (r#"{"$serde_json::private::RawValue":"1"}"#.to_owned(), Fault::Reserved),
        (r#"{"\u0024serde_json::private::RawValue":"1"}"#.to_owned(), Fault::Reserved),
        (r#"[[{"$serde\u005Fjson::private\u003a:Number":"1"}]]"#.to_owned(), Fault::Reserved),
        (deep(64), Fault::Depth(64)),
    ] {
        let with = |text: &str| text.replacen('{', &format!("{{\"x\":{value},"), 1);
        let verifier = builder().build().unwrap();
        for token in [
            sign_text(head, &with(&claims), Algorithm::HS256),
            sign_text(&with(head), &claims, Algorithm::HS256),
        ] {
            assert_eq!(verifier.check(&token).unwrap_err(), TokenError::Json(fault), "{value}");
        }
        assert!(JwtKey::jwk(&with(&jwks()["keys"][0].to_string())).is_err(), "{value}");
        assert!(JwtKey::jwks(&with(&jwks().to_string())).is_err(), "{value}");
    }
    // At the top as well.
    for name in ["$serde_json::private::RawValue", r"\u0024serde_json::private::Number"] {
        let with = |text: &str| text.replacen('{', &format!("{{\"{name}\":\"{{}}\","), 1);
        let verifier = builder().build().unwrap();
        for token in [
            sign_text(head, &with(&claims), Algorithm::HS256),
            sign_text(&with(head), &claims, Algorithm::HS256),
        ] {
            let refused = verifier.check(&token).unwrap_err();
            assert_eq!(refused, TokenError::Json(Fault::Reserved), "{name}");
        }
    }
    let fits = claims.replacen('{', &format!("{{\"x\":{},", deep(63)), 1);
    assert!(verify(&builder(), &sign_text(head, &fits, Algorithm::HS256)).is_ok());
}

#[test]
fn verifiers_that_name_no_tenants_are_not_one_of_several() {
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
    // The key is the fallback's, but whoever names an issuer means that one.
    assert_eq!(code(&with("iss", json!("https://stranger.example"))), Err("auth.invalid"));
    assert!(issuers.remove("https://id.example"));
    assert_eq!(code(&good_claims()), Err("auth.invalid"), "removed is not nameless");
}

#[test]
fn tokens_that_live_too_long_are_of_another_kind_or_lack_a_claim_are_refused() {
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
    // It ends before it begins: nobody knows how long it lives.
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
        // A route that asks is told the same.
        assert!(!verify(&builder(), &token).unwrap().is_access_token(), "{name}");
    }
    assert!(!verify(&builder(), &at("JWT", &claims)).unwrap().is_access_token());

    let access = || builder().require_claim("/token_use", "access");
    assert!(verify(&access(), &plain(&with("token_use", json!("access")))).is_ok());
    for other in [json!("id"), json!(["access"]), Value::Null] {
        let token = plain(&with("token_use", other));
        assert_eq!(verify(&access(), &token).err(), Some("auth.invalid"));
    }
    assert!(builder().require_claim("token_use", "access").build().is_err(), "no pointer");
}

#[test]
fn scopes_are_words_of_one_string_or_an_array_and_audiences_may_be_elsewhere() {
    let scopes = |scope: Value| {
        let auth = verify_claims(&with("scope", scope))?;
        Ok::<_, &str>(auth.scopes().map(str::to_owned).collect::<Vec<_>>())
    };
    assert_eq!(
        scopes(json!("chat:read  chat:write")),
        Ok(vec!["chat:read".into(), "chat:write".into()])
    );
    assert_eq!(scopes(json!(["a b", "c"])), Ok(vec!["a b".into(), "c".into()]));
    assert_eq!(scopes(Value::Null), Ok(vec![]));
    assert_eq!(scopes(json!(5)), Ok(vec![]));
    let by_client = builder().claims(ClaimNames::default().audience("/client_id"));
    let mut claims = with("client_id", json!("chat"));
    claims["aud"] = json!("whoever");
    let token = sign(&json!({"alg": "HS256"}), &claims, Algorithm::HS256);
    assert_eq!(verify(&by_client, &token).unwrap().audiences().collect::<Vec<_>>(), ["chat"]);
    let other = sign(&json!({"alg": "HS256"}), &with("client_id", json!("x")), Algorithm::HS256);
    assert_eq!(verify(&by_client, &other).err(), Some("auth.invalid"));
    let verifier = builder().build().unwrap().with_audience("admin");
    let admin = sign(&json!({"alg": "HS256"}), &with("aud", json!("admin")), Algorithm::HS256);
    assert!(verifier.verify(&admin).is_ok());
    assert!(
        verifier.verify(&sign(&json!({"alg": "HS256"}), &good_claims(), Algorithm::HS256)).is_err()
    );
}

#[cfg(all(feature = "jwks", feature = "token-cache"))]
mod cache {
    use super::super::{KeySet, TokenCache};
    use super::*;
    use proptest::{prelude::Strategy, prop_oneof};
    use std::sync::LazyLock;

    /// Key sets that follow each other: names that come, go, and change their key.
    static DOCUMENTS: LazyLock<Vec<String>> = LazyLock::new(|| {
        let der = |name: &str| {
            spki::Document::from_pem(std::str::from_utf8(&pem(name)).unwrap()).unwrap().1
        };
        let tail = |bytes: &[u8], from: usize, to: usize| {
            URL_SAFE_NO_PAD.encode(&bytes[bytes.len() - from..bytes.len() - to])
        };
        let (p256, ed) = (der("p256.pub"), der("ed25519.pub"));
        let (p256, ed) = (p256.as_bytes(), ed.as_bytes());
        let ec = |kid: &str| {
            json!({
                "kty": "EC", "crv": "P-256", "kid": kid, "x": tail(p256, 64, 32), "y": tail(p256, 32, 0),
            })
        };
        let okp =
            |kid: &str| json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": tail(ed, 32, 0)});
        let sets =
            [vec![ec("1")], vec![ec("1"), okp("2")], vec![okp("2")], vec![okp("1"), ec("2")]];
        sets.map(|keys| json!({ "keys": keys }).to_string()).to_vec()
    });

    static TOKENS: LazyLock<Vec<String>> = LazyLock::new(|| {
        let mut tokens = Vec::new();
        for (alg, algorithm) in [("ES256", Algorithm::ES256), ("EdDSA", Algorithm::EdDSA)] {
            for kid in [json!("1"), json!("2")] {
                for (life, not_before) in [(600, NOW), (3600, NOW + 300)] {
                    let mut claims = with("exp", json!(NOW + life));
                    claims["nbf"] = json!(not_before);
                    claims["sub"] = json!(format!("{alg}-{kid}-{life}"));
                    tokens.push(sign(&json!({"alg": alg, "kid": kid}), &claims, algorithm));
                }
            }
        }
        // A good one with another signature.
        let (good, other) =
            (tokens[0].rsplit_once('.').unwrap(), tokens[1].rsplit_once('.').unwrap());
        let forged = format!("{}.{}", good.0, other.1);
        tokens.push(forged);
        tokens
    });

    #[derive(Clone, Debug)]
    enum Step {
        Verify(usize),
        Advance(u64),
        SetBack(u64),
        Rotate(usize),
        Clear,
    }

    fn steps() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => (0..9_usize).prop_map(Step::Verify),
            2 => (0..900_u64).prop_map(Step::Advance),
            1 => (0..900_u64).prop_map(Step::SetBack),
            1 => (0..4_usize).prop_map(Step::Rotate),
            1 => proptest::prelude::Just(Step::Clear),
        ]
    }

    proptest! {
        #[test]
        fn a_cache_changes_no_verdict(steps in vec(steps(), 1..60), entries in 1..6_usize) {
            let clock = ManualClock::at(NOW);
            let (keys, install) = KeySet::by_hand(clock.shared());
            let cache = TokenCache::new(entries);
            let build = || JwtVerifier::builder()
                .key_set(keys.clone())
                .issuer("https://id.example")
                .audience("chat")
                .clock(clock.shared());
            let plain = build().build().unwrap();
            let cached = build().cache(cache.clone()).build().unwrap();
            // Another one that shares the cache, and must not share what it holds.
            let narrow = build().cache(cache.clone()).tenants(["t_other"]).build().unwrap();
            install(&DOCUMENTS[0]);
            for step in steps {
                match step {
                    Step::Verify(i) => {
                        let verdict = |verifier: &JwtVerifier| {
                            let auth = verifier.verify(&TOKENS[i]).map_err(|refused| refused.code())?;
                            let tenants = auth.tenants().count();
                            Ok::<_, &str>((auth.subject().to_string(), auth.expires_at(), tenants))
                        };
                        let expected = verdict(&plain);
                        prop_assert_eq!(verdict(&cached), expected.clone());
                        prop_assert_eq!(verdict(&cached), expected.clone(), "and again");
                        let narrowed = expected.and(Err("tenant.mismatch"));
                        prop_assert_eq!(verdict(&narrow), narrowed);
                    }
                    Step::Advance(seconds) => clock.advance(Duration::from_secs(seconds)),
                    Step::SetBack(seconds) => clock.set_back(Duration::from_secs(seconds)),
                    Step::Rotate(i) => install(&DOCUMENTS[i]),
                    Step::Clear => cache.clear(),
                }
                prop_assert!(cache.len() <= entries, "{} of {entries}", cache.len());
            }
        }
    }

    #[test]
    fn a_good_token_is_verified_once_and_what_is_forgotten_once_more() {
        let cache = TokenCache::bounded(100, 100_000);
        let verifier = builder().cache(cache.clone()).build().unwrap();
        let token = |subject: &str| {
            sign(&json!({"alg": "HS256"}), &with("sub", json!(subject)), Algorithm::HS256)
        };
        for _ in 0..3 {
            assert!(verifier.verify(&token("ada")).is_ok());
            assert!(verifier.verify(&token("bob")).is_ok());
            assert!(verifier.verify(&token("")).is_err());
        }
        assert_eq!(cache.len(), 2, "good ones only");
        cache.forget(|auth| auth.subject().as_str() == "ada");
        assert_eq!(cache.len(), 1);
        assert!(!format!("{cache:?}{verifier:?}").contains(&token("bob")));
        // Those of a verifier go with its last clone.
        let (clone, len) = (verifier.clone(), cache.len());
        drop(verifier);
        assert_eq!(cache.len(), len);
        drop(clone);
        assert_eq!((cache.len(), cache.bytes()), (0, 0));
        // Bytes bound it as well.
        let small = TokenCache::bounded(100, 3000);
        let verifier = builder().cache(small.clone()).build().unwrap();
        for i in 0..50 {
            verifier.verify(&token(&format!("u{i}"))).unwrap();
        }
        assert!(small.len() <= 4 && small.bytes() <= 3000, "{}", small.len());
    }

    /// A verifier of an audience of its own, and its tokens.
    fn party(cache: &TokenCache, name: &'static str) -> (JwtVerifier, impl Fn(usize) -> String) {
        let key = JwtKey::hmac(Algorithm::HS256, SECRET).unwrap();
        let verifier = JwtVerifier::builder().key(key).audience(name).cache(cache.clone());
        let verifier = verifier.clock(ManualClock::at(NOW).shared()).build().unwrap();
        let token = move |i: usize| {
            let claims = json!({"aud": name, "sub": format!("{name}-{i}"), "exp": NOW + 600});
            sign(&json!({"alg": "HS256"}), &claims, Algorithm::HS256)
        };
        (verifier, token)
    }

    /// Whether a token need not be verified.
    fn is_hit(verifier: &JwtVerifier, token: &str) -> bool {
        let (tries, verdict) = tries(|| verifier.verify(token));
        verdict.unwrap();
        tries == 0
    }

    #[test]
    fn a_flood_of_one_issuer_takes_nothing_from_another_one_that_keeps_to_its_share() {
        // Bounded by entries, by bytes, and in more parts than one core has.
        for cache in
            [TokenCache::new(100), TokenCache::bounded(10_000, 180_000), TokenCache::new(1000)]
        {
            let ((a, of_a), (b, of_b), (c, of_c)) =
                (party(&cache, "a"), party(&cache, "b"), party(&cache, "c"));
            // Alone, it uses all of it.
            let mut all = 0;
            while cache.len() == all {
                a.verify(&of_a(all)).unwrap();
                all += 1;
            }
            let all = cache.len();
            assert!(all >= 100, "{all}");
            // What it has too much of, it gives back.
            let share = all / 3;
            (0..share).for_each(|i| drop(b.verify(&of_b(i)).unwrap()));
            (0..share).for_each(|i| drop(c.verify(&of_c(i)).unwrap()));
            assert!((0..share).all(|i| is_hit(&b, &of_b(i)) && is_hit(&c, &of_c(i))), "{all}");
            (0..3 * all).for_each(|i| drop(a.verify(&of_a(10_000 + i)).unwrap()));
            assert!((0..share).all(|i| is_hit(&b, &of_b(i)) && is_hit(&c, &of_c(i))), "{all}");
            assert!(cache.len() <= all);
            // Nor does one that comes later, and what one had that went is anybody's.
            let (d, of_d) = party(&cache, "d");
            drop(c);
            (0..3 * all).for_each(|i| drop(d.verify(&of_d(i)).unwrap()));
            assert!((0..share).all(|i| is_hit(&b, &of_b(i))), "{all}");
            drop((a, d));
            assert_eq!(cache.len(), share);
            cache.clear();
            assert_eq!((cache.len(), cache.bytes()), (0, 0));
            assert!(!is_hit(&b, &of_b(0)) && is_hit(&b, &of_b(0)), "and goes on");
        }
    }

    #[test]
    fn what_is_used_stays_while_others_of_its_issuer_come_and_go() {
        let cache = TokenCache::new(50);
        let (a, of_a) = party(&cache, "a");
        assert!(!is_hit(&a, &of_a(0)));
        for i in 1..500 {
            a.verify(&of_a(i)).unwrap();
            assert!(is_hit(&a, &of_a(0)), "{i}");
        }
        assert_eq!(cache.len(), 50);
    }

    #[test]
    fn variants_of_a_verifier_do_not_take_each_others_tokens_away() {
        let cache = TokenCache::new(50);
        let (a, _) = party(&cache, "a");
        let b = a.clone().with_audience("b");
        let claims = json!({"aud": ["a", "b"], "sub": "ada", "exp": NOW + 600});
        let both = sign(&json!({"alg": "HS256"}), &claims, Algorithm::HS256);
        assert!(!is_hit(&a, &both) && !is_hit(&b, &both));
        assert!(is_hit(&a, &both) && is_hit(&b, &both));
    }
}

/// A clock that says, when nobody has it any more, whether the lock was free.
struct Probe<F: Fn() -> bool + Send + Sync> {
    is_free: F,
    was_free: std::sync::mpsc::Sender<bool>,
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

#[cfg(feature = "token-cache")]
#[test]
fn what_a_cache_forgets_is_freed_when_the_cache_is_not_locked() {
    use super::TokenCache;
    use std::sync::{Arc, mpsc};

    // How the verifier goes on is no matter: the token alone has its clock.
    for forget in [TokenCache::clear, |cache: &TokenCache| cache.forget(|_| true)] {
        let cache = TokenCache::new(10);
        let share = cache.share();
        let (was_free, drops) = mpsc::channel();
        let add = |token: &str| {
            let held = cache.clone();
            let probe = Probe { is_free: move || held.is_free(), was_free: was_free.clone() };
            let auth =
                AuthContext::new(crate::id::Subject::new("ada").unwrap(), from_unix(NOW + 9));
            let auth = auth.with_clock(Arc::new(probe));
            share.insert(1, 0, token, super::rules::Checked { auth, not_before: None });
        };
        add("one");
        add("two");
        assert!(drops.try_recv().is_err(), "both are held");
        forget(&cache);
        assert_eq!(drops.try_iter().collect::<Vec<_>>(), [true, true]);
        add("three");
        assert_eq!(cache.len(), 1);
        drop(share);
        assert_eq!(drops.try_iter().collect::<Vec<_>>(), [true]);
    }
}
