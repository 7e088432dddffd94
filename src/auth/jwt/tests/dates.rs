//! Dates: which values are dates, and when a token has expired.

use super::support::{NOW, builder, sign, sign_text, verify, verify_claims, with};
use crate::{
    auth::jwt::{Algorithm, token_error::TokenError},
    clock::from_unix,
};
use serde_json::{Value, json};
use std::time::Duration;

#[test]
fn a_date_must_be_in_the_years_1970_to_9999() {
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
    // The notation of the number makes no difference, and a fraction is cut off.
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
fn only_an_otherwise_good_token_is_reported_as_expired() {
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
