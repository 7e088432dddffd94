//! Algorithms: a key verifies one algorithm, whatever `alg` the token has.

use super::support::{SECRET, builder, good_claims, minter, pem, public, sign, verify};
use crate::auth::jwt::{Algorithm, JwtKey, JwtVerifierBuilder, material::Material};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::EncodingKey;
use serde_json::json;

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
fn a_public_key_is_never_used_as_a_secret() {
    // The attacker signs with the text of the public key as a secret.
    let key = EncodingKey::from_secret(&pem("rsa.pub"));
    let token = minter(Algorithm::HS256, key).sign(r#"{"alg":"HS256"}"#, good_claims());
    let rsa = JwtVerifierBuilder { keys: vec![public("rsa.pub")], ..builder() };
    assert_eq!(verify(&rsa, &token).err(), Some("auth.invalid"));
}

/// RFC 9864 section 2.2.
#[test]
fn ed25519_is_another_name_of_eddsa() {
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
