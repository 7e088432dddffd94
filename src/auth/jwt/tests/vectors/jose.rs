//! Wycheproof's vectors for JWS and JWK. They are in no crate, so these tests are ignored by default.
//!
//! The tests in `attacks` make tokens of the same classes and need no files.

use super::{
    super::support::backends,
    support::{list, opens},
};
use crate::auth::jwt::{JwtKey, JwtVerifier};
use serde_json::Value;

/// Reads a file of the directory that the environment variable `WYCHEPROOF_DIR` names.
///
/// No crate has these files, and they are not committed here: take `json_web_signature_test.json`
/// and `json_web_key_test.json` from the folder `testvectors_v1` of the repository C2SP/wycheproof.
/// A test that is run without them fails, since it has checked nothing.
fn vectors(file: &str) -> Value {
    let directory = std::env::var_os("WYCHEPROOF_DIR").filter(|directory| !directory.is_empty());
    let directory = directory.expect(
        "WYCHEPROOF_DIR is not set: it names the directory that holds json_web_signature_test.json \
         and json_web_key_test.json, from testvectors_v1 of https://github.com/C2SP/wycheproof",
    );
    let path = std::path::Path::new(&directory).join(file);
    let text = std::fs::read_to_string(&path);
    let text = text.unwrap_or_else(|error| {
        panic!("WYCHEPROOF_DIR has no file that can be read: {}: {error}", path.display())
    });
    serde_json::from_str(&text).unwrap()
}

/// Runs the tests of the file, each under the keys of its group, and compares our verdicts with those
/// of the file. They must differ for the `exceptions`, and for no other test.
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

/// The JWS vectors for which our verdict differs, and why.
const JWS_EXCEPTIONS: [(u64, &str); 8] = [
    (346, "RFC 7520 figure 20: a PS384 token, but the JWK says PS256, and the key's word counts"),
    (347, "RFC 7520 figure 27: P-521, which neither backend verifies"),
    (350, "as 346, with `key_ops`"),
    (351, "as 347, with `key_ops`"),
    (367, "a defect of the vector: labelled as wrongly padded, stored without padding; as 357"),
    (370, "the same defect, in the payload"),
    (372, "a stray `?` in the header, which the vector has a decoder skip: we are strict"),
    (373, "the same in the payload"),
];

#[test]
#[ignore = "reads Wycheproof's vectors: set WYCHEPROOF_DIR"]
fn wycheproof_jws_is_judged_as_wycheproof_does_but_for_eight_listed_tests() {
    assert_eq!(JWS_EXCEPTIONS.len(), 8);
    hold_against("json_web_signature_test.json", 401, &JWS_EXCEPTIONS, |group| {
        // A secret has no public half.
        let jwk = group.get("public").unwrap_or(&group["private"]);
        JwtKey::jwk(&jwk.to_string()).ok().map(|key| vec![key])
    });
}

/// The JWK vectors for which our verdict differs, and why.
const JWK_EXCEPTIONS: [(u64, &str); 1] =
    [(7, "a ROCA key (CVE-2017-15361): neither we nor the backends look for how a key was made")];

#[test]
#[ignore = "reads Wycheproof's vectors: set WYCHEPROOF_DIR"]
fn wycheproof_jwk_is_judged_as_wycheproof_does_but_for_one_listed_test() {
    assert_eq!(JWK_EXCEPTIONS.len(), 1);
    hold_against("json_web_key_test.json", 26, &JWK_EXCEPTIONS, |group| {
        // An issuer publishes its key set, so we leave secrets out of a mixed set. The vectors
        // expect that. Where a set has only secrets, the vectors mean to use them. An application
        // then gives them to us one by one, and a bad one is an error.
        let set = group.get("public").unwrap_or(&group["private"]);
        let one_by_one = || {
            let jwks = list(set, "keys").iter();
            jwks.map(|jwk| JwtKey::jwk(&jwk.to_string()).ok()).collect()
        };
        JwtKey::jwks(&set.to_string()).ok().or_else(one_by_one)
    });
}
