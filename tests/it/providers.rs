//! The mappings on the page on identity providers are tests of their own. The tests here check that the page
//! has a mapping for each provider, and what the log says about a malformed claim that no rule needs.

use crate::support::{SECRET, claims, sign};
use serde_json::json;
use std::fs;
use tower_tenancy::auth::{Algorithm, ClaimNames, JwtKey, JwtVerifier};

#[test]
fn the_page_tests_a_mapping_for_each_provider() {
    let page = include_str!("../../docs/identity-providers.md");
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/providers");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let tokens: Vec<_> = files.filter(|file| file.extension().unwrap() == "json").collect();
    assert!(tokens.len() >= 8, "{tokens:?}");
    for token in &tokens {
        let name = token.file_stem().unwrap().to_str().unwrap();
        assert!(page.contains(&format!("# provider::holds(\"{name}\", ")), "{name}");
    }
    // Each mapping ends with `build`, except the one for organizations. The page tests each mapping.
    assert_eq!(page.matches("\n        .build()\n").count() + 1, tokens.len());
    assert_eq!(page.matches("# provider::holds(").count(), tokens.len());
}

#[tokio::test]
async fn an_ignored_malformed_claim_is_logged_at_debug_without_its_value() {
    let key = JwtKey::hmac(Algorithm::HS256, SECRET).unwrap();
    let verifier = JwtVerifier::builder().key(key);
    let verifier = verifier.claims(ClaimNames::default().roles("/realm_access/roles"));
    let verifier = verifier.build().unwrap();
    let mut claims = claims("t_alpha", "prod", "ada");
    claims["realm_access"] = json!({"roles": {"s3cret": true}});
    claims["scope"] = json!(["s3cret", 7]);
    claims["actor_type"] = json!("s3cret role");
    let log = crate::layers::logged(async {
        let auth = verifier.verify(&sign(&claims)).unwrap();
        assert_eq!(auth.roles().chain(auth.scopes()).count(), 0);
    });
    let log = log.await;
    for (claim, found) in [
        ("/realm_access/roles", "an object"),
        ("/scope", "an array with a number in it"),
        ("/actor_type", "a string that is not an actor type"),
    ] {
        let fields = format!("claim=\"{claim}\" found=\"{found}\"");
        let told = |line: &&str| line.contains("DEBUG") && line.contains(&fields);
        assert_eq!(log.lines().filter(told).count(), 1, "{fields} in {log}");
    }
    assert!(!log.contains("s3cret"), "{log}");
}
