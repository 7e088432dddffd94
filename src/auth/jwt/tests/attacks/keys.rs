//! JWKs that no verifier should trust.

use super::{
    super::support::{SECRET, backends, builder, der, sign, verify},
    service::{claims, now, plain},
};
use crate::{
    auth::jwt::{Algorithm, JwtKey, JwtVerifierBuilder},
    testing::ManualClock,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

fn text(bytes: &[u8]) -> Value {
    json!(URL_SAFE_NO_PAD.encode(bytes))
}

/// The key of `p256.pub`. Its DER ends with the two coordinates.
fn ec() -> Value {
    let der = der("p256.pub");
    let (x, y) = der[der.len() - 64..].split_at(32);
    json!({"kty": "EC", "crv": "P-256", "x": text(x), "y": text(y)})
}

/// The key of `rsa.pub`. Its DER ends with the modulus, two bytes of tag and length, and the exponent.
fn rsa() -> Value {
    let der = der("rsa.pkcs1.pub");
    json!({"kty": "RSA", "n": text(&der[der.len() - 261..der.len() - 5]), "e": "AQAB"})
}

fn secret() -> Value {
    json!({"kty": "oct", "k": text(SECRET)})
}

/// `jwk` with other values for these members. `null` counts as absent.
fn but(mut jwk: Value, members: &Value) -> Value {
    jwk.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    jwk
}

fn trusting(keys: Vec<JwtKey>) -> JwtVerifierBuilder {
    JwtVerifierBuilder { keys, ..builder().clock(ManualClock::at(now()).shared()) }
}

/// RFC 7517 section 4, RFC 7518 sections 3 and 6, RFC 8725 section 3.5.
#[test]
fn a_weak_broken_or_unsuitable_jwk_is_refused_when_the_verifier_is_built() {
    for (algorithm, good, changes) in [
        (
            Algorithm::ES256,
            ec(),
            vec![
                json!({"use": "enc"}),
                json!({"key_ops": ["encrypt"]}),
                json!({"key_ops": ["sign"]}),
                json!({"alg": "ES224"}),
                json!({"alg": "ES384"}),
                json!({"alg": "ES512"}),
                json!({"alg": "ES521"}),
                json!({"alg": "HS256"}),
                json!({"alg": "RS256"}),
                json!({"alg": "ECDH-ES"}),
                json!({"crv": "P-384"}),
                json!({"crv": "P-521"}),
                json!({"crv": "secp256k1"}),
                json!({"kty": "OKP"}),
                json!({"kty": "RSA"}),
                json!({"kty": "oct"}),
                json!({"d": "AQ"}),
                json!({"y": null}),
                // A point that is not on the curve, and the point at infinity.
                json!({"y": ec()["x"]}),
                json!({"x": text(&[0; 32]), "y": text(&[0; 32])}),
                json!({"x": text(&[0xff; 32])}),
                // RFC 7518 section 6.2.1.2: coordinates have exactly their full length.
                json!({"x": text(&[1; 31])}),
                json!({"x": text(&[0; 33])}),
            ],
        ),
        (
            Algorithm::RS256,
            rsa(),
            vec![
                json!({"use": "enc"}),
                json!({"key_ops": ["encrypt"]}),
                json!({"key_ops": ["wrapKey", "unwrapKey"]}),
                json!({"alg": "RSA1_5"}),
                json!({"alg": "RSA-OAEP-256"}),
                json!({"alg": "HS256"}),
                json!({"alg": "ES256"}),
                json!({"kty": "EC"}),
                json!({"kty": "oct"}),
                json!({"d": "AQ"}),
                json!({"oth": [{"r": "AQ"}]}),
                // With the exponent 1, the signature equals the padded hash, so anybody can forge it.
                json!({"e": "AQ"}),
                json!({"e": "AA"}),
                json!({"e": "Aw"}),
                json!({"e": "AQAC"}),
                json!({"e": null}),
                json!({"n": text(&[0xff; 128])}),
                json!({"n": text(&[0xff; 255])}),
                json!({"n": null}),
            ],
        ),
        (
            Algorithm::HS256,
            secret(),
            vec![
                json!({"k": ""}),
                json!({"k": text(&SECRET[..31])}),
                json!({"k": text(&SECRET[..47]), "alg": "HS384"}),
                json!({"alg": "HS512"}),
                json!({"alg": "A256GCM"}),
                json!({"alg": "A256KW"}),
                json!({"alg": "dir"}),
                json!({"alg": "RS256"}),
                json!({"use": "enc"}),
                json!({"key_ops": ["encrypt"]}),
            ],
        ),
    ] {
        let token = sign(&plain(algorithm), &claims(), algorithm);
        let control = JwtKey::jwk(&good.to_string()).unwrap();
        assert!(verify(&trusting(vec![control]), &token).is_ok(), "{algorithm:?}");
        for change in changes {
            let jwk = but(good.clone(), &change).to_string();
            for backend in backends() {
                let built =
                    JwtKey::jwk(&jwk).and_then(|key| trusting(vec![key]).backend(backend).build());
                assert!(built.is_err(), "{algorithm:?} key with {change} on {backend:?}");
            }
        }
    }
}

/// An issuer publishes its key set, so everybody knows a secret in it.
#[test]
fn a_secret_in_a_key_set_verifies_nothing() {
    let signed = |algorithm| sign(&plain(algorithm), &claims(), algorithm);
    let (by_secret, by_key) = (signed(Algorithm::HS256), signed(Algorithm::ES256));
    let mixed = json!({"keys": [secret(), ec()]}).to_string();
    let mixed = trusting(JwtKey::jwks(&mixed).unwrap());
    assert!(verify(&mixed, &by_key).is_ok());
    assert_eq!(verify(&mixed, &by_secret).err(), Some("auth.invalid"));
    assert!(JwtKey::jwks(&json!({"keys": [secret()]}).to_string()).is_err());
    // The same secret verifies if the application configures it.
    let alone = JwtKey::jwk(&secret().to_string()).unwrap();
    assert!(verify(&trusting(vec![alone]), &by_secret).is_ok());
}
