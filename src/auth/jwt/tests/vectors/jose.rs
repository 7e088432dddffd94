//! The Wycheproof vectors for JWS and JWK. No crate contains them, so these tests are ignored by default.
//!
//! The tests in `attacks` make tokens with the same attacks, and need no files.

use super::{
    super::support::backends,
    support::{list, opens},
};
use crate::auth::jwt::{JwtKey, JwtVerifier};
use serde_json::Value;

/// Reads a file from the directory in the environment variable `WYCHEPROOF_DIR`.
///
/// No crate contains these files, and they are not in this repository. Get `json_web_signature_test.json` and
/// `json_web_key_test.json` from the folder `testvectors_v1` of the repository C2SP/wycheproof. If you run a
/// test without the files, it fails, because it cannot check anything.
fn vectors(file: &str) -> Value {
    let directory = std::env::var_os("WYCHEPROOF_DIR").filter(|directory| !directory.is_empty());
    let directory = directory.expect(
        "WYCHEPROOF_DIR is not set: set it to a directory with json_web_signature_test.json \
         and json_web_key_test.json, from testvectors_v1 of https://github.com/C2SP/wycheproof",
    );
    let path = std::path::Path::new(&directory).join(file);
    let text = std::fs::read_to_string(&path);
    let text = text.unwrap_or_else(|error| {
        panic!("cannot read a file in WYCHEPROOF_DIR: {}: {error}", path.display())
    });
    serde_json::from_str(&text).unwrap()
}

/// Runs the tests of the file, each with the keys of its group, and compares our verdicts with those of the
/// file. They must differ for the `exceptions`, and for no other test.
fn hold_against(
    file: &str,
    tests: usize,
    exceptions: &[(u64, &str)],
    keys: impl Fn(&Value) -> Option<Vec<JwtKey>>,
) {
    let json = vectors(file);
    for backend in backends() {
        let (mut seen, mut accepted, mut differ) = (0, 0, Vec::new());
        for group in list(&json, "testGroups") {
            let keys = keys(group);
            let verifier = keys.map(|keys| JwtVerifier::builder().keys(keys).backend(backend));
            let verifier = verifier.and_then(|verifier| verifier.build().ok());
            for test in list(group, "tests") {
                let token = test["jws"].as_str().unwrap();
                let ours = verifier.as_ref().is_some_and(|verifier| opens(verifier, token));
                if ours != (test["result"] == "valid") {
                    differ.push(test["tcId"].as_u64().unwrap());
                }
                accepted += usize::from(ours);
                seen += 1;
            }
        }
        let listed: Vec<u64> = exceptions.iter().map(|(id, _)| *id).collect();
        assert_eq!(differ, listed, "{file} on {backend:?}");
        assert_eq!(seen, tests, "{file}");
        let valid = list(&json, "testGroups").iter().flat_map(|group| list(group, "tests"));
        let valid = valid.filter(|test| test["result"] == "valid").count();
        assert!(accepted > valid / 2, "{file} on {backend:?}: only {accepted} accepted");
    }
}

/// The JWS vectors with another verdict than ours, and the reasons.
const JWS_EXCEPTIONS: [(u64, &str); 8] = [
    (
        346,
        "RFC 7520 figure 20: a PS384 token, but the JWK says PS256, and the key determines the algorithm",
    ),
    (347, "RFC 7520 figure 27: P-521, which neither backend verifies"),
    (350, "like 346, with `key_ops`"),
    (351, "like 347, with `key_ops`"),
    (367, "a defect of the vector: its label says wrong padding, but it has no padding, like 357"),
    (370, "the same defect, in the payload"),
    (
        372,
        "an invalid `?` in the header: the vector expects a decoder that skips it, but we are strict",
    ),
    (373, "the same in the payload"),
];

#[test]
#[ignore = "reads the Wycheproof vectors: set WYCHEPROOF_DIR"]
fn wycheproof_jws_verdicts_agree_with_ours_except_for_eight_listed_tests() {
    assert_eq!(JWS_EXCEPTIONS.len(), 8);
    hold_against("json_web_signature_test.json", 401, &JWS_EXCEPTIONS, |group| {
        // A secret has no public key.
        let jwk = group.get("public").unwrap_or(&group["private"]);
        JwtKey::jwk(&jwk.to_string()).ok().map(|key| vec![key])
    });
}

/// The JWK vectors with another verdict than ours, and the reasons.
const JWK_EXCEPTIONS: [(u64, &str); 1] =
    [(7, "a ROCA key (CVE-2017-15361): neither we nor the backends check how a key was generated")];

#[test]
#[ignore = "reads the Wycheproof vectors: set WYCHEPROOF_DIR"]
fn wycheproof_jwk_verdicts_agree_with_ours_except_for_one_listed_test() {
    assert_eq!(JWK_EXCEPTIONS.len(), 1);
    hold_against("json_web_key_test.json", 26, &JWK_EXCEPTIONS, |group| {
        // An issuer publishes its key set, so we do not use the secrets of a mixed set. The vectors expect
        // that. If a set has only secrets, the vectors expect that we use them. So the test reads them one by
        // one, as an application would, and a bad secret is an error.
        let set = group.get("public").unwrap_or(&group["private"]);
        let one_by_one = || {
            let jwks = list(set, "keys").iter();
            jwks.map(|jwk| JwtKey::jwk(&jwk.to_string()).ok()).collect()
        };
        JwtKey::jwks(&set.to_string()).ok().or_else(one_by_one)
    });
}
