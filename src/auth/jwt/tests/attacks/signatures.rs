//! Forged signatures, and keys that are used as another kind of key.

use super::{
    super::support::{der, minter, pem, sign},
    service::{Refuses, Service, claims, hs256, plain, with},
};
use crate::auth::jwt::Algorithm;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::EncodingKey;
use serde_json::{Value, json};

#[test]
fn unsigned_tokens_are_refused_with_every_spelling_of_alg() {
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
fn forged_signatures_are_refused() {
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
            ("a zero in front", [&[0], &signature[..]].concat()),
            ("twice", [&signature[..], &signature[..]].concat()),
            ("of another token", other),
        ] {
            let name = format!("{algorithm:?} signature: {name}");
            service.withstands(&name, &forged(&attack), &control, "auth.invalid", Refuses);
        }
        // The signature is right, but belongs to another header or to other claims.
        let labelled = with(plain(algorithm), "typ", Some(json!("JWT")));
        let raised = with(claims(), "roles", Some(json!(["admin"])));
        for (name, header, claims) in
            [("another header", labelled, claims()), ("other claims", plain(algorithm), raised)]
        {
            let part = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
            let signature = URL_SAFE_NO_PAD.encode(&signature);
            let attack = format!("{}.{}.{signature}", part(header), part(claims));
            let name = format!("{algorithm:?} signature under {name}");
            service.withstands(&name, &attack, &control, "auth.invalid", Refuses);
        }
    }
}

/// The order of P-256 (SP 800-186 section 3.2.1.3), big-endian.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

#[test]
fn an_ecdsa_signature_with_special_numbers_is_refused() {
    let service = Service::of(Algorithm::ES256);
    let control = sign(&plain(Algorithm::ES256), &claims(), Algorithm::ES256);
    let (message, signature) = control.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let (r, s) = signature.split_at(32);
    let withstands = |name: &str, signature: &[u8]| {
        let attack = format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature));
        service.withstands(name, &attack, &control, "auth.invalid", Refuses);
    };
    let (mut one, mut before, mut after) = ([0; 32], ORDER, ORDER);
    one[31] = 1;
    before[31] -= 1;
    after[31] += 1;
    // CVE-2022-21449 is the pair of zeros.
    let special = [[0; 32], one, before, ORDER, after, [0xff; 32]];
    for first in special {
        for second in special {
            let name = format!("r is {first:02x?}, s is {second:02x?}");
            withstands(&name, &[first, second].concat());
        }
        withstands(&format!("r is {first:02x?}"), &[&first[..], s].concat());
        withstands(&format!("s is {first:02x?}"), &[r, &first[..]].concat());
    }
    withstands("s in front of r", &[s, r].concat());
    withstands("more zeros behind", &[r, s, &[0; 32][..]].concat());
    withstands("wider numbers", &[&[0][..], r, &[0], s].concat());
    // RFC 7518 section 3.4: the signature is the two numbers, one after the other, not DER.
    let integer = |number: &[u8]| {
        let sign = vec![0; usize::from(number[0] >= 0x80)];
        let length = u8::try_from(sign.len() + number.len()).unwrap();
        [&[2, length][..], &sign, number].concat()
    };
    let body = [integer(r), integer(s)].concat();
    withstands("in DER", &[&[0x30, u8::try_from(body.len()).unwrap()][..], &body].concat());
}

#[test]
fn an_rsa_signature_that_is_special_or_not_below_the_modulus_is_refused() {
    let service = Service::of(Algorithm::RS256);
    // RFC 8017 appendix A.1.1: after the modulus comes an exponent of three bytes.
    let der = der("rsa.pkcs1.pub");
    let modulus = der[der.len() - 261..der.len() - 5].to_vec();
    // Find a signature that has the same length after the modulus is added to it.
    let (control, sum) = (0..100)
        .find_map(|i| {
            let claims = with(claims(), "sub", Some(json!(format!("u{i}"))));
            let token = sign(&plain(Algorithm::RS256), &claims, Algorithm::RS256);
            let signature = URL_SAFE_NO_PAD.decode(token.rsplit_once('.').unwrap().1).unwrap();
            let (mut sum, mut carry) = (vec![0; 256], 0);
            for at in (0..256).rev() {
                let digit = u16::from(signature[at]) + u16::from(modulus[at]) + carry;
                (sum[at], carry) = ((digit & 0xff) as u8, digit >> 8);
            }
            (carry == 0).then_some((token, sum))
        })
        .unwrap();
    let message = control.rsplit_once('.').unwrap().0;
    let (mut one, mut before) = (vec![0; 256], modulus.clone());
    one[255] = 1;
    before[255] -= 1;
    for (name, signature) in [
        ("zero", vec![0; 256]),
        ("one", one),
        ("one less than the modulus", before),
        ("the modulus", modulus),
        ("the signature and the modulus", sum),
    ] {
        let attack = format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature));
        service.withstands(name, &attack, &control, "auth.invalid", Refuses);
    }
}

#[test]
fn a_key_verifies_one_algorithm_of_its_family() {
    use Algorithm::{
        ES256, ES384, EdDSA, HS256, HS384, HS512, PS256, PS384, PS512, RS256, RS384, RS512,
    };
    for (algorithm, others) in [
        (RS256, &[RS384, RS512, PS256, PS384, HS256, ES256][..]),
        (PS256, &[RS256, RS384, PS384, PS512][..]),
        (PS512, &[RS256, RS512, PS256, PS384][..]),
        (HS256, &[HS384, HS512, RS256, EdDSA][..]),
        (ES256, &[ES384, HS256, EdDSA][..]),
        (EdDSA, &[ES256, HS256, RS256][..]),
    ] {
        let service = Service::of(algorithm);
        let control = sign(&plain(algorithm), &claims(), algorithm);
        for other in others {
            // First the other algorithm signs the token. Then only the header names the other algorithm.
            for by in [*other, algorithm] {
                let attack = sign(&plain(*other), &claims(), by);
                let name = format!("{other:?} token, signed by {by:?}, for a key of {algorithm:?}");
                service.withstands(&name, &attack, &control, "auth.invalid", Refuses);
            }
        }
    }
}

#[test]
fn no_form_of_a_public_key_works_as_a_secret() {
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
