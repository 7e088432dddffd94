//! Several issuers, and the tenants that each may speak for.

use super::support::{chat, issuer_for_chat, listen, source, trust};
use crate::support::{Events, PATIENCE, refusal};
use serde_json::json;
use std::process::Command;
use tower_tenancy::{
    RequireTenantScope,
    auth::{JwtConfigError, JwtVerifier, KeySet, TokenCache, TrustedIssuers},
    testing::TestIssuer,
};

#[tokio::test]
async fn an_issuer_speaks_only_for_its_own_tenants_and_signs_only_its_own_tokens() {
    let alpha = issuer_for_chat().await;
    let beta = issuer_for_chat().await;
    let chat = chat(&[
        "--trust",
        &trust(&alpha, ",tenants=t_alpha,envs=prod|staging"),
        "--trust",
        &trust(&beta, ",tenants=t_beta|t_gamma"),
        "--token-cache",
        "100",
        "--hs256-secret",
        crate::support::SECRET,
        "--key-tenants",
        "t_alpha|t_gamma",
    ]);
    let mut strange = crate::support::claims("t_alpha", "prod", "ada");
    strange["iss"] = json!("https://stranger.example");
    // The first keys of both issuers have the same `kid`, so this test fails if the keys are mixed up.
    let mut borrowed = alpha.claims("t_beta", "prod", "mallory");
    borrowed["iss"] = json!(beta.url());
    let mut stranger = beta.claims("t_beta", "prod", "mallory");
    stranger["iss"] = json!("https://stranger.example");
    let mut elsewhere = alpha.claims("t_alpha", "prod", "ada");
    elsewhere["aud"] = json!("another service");
    for _ in 0..2 {
        for (tenant, bearer, expected) in [
            ("t_alpha", alpha.token("t_alpha", "prod", "ada"), "200 "),
            ("t_beta", beta.token("t_beta", "prod", "bob"), "200 "),
            ("t_beta", alpha.token("t_beta", "prod", "mallory"), "403 tenant.mismatch"),
            ("t_alpha", alpha.token("t_beta", "prod", "mallory"), "403 tenant.mismatch"),
            ("t_alpha", beta.token("t_alpha", "prod", "mallory"), "403 tenant.mismatch"),
            ("t_beta", alpha.sign(&borrowed), "401 auth.invalid"),
            ("t_beta", beta.sign(&stranger), "401 auth.invalid"),
            ("t_alpha", alpha.sign(&elsewhere), "401 auth.invalid"),
            ("t_alpha", alpha.token("t_alpha", "dev", "ada"), "403 env.mismatch"),
            // Tokens that are signed with the shared secret have no issuer.
            ("t_alpha", crate::support::token("t_alpha", "prod", "ada"), "200 "),
            ("t_beta", crate::support::token("t_beta", "prod", "bob"), "403 tenant.mismatch"),
            // A token with an unknown issuer is refused, although the secret would verify it.
            ("t_alpha", crate::support::sign(&strange), "401 auth.invalid"),
        ] {
            let response = listen(&chat, tenant, &bearer).await;
            let told = match response.status().as_u16() {
                200 => "200 ".to_owned(),
                _ => {
                    let (status, code) = refusal(response).await;
                    format!("{status} {code}")
                }
            };
            assert_eq!(told, expected, "{tenant}");
        }
    }
}

#[tokio::test]
async fn issuers_can_be_added_and_removed_while_requests_arrive() {
    use axum::{Router, extract::Path, routing::get};
    use tower_tenancy::{MemoryRegistry, StreamEvent, ThreadAccess};

    let issuer = TestIssuer::start().await.unwrap();
    let issuers = TrustedIssuers::new();
    let stream = async |thread: ThreadAccess<Path<String>, MemoryRegistry>| {
        let grant = thread.into_grant();
        grant.guard(futures_util::stream::pending::<StreamEvent>()).into_sse()
    };
    let router = Router::new()
        .route("/{thread}", get(stream))
        .with_state(crate::hosts::App::new().await.threads)
        .layer(RequireTenantScope::new(issuers.clone()));
    let addr = crate::hosts::serve_axum(router).await;
    let ask = async || {
        let request = reqwest::Client::new().get(format!("http://{addr}/th"));
        let request = request.bearer_auth(issuer.token("t_alpha", "prod", "ada"));
        request.header("x-tenant-id", "t_alpha").header("x-env", "prod").send().await.unwrap()
    };
    assert_eq!(refusal(ask().await).await.1, "auth.invalid", "no issuer is trusted yet");
    let keys = KeySet::builder(source(&issuer)).start().unwrap();
    let cache = TokenCache::new(10);
    let verifier = JwtVerifier::builder().key_set(keys).issuer(issuer.url()).cache(cache.clone());
    let unbound = issuers.insert(verifier.clone().build().unwrap()).unwrap_err().to_string();
    assert!(unbound.contains(".tenants(") && unbound.contains(".any_tenant()"), "{unbound}");
    assert_eq!(refusal(ask().await).await.1, "auth.invalid", "the issuer is still not trusted");
    issuers.insert(verifier.any_tenant().build().unwrap()).unwrap();
    let mut open = Events::of(ask().await);
    assert!(open.next().await.unwrap().retry.is_some());
    assert_eq!(cache.len(), 1);
    assert!(issuers.remove(issuer.url()));
    let ended = tokio::time::timeout(PATIENCE, open.event()).await.unwrap().unwrap();
    assert_eq!(
        ended.event.as_deref(),
        Some("access.revoked"),
        "the open streams of the issuer end, too"
    );
    assert_eq!(refusal(ask().await).await.1, "auth.invalid", "even if the token is in the cache");
    let nameless = JwtVerifier::builder().key(crate::layers::key()).build().unwrap();
    assert!(
        issuers.insert(nameless.clone()).is_err(),
        "a verifier without an issuer cannot be inserted"
    );
    assert!(matches!(issuers.set_fallback(nameless), Err(JwtConfigError::NoTenants)));
    let named = JwtVerifier::builder().key(crate::layers::key()).issuer("https://x.test");
    let named = named.any_tenant().build().unwrap();
    assert!(matches!(issuers.set_fallback(named), Err(JwtConfigError::FallbackIssuer)));
    let bound = JwtVerifier::builder().key(crate::layers::key()).tenants(["t_alpha"]);
    issuers.set_fallback(bound.build().unwrap()).unwrap();
}

