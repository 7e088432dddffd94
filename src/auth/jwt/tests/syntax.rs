//! Syntax: the parts of a token, its header, and its JSON.

use super::support::{builder, good_claims, jwks, sign, sign_text, verify};
use crate::{
    auth::jwt::{Algorithm, JwtKey, token_error::TokenError},
    json::Fault,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use proptest::{collection::vec, prop_assert, proptest};
use serde_json::json;

#[test]
fn headers_with_another_algorithm_extension_or_type_are_refused() {
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
fn texts_that_are_not_a_strict_jws_are_refused() {
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
    fn no_random_text_passes_or_panics(text in "[A-Za-z0-9_.=-]{0,200}|\\PC{0,60}", bytes in vec(0..=255_u8, 0..60)) {
        prop_assert!(verify(&builder(), &text).is_err());
        let forged = format!("{}.{}.{}", URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#), URL_SAFE_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes));
        prop_assert!(verify(&builder(), &forged).is_err());
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
    // The same at the top level of the object.
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
