//! Claims that are absent, wrong, or of the wrong type.

use super::{
    super::support::sign_text,
    service::{Accepts, Member, Refuses, Service, claims, hs256, now, plain, with},
};
use crate::auth::jwt::Algorithm;
use serde_json::{Value, json};

#[test]
fn attacks_with_absent_wrong_or_mistyped_claims_are_refused() {
    let service = Service::of(Algorithm::HS256);
    let some = |value: Value| Some(value);
    let (issuer, later) = (some(json!("https://id.example")), some(json!(now() + 600)));
    let (aud, sub, tenant) = (some(json!("chat")), some(json!("auth0|ada")), some(json!("t_a")));
    let past = some(json!(now() - 600));
    let table: Vec<Member> = vec![
        ("iss", None, issuer.clone(), "absent", Accepts),
        ("iss", some(Value::Null), issuer.clone(), "null", Accepts),
        ("iss", some(json!(5)), issuer.clone(), "a number", Accepts),
        ("iss", some(json!({})), issuer.clone(), "an object", Accepts),
        ("iss", some(json!(["https://id.example"])), issuer.clone(), "an array", Accepts),
        (
            "iss",
            some(json!(["https://evil.example", "https://id.example"])),
            issuer.clone(),
            "an array that also names ours",
            Accepts,
        ),
        ("iss", some(json!("https://evil.example")), issuer.clone(), "foreign", Refuses),
        ("iss", some(json!("https://id.example/")), issuer.clone(), "a slash", Refuses),
        ("iss", some(json!("https://ID.example")), issuer.clone(), "other case", Refuses),
        ("iss", some(json!("https://id.example.evil")), issuer.clone(), "a prefix", Refuses),
        ("iss", some(json!("https://id.example\u{0}")), issuer, "a NUL", Refuses),
        ("aud", None, aud.clone(), "absent", Accepts),
        ("aud", some(Value::Null), aud.clone(), "null", Accepts),
        ("aud", some(json!(5)), aud.clone(), "a number", Accepts),
        ("aud", some(json!({"chat": true})), aud.clone(), "an object", Accepts),
        ("aud", some(json!(["chat", 5])), some(json!(["chat", "x"])), "mixed", Accepts),
        ("aud", some(json!([null])), some(json!(["chat", null])), "only null", Accepts),
        ("aud", some(json!([["chat"]])), some(json!(["chat"])), "nested", Accepts),
        ("aud", some(json!([])), some(json!(["chat"])), "empty", Refuses),
        ("aud", some(json!("billing")), aud.clone(), "of another service", Refuses),
        ("aud", some(json!(["billing"])), some(json!(["billing", "chat"])), "of another", Refuses),
        ("aud", some(json!("Chat")), aud.clone(), "other case", Refuses),
        ("aud", some(json!("chat ")), aud.clone(), "a space", Refuses),
        ("aud", some(json!("chat,billing")), aud.clone(), "a list in a string", Refuses),
        ("aud", some(json!("cha")), aud, "a substring", Refuses),
        ("sub", None, sub.clone(), "absent", Accepts),
        ("sub", some(Value::Null), sub.clone(), "null", Accepts),
        ("sub", some(json!("")), sub.clone(), "empty", Accepts),
        ("sub", some(json!(7)), sub.clone(), "a number", Accepts),
        ("sub", some(json!(["auth0|ada"])), sub.clone(), "an array", Refuses),
        ("sub", some(json!("auth0|ada\n")), sub, "a line break", Accepts),
        ("sub", some(json!("a".repeat(256))), some(json!("a".repeat(255))), "long", Accepts),
        ("exp", None, later.clone(), "absent", Refuses),
        ("exp", some(Value::Null), later.clone(), "null", Refuses),
        ("exp", some(json!(true)), later.clone(), "a boolean", Refuses),
        ("exp", some(json!((now() + 600).to_string())), later.clone(), "a string", Refuses),
        ("exp", some(json!([now() + 600])), later.clone(), "an array", Refuses),
        ("exp", some(json!({})), later.clone(), "an object", Refuses),
        ("exp", some(json!(-1)), later.clone(), "negative", Refuses),
        ("exp", some(json!(i64::MIN)), later.clone(), "very negative", Refuses),
        ("exp", some(json!(-1e18)), later, "a negative float", Refuses),
        ("nbf", some(json!(now() + 600)), past.clone(), "in the future", Accepts),
        ("nbf", some(json!(1e300)), None, "after the year 9999", Accepts),
        ("nbf", some(json!(now().to_string())), past.clone(), "a string", Accepts),
        ("nbf", some(json!(-1)), some(json!(0)), "negative", Accepts),
        ("iat", some(json!(now() + 86_400)), past.clone(), "tomorrow", Accepts),
        ("iat", some(json!("now")), past, "a string", Accepts),
        // The guard compares names, so a value of another type must not turn into a name.
        ("tenant_id", some(json!(1.5)), some(json!(15)), "a fraction", Accepts),
        ("tenant_id", some(json!(true)), tenant.clone(), "a boolean", Accepts),
        ("tenant_id", some(json!({"t_a": true})), tenant, "an object", Accepts),
        ("tenant_ids", some(json!(["t_b", {}])), some(json!(["t_b", null])), "mixed", Accepts),
        ("tenant_ids", some(json!([["t_b"]])), some(json!("t_b")), "nested", Accepts),
        ("env", some(json!(1)), some(json!(["prod"])), "a number", Accepts),
        ("envs", some(json!({"prod": true})), some(json!(["prod"])), "an object", Accepts),
    ];
    let mut accepted_alone = 0;
    for (claim, attack, control, what, alone) in table {
        let token = |value| hs256(&plain(Algorithm::HS256), &with(claims(), claim, value));
        let name = format!("claim {claim}: {what}");
        service.withstands(&name, &token(attack), &token(control), "auth.invalid", alone);
        accepted_alone += usize::from(alone == Accepts);
    }
    assert_eq!(accepted_alone, 32);
}

#[test]
fn an_expired_token_is_reported_as_expired_and_a_token_that_never_expires_is_invalid() {
    let service = Service::of(Algorithm::HS256);
    let token = |exp: Value| hs256(&plain(Algorithm::HS256), &with(claims(), "exp", Some(exp)));
    let control = token(json!(now() + 600));
    for over in [json!(now() - 120), json!(0), json!(-0.0), json!(0.5), json!(1)] {
        let name = format!("exp {over}");
        service.withstands(&name, &token(over), &control, "auth.expired", Refuses);
    }
    // The last second of the year 9999 is the last date that is accepted.
    for (never, alone) in [
        (json!(253_402_300_800_u64), Accepts),
        (json!(1e18), Accepts),
        (json!(u64::MAX), Accepts),
        (json!(1e300), Refuses),
    ] {
        let name = format!("exp {never}");
        service.withstands(&name, &token(never), &control, "auth.invalid", alone);
    }
    for far in [json!(253_402_300_799_u64), json!(now() as f64 + 600.75)] {
        assert!(service.ours(&token(far.clone())).unwrap().remaining().is_ok(), "{far}");
    }
    // This number is too large for an `f64`.
    let claims = claims().to_string();
    let endless = claims.replacen("\"exp\":", "\"exp\":1e400,\"was\":", 1);
    let endless = sign_text(r#"{"alg":"HS256"}"#, &endless, Algorithm::HS256);
    service.withstands("exp 1e400", &endless, &control, "auth.invalid", Refuses);
}