#[test]
fn a_bad_trust_option_is_refused_when_the_server_starts() {
    for (value, told) in [
        ("issuer=a,jwks=http://id.example.com/jwks,audience=chat", "https"),
        ("issuer=a,jwks=http://127.0.0.1.evil.test/jwks,audience=chat", "https"),
        ("issuer=a,jwks=https://id.example.com/jwks", "`audience` is missing"),
        ("jwks=https://id.example.com/jwks,audience=chat", "`issuer` is missing"),
        ("issuer=a,issuer=b,jwks=https://x.test,audience=c", "once"),
        ("issuer=a,tenant=t,jwks=https://x.test,audience=c", "`tenant` is unknown"),
        ("issuer=a,jwks=https://x.test,audience=c,tenants=t||u", "is not a valid name"),
        ("issuer=a,jwks=https://x.test,audience=c,tenants=*|t", "is not a valid name"),
        ("issuer=a,jwks=https://x.test,audience=c,envs=|", "is not a valid name"),
    ] {
        let mut command = Command::new(crate::support::chat_binary());
        let output = command.args(["--addr", "127.0.0.1:0", "--trust", value]).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && error.contains(told), "{value}: {error}");
    }
}

#[test]
fn each_of_several_issuers_must_name_its_tenants() {
    let issuer = |name: &str, rest: &str| {
        format!("issuer={name},jwks=http://127.0.0.1:9/jwks,audience=chat{rest}")
    };
    let (a, bound, any) = (issuer("a", ""), issuer("b", ",tenants=t_b"), issuer("c", ",tenants=*"));
    let (a, bound, any) = (a.as_str(), bound.as_str(), any.as_str());
    let secret = crate::support::SECRET;
    let pem = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys/p256.pub.pem");
    for (args, told) in [
        (&["--trust", a, "--trust", bound][..], "issuer=a: "),
        (&["--trust", any, "--trust", bound, "--trust", a], "issuer=a: "),
        (&["--trust", a, "--hs256-secret", secret], "issuer=a: "),
        (&["--trust", a, "--public-key", pem], "issuer=a: "),
        (&["--trust", a, "--public-key", pem, "--issuer", "d"], "issuer=a: "),
        (&["--trust", bound, "--trust", bound], "`b` is trusted twice"),
        (&["--trust", bound, "--public-key", pem, "--issuer", "b"], "`b` is trusted twice"),
        (&["--trust", bound, "--key-tenants", "t_a"], "--key-tenants limits a key"),
    ] {
        let mut command = Command::new(crate::support::chat_binary());
        let output = command.args(["--addr", "127.0.0.1:0"]).args(args).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && error.contains(told), "{args:?}: {error}");
        if told == "issuer=a: " {
            assert!(error.contains("tenants=T1|T2") && error.contains("tenants=*"), "{error}");
        }
    }
    // `chat` returns when the server has started.
    chat(&["--trust", a]);
    chat(&["--trust", any, "--trust", bound, "--hs256-secret", secret]);
}

#[test]
fn the_log_warns_at_start_about_a_fixed_key_for_every_tenant_next_to_other_issuers() {
    use std::io::{BufRead as _, BufReader};

    let trust = "issuer=b,jwks=http://127.0.0.1:9/jwks,audience=chat,tenants=t_b";
    let secret = ["--hs256-secret", crate::support::SECRET];
    let bound = ["--key-tenants", "t_a"];
    for (args, told) in [
        (["--trust", trust].iter().chain(&secret).collect::<Vec<_>>(), 1),
        (["--trust", trust].iter().chain(&secret).chain(&bound).collect(), 0),
        (secret.iter().collect(), 0),
        (vec![&"--trust", &trust], 0),
    ] {
        let mut command = Command::new(crate::support::chat_binary());
        command.args(["--addr", "127.0.0.1:0"]).args(&args).env("RUST_LOG", "warn");
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let mut process = command.spawn().unwrap();
        // The server prints its first line after the last warning.
        let mut first = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut first).unwrap();
        process.kill().unwrap();
        let output = process.wait_with_output().unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        let warned = log
            .lines()
            .filter(|line| line.contains("every tenant") && line.contains("--key-tenants"));
        assert_eq!(warned.count(), told, "{args:?}: {first}{log}");
    }
}
