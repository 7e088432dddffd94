//! Signatures that prove nothing, and keys that are taken for another kind.

use super::{
    super::support::{minter, pem, sign},
    service::{Refuses, Service, claims, hs256, plain, with},
};
use crate::auth::jwt::Algorithm;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::EncodingKey;
use serde_json::{Value, json};

#[test]
fn unsigned_tokens_are_refused_whatever_they_call_it() {
    let service = Service::of(Algorithm::HS256);
    let control = hs256(&plain(Algorithm::HS256), &claims());
    let signature = control.rsplit_once('.').unwrap().1;
    for alg in ["none", "None", "NONE", "nOnE", "none ", "", "null", "HS256 ", "hs256", "Hs256"] {
        let signed = hs256(&json!({"alg": alg}), &claims());
        let (message, right) = signed.rsplit_once('.').unwrap();
        for attack in [format!("{message}."), format!("{message}.{signature}"), signed.clone()] {
            let name = format!("alg `{alg}`: {attack}");
            service.withstands(&name, &attack, &control, "auth.invalid", Refuses);
        }
        assert_ne!(right, signature);
    }
    for alg in [Value::Null, json!(["HS256"]), json!({"alg": "HS256"}), json!(256), json!(true)] {
        let attack = hs256(&json!({"alg": alg}), &claims());
        service.withstands("alg of another type", &attack, &control, "auth.invalid", Refuses);
    }
    let attack = hs256(&json!({"typ": "JWT"}), &claims());
    service.withstands("no alg", &attack, &control, "auth.invalid", Refuses);
}

#[test]
fn signatures_that_prove_nothing_are_refused() {
    for algorithm in [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        let service = Service::of(algorithm);
        let control = sign(&plain(algorithm), &claims(), algorithm);
        let (message, signature) = control.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let other = sign(&plain(algorithm), &with(claims(), "sub", Some(json!("b"))), algorithm);
        let other = URL_SAFE_NO_PAD.decode(other.rsplit_once('.').unwrap().1).unwrap();
        let forged = |signature: &[u8]| format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature));
        for (name, attack) in [
            ("empty", vec![]),
            // CVE-2022-21449 for ES256.
            ("zeros", vec![0; signature.len()]),
            ("ones", vec![0xff; signature.len()]),
            ("cut by one", signature[..signature.len() - 1].to_vec()),
            ("cut in half", signature[..signature.len() / 2].to_vec()),
            ("longer by one", [&signature[..], &[0]].concat()),
            ("led by a zero", [&[0], &signature[..]].concat()),
            ("twice", [&signature[..], &signature[..]].concat()),
            ("of another token", other),
        ] {
            let name = format!("{algorithm:?} signature: {name}");
            service.withstands(&name, &forged(&attack), &control, "auth.invalid", Refuses);
        }
    }
}

#[test]
fn one_key_serves_one_algorithm_also_within_its_family() {
    use Algorithm::{ES256, ES384, EdDSA, HS256, HS384, HS512, PS256, PS384, RS256, RS384, RS512};
    for (algorithm, others) in [
        (RS256, &[RS384, RS512, PS256, PS384, HS256, ES256][..]),
        (HS256, &[HS384, HS512, RS256, EdDSA][..]),
        (ES256, &[ES384, HS256, EdDSA][..]),
        (EdDSA, &[ES256, HS256, RS256][..]),
    ] {
        let service = Service::of(algorithm);
        let control = sign(&plain(algorithm), &claims(), algorithm);
        for other in others {
            // Signed by who may sign, in the other algorithm; then with only the label changed.
            for by in [*other, algorithm] {
                let attack = sign(&plain(*other), &claims(), by);
                let name = format!("{other:?} token, signed by {by:?}, for a key of {algorithm:?}");
                service.withstands(&name, &attack, &control, "auth.invalid", Refuses);
            }
        }
    }
}

#[test]
fn a_public_key_in_any_of_its_forms_is_no_secret() {
    // CVE-2016-10555, CVE-2022-29217, CVE-2024-33663: the attacker knows the public key.
    for (algorithm, name) in [
        (Algorithm::RS256, "rsa.pub"),
        (Algorithm::RS256, "rsa.pkcs1.pub"),
        (Algorithm::ES256, "p256.pub"),
        (Algorithm::EdDSA, "ed25519.pub"),
    ] {
        let service = Service::of(algorithm);
        let control = sign(&plain(algorithm), &claims(), algorithm);
        let pem = pem(name);
        let text = std::str::from_utf8(&pem).unwrap();
        let der = spki::Document::from_pem(text).unwrap().1.to_vec();
        let unbroken = text.trim_end().as_bytes().to_vec();
        let raw = der[der.len() - 32..].to_vec();
        for secret in [pem.clone(), unbroken, der, raw, vec![]] {
            for hash in [Algorithm::HS256, Algorithm::HS512] {
                let attacker = minter(hash, EncodingKey::from_secret(&secret));
                let attack = attacker.sign(plain(hash), claims());
                let name = format!("{name} as a secret of {} bytes", secret.len());
                service.withstands(&name, &attack, &control, "auth.invalid", Refuses);
            }
        }
    }
}
