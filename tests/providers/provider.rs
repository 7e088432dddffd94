// The examples of the page on identity providers include this file. It applies each mapping of the page to a
// token as the provider documents it. The tokens are in this folder.

use jsonwebtoken::{Algorithm, EncodingKey, crypto::aws_lc::DEFAULT_PROVIDER};
use minter::Minter;
use serde_json::{Value, json};
use std::{fs, time::SystemTime};
use tower_tenancy::auth::{AuthContext, JwtConfigError, JwtKey, JwtVerifier, JwtVerifierBuilder};

mod minter {
    include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/minter/mod.rs"));
}

fn read(file: &str) -> Vec<u8> {
    fs::read(format!("{}/tests/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn sign(header: &Value, claims: &Value) -> String {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let mut claims = claims.clone();
    claims["iat"] = json!(now - 10);
    claims["nbf"] = json!(now - 10);
    claims["exp"] = json!(now + 3600);
    let key = EncodingKey::from_ec_pem(&read("keys/p256.pem")).unwrap();
    Minter::new(&DEFAULT_PROVIDER, Algorithm::ES256, key).sign(header, claims)
}

/// Checks that the token proves the `expected` values. It does not check fields that `expected` does not
/// have.
fn proves(auth: &AuthContext, expected: &Value, what: &str) {
    for (name, expected) in expected.as_object().unwrap() {
        let proven = match name.as_str() {
            "subject" => json!(auth.subject().as_str()),
            "tenants" => json!(auth.tenants().collect::<Vec<_>>()),
            "envs" => json!(auth.envs().collect::<Vec<_>>()),
            "roles" => json!(auth.roles().collect::<Vec<_>>()),
            "scopes" => json!(auth.scopes().collect::<Vec<_>>()),
            _ => panic!("{what}: the file expects an unknown field {name}"),
        };
        assert_eq!(&proven, expected, "{what}: {name}");
    }
}

/// Checks `mapping` with the tokens of the file with this name.
pub fn holds(
    name: &str,
    mapping: impl Fn(JwtVerifierBuilder) -> Result<JwtVerifier, JwtConfigError>,
) {
    let fixture: Value = serde_json::from_slice(&read(&format!("providers/{name}.json"))).unwrap();
    let (header, claims) = (&fixture["header"], &fixture["access_token"]);
    let key = JwtKey::public_pem(read("keys/p256.pub.pem")).unwrap();
    let verifier = mapping(JwtVerifier::builder().key(key)).unwrap();
    let verify =
        |claims: &Value| verifier.verify(&sign(header, claims)).map_err(|refused| refused.code());
    let auth = verify(claims).unwrap_or_else(|code| panic!("{name}: {code}"));
    proves(&auth, &fixture["expected"], name);

    // A token with another issuer or audience is refused. An ID token is refused, too.
    let changed = |pointer: &str, value: Value| {
        let mut claims = claims.clone();
        *claims.pointer_mut(pointer).unwrap() = value;
        verify(&claims).err()
    };
    let issuer = claims["iss"].as_str().unwrap();
    let place = |kind: &str| fixture["places"][kind].as_str().unwrap();
    assert_eq!(changed("/iss", json!("https://evil.test")), Some("auth.invalid"), "{name}");
    assert_eq!(changed("/iss", json!(format!("{issuer}x"))), Some("auth.invalid"), "{name}");
    assert_eq!(changed(place("audience"), json!("another")), Some("auth.invalid"), "{name}");
    if let Some(id_token) = fixture.get("id_token") {
        assert_eq!(verify(id_token).err(), Some("auth.invalid"), "{name}: an ID token");
    }

    // A token without a tenant claim proves no tenant.
    let (parent, last) = place("tenant").rsplit_once('/').unwrap();
    let mut without = claims.clone();
    let members = without.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    members.remove(&last.replace("~1", "/")).unwrap();
    assert_eq!(verify(&without).unwrap().tenants().count(), 0, "{name}");

    for case in fixture["cases"].as_array().unwrap() {
        let what = format!("{name}: {}", case["what"]);
        let mut claims = claims.clone();
        claims.as_object_mut().unwrap().extend(case["change"].as_object().unwrap().clone());
        match case.get("refused") {
            Some(code) => assert_eq!(json!(verify(&claims).err()), *code, "{what}"),
            None => proves(&verify(&claims).unwrap(), &case["expected"], &what),
        }
    }
}
