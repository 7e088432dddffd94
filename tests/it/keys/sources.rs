//! Key sources: discovery, files, and your own functions.

use super::support::{clock, code};
use serde_json::json;
use std::sync::{Arc, Mutex};
use tower_tenancy::{
    auth::{Discovery, HttpClient, JwksUrl, JwtVerifier, KeyFile, KeySet, KeySetBuilder},
    testing::TestIssuer,
};

#[tokio::test]
async fn a_discovery_document_may_have_another_url_and_requests_have_a_user_agent() {
    let issuer = TestIssuer::start().await.unwrap();
    let (jwks, url, asked) =
        (issuer.jwks(), issuer.url().to_owned(), Arc::<Mutex<Vec<_>>>::default());
    let agents = asked.clone();
    let site = async move |request: axum::extract::Request| {
        let agent = request.headers().get("user-agent").cloned();
        agents.lock().unwrap().push(agent);
        let host = request.headers()["host"].to_str().unwrap();
        match request.uri().path() {
            "/acme/policy/v2.0/.well-known/openid-configuration" => {
                json!({"issuer": url, "jwks_uri": format!("http://{host}/keys")}).to_string()
            }
            "/keys" => jwks.clone(),
            _ => String::new(),
        }
    };
    let addr = crate::hosts::serve_axum(axum::Router::new().fallback(site)).await;
    let at = format!("http://{addr}/acme/policy/v2.0/.well-known/openid-configuration");
    let found = |issuer: &str| {
        let discovery =
            Discovery::new(issuer, HttpClient::new().unwrap()).with_url(&at).allow_http();
        KeySet::builder(discovery).start().unwrap()
    };
    let keys = found(issuer.url());
    keys.loaded().await;
    assert_eq!((keys.health().keys, keys.health().error), (1, None));
    let another = found("https://another.test");
    another.loaded().await;
    let told = another.health().error.unwrap();
    assert!(told.contains(issuer.url()) && told.contains("another.test"), "{told}");
    let agent = concat!("tower-tenancy/", env!("CARGO_PKG_VERSION"));
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 3);
    assert!(
        asked.iter().flatten().all(|sent| sent == agent) && !asked.contains(&None),
        "{asked:?}"
    );
}

#[tokio::test]
async fn discovery_finds_only_the_keys_of_the_expected_issuer() {
    let issuer = TestIssuer::start().await.unwrap();
    let client = HttpClient::new().unwrap();
    let start = |set: KeySetBuilder| async {
        let keys = set.start().unwrap();
        keys.loaded().await;
        keys.health()
    };
    let found = Discovery::new(issuer.url(), client.clone()).allow_http();
    assert_eq!(start(KeySet::builder(found)).await.keys, 1);
    // The issuer must be identical.
    let other = Discovery::new(format!("{}/", issuer.url()), client.clone()).allow_http();
    let health = start(KeySet::builder(other)).await;
    assert!(health.keys == 0 && health.error.unwrap().contains("describes the issuer"));
    for plain in [
        start(KeySet::builder(JwksUrl::new(issuer.jwks_url(), client.clone()))).await,
        start(KeySet::builder(Discovery::new(issuer.url(), client.clone()))).await,
        start(KeySet::builder(JwksUrl::new("ftp://127.0.0.1/keys", client).allow_http())).await,
    ] {
        assert!(plain.keys == 0 && plain.error.unwrap().contains("not an https URL"));
    }
}

#[tokio::test]
async fn keys_can_come_from_a_file_or_from_your_own_function() {
    let issuer = TestIssuer::start().await.unwrap();
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("{}.json", uuid::Uuid::new_v4()));
    std::fs::write(&path, issuer.jwks()).unwrap();
    let jwks = issuer.jwks();
    let own = move || {
        let jwks = jwks.clone();
        async move { Ok(jwks) }
    };
    let clock = clock();
    for builder in [KeySet::builder(KeyFile::new(&path)), KeySet::builder(own)] {
        let keys = builder.clock(clock.shared()).start().unwrap();
        keys.loaded().await;
        let verifier = JwtVerifier::builder().key_set(keys).issuer(issuer.url()).build().unwrap();
        assert_eq!(code(&verifier, &issuer.token("t_alpha", "prod", "ada")).await, "good");
    }
    std::fs::remove_file(path).unwrap();
}
