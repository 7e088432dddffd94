//! The choice of the key: by `kid`, or by trying a few keys.

use super::support::{
    SECRET, backends, builder, garbage, good_claims, jwks, public, sign, some_rsa, tries, verify,
};
use crate::{
    auth::jwt::{Algorithm, JwtConfigError, JwtKey, JwtVerifierBuilder, token_error::TokenError},
    json::Fault,
};
use serde_json::json;

#[test]
fn a_token_tries_only_a_few_keys_and_only_keys_that_fit_its_signature() {
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
        // For a known header, the key that remembers it is tried first. This counts as a try.
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

        // If there are more keys than a token may try, the verifier cannot be built, unless each key has its
        // own `kid`.
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
fn a_very_long_header_is_not_remembered() {
    let key = JwtKey::hmac(Algorithm::HS256, SECRET).unwrap().ready(backends()[0]).unwrap();
    let header = crate::auth::jwt::header::Header {
        algorithm: Algorithm::HS256,
        kid: None,
        is_access_token: false,
    };
    let long = "x".repeat(513);
    key.remember(&long, &header);
    assert!(key.knows(&long).is_none());
    key.remember("x", &header);
    assert!(key.knows("x").is_some());
}

#[test]
fn the_kid_selects_the_key_and_keys_without_a_kid_are_tried_for_an_unknown_kid() {
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
    assert!(verify(&named, &token(Some("a"))).is_err(), "the other key has that `kid`");
    assert!(verify(&named, &token(Some("c"))).is_err(), "no key has that `kid`");
    let unnamed = keys(vec![other, ours]);
    assert!(verify(&unnamed, &token(Some("c"))).is_ok());
}

/// RFC 7517 section 4.5: several keys may have one `kid`, for example for different algorithms.
#[test]
fn keys_with_the_same_kid_are_tried_in_turn_and_a_duplicate_key_counts_once() {
    let secret = |i: u8| JwtKey::hmac(Algorithm::HS256, [i; 32]).unwrap().with_kid("a");
    let ours = || JwtKey::hmac(Algorithm::HS256, SECRET).unwrap().with_kid("a");
    let header = json!({"alg": "HS256", "kid": "a"});
    let token = sign(&header, &good_claims(), Algorithm::HS256);
    for backend in backends() {
        let build =
            |keys: Vec<JwtKey>| JwtVerifierBuilder { keys, ..builder() }.backend(backend).build();
        // Other keys with the same `kid` come first. One of them is for another algorithm.
        let of_384 = JwtKey::hmac(Algorithm::HS384, [9; 48]).unwrap().with_kid("a");
        let several = build(vec![of_384, secret(0), secret(1), ours()]).unwrap();
        assert_eq!(tries(|| several.verify(&token).is_ok()), (3, true));
        assert_eq!(
            tries(|| several.verify(&token).is_ok()),
            (1, true),
            "the key remembers the header"
        );
        assert_eq!(tries(|| several.verify(&garbage(&header, 32)).is_ok()), (3, false));
        let twice = build(vec![ours(), ours(), secret(0), ours(), ours(), ours()]).unwrap();
        assert_eq!(tries(|| twice.verify(&garbage(&header, 32)).is_ok()), (2, false));
        let crowd = build((0..4).map(secret).chain([ours()]).collect()).unwrap_err();
        let JwtConfigError::TooManyAlike { kid: Some(kid), count: 5, .. } = &crowd else {
            panic!("{crowd}");
        };
        assert!(kid == "a" && crowd.to_string().contains("its own `kid`"), "{crowd}");
        // A token without a `kid` tries a key once, even if the key is listed with two `kid`s.
        let both = build(vec![secret(0), secret(0).with_kid("b")]).unwrap();
        assert_eq!(
            tries(|| both.verify(&garbage(&json!({"alg": "HS256"}), 32)).is_ok()),
            (1, false)
        );
    }
}

#[test]
fn a_jwk_set_gives_its_usable_keys_and_verifies_the_rfc_vector() {
    let keys = JwtKey::jwks(&jwks().to_string()).unwrap();
    assert_eq!(keys.iter().filter_map(|key| key.kid.as_deref()).collect::<Vec<_>>(), ["ed", "ec"]);
    // RFC 8037 appendix A.4: the signature is good, but the payload is not JSON.
    let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    for backend in backends() {
        let verifier = builder().keys(keys.clone()).backend(backend).build().unwrap();
        assert_eq!(verifier.check(token).unwrap_err(), TokenError::Json(Fault::Grammar));
        let forged = token.replace("hgyY", "hgyZ");
        assert_eq!(verifier.check(&forged).unwrap_err(), TokenError::Signature);
    }
}
