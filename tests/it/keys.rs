//! Keys that rotate, issuers that fail, and several of them: against a real issuer on loopback.

use crate::{
    layers::logged,
    support::{Chat, Events, PATIENCE, refusal},
};
use serde_json::{Value, json};
use std::{
    pin::Pin,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tower_tenancy::{
    Rejection, RequireTenantScope, Verdict,
    auth::{
        AuthRequest, Authenticator as _, Discovery, HttpClient, HttpFuture, HttpGet, HttpResponse,
        JwksUrl, JwtConfigError, JwtVerifier, KeyFile, KeySet, KeySetBuilder, TokenCache,
        TrustedIssuers,
    },
    clock::Clock as _,
    testing::{Conduct, ManualClock, TestIssuer},
};

const SECOND: Duration = Duration::from_secs(1);

fn source(issuer: &TestIssuer) -> JwksUrl {
    JwksUrl::new(issuer.jwks_url(), HttpClient::new().unwrap()).allow_http()
}

/// A key set on a clock of its own, and its verifier.
async fn loaded(issuer: &TestIssuer, clock: &ManualClock) -> (KeySet, JwtVerifier) {
    let keys = KeySet::builder(source(issuer)).clock(clock.shared()).start().unwrap();
    keys.loaded().await;
    let verifier = JwtVerifier::builder().key_set(keys.clone()).issuer(issuer.url());
    (keys, verifier.build().unwrap())
}

/// Now, for keys whose tokens go by the system's clock.
fn clock() -> ManualClock {
    ManualClock::at(crate::support::now())
}

async fn authenticate(verifier: &JwtVerifier, token: &str) -> Result<String, Rejection> {
    let request = http::Request::builder().header("authorization", format!("Bearer {token}"));
    let verdict = verifier.authenticate(&AuthRequest::of(&request.body(()).unwrap()));
    let auth = match verdict {
        Verdict::Ready(auth) => auth,
        Verdict::Later(auth) => auth.await,
    };
    auth.map(|auth| auth.subject().to_string())
}

/// Whether the token passes without a wait for anything.
fn is_good_at_once(verifier: &JwtVerifier, token: &str) -> bool {
    let request = http::Request::builder().header("authorization", format!("Bearer {token}"));
    let verdict = verifier.authenticate(&AuthRequest::of(&request.body(()).unwrap()));
    matches!(verdict, Verdict::Ready(Ok(_)))
}

async fn code(verifier: &JwtVerifier, token: &str) -> &'static str {
    authenticate(verifier, token).await.map_or_else(|refused| refused.code(), |_| "good")
}

async fn until(wanted: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !wanted() {
        assert!(Instant::now() < deadline, "it does not come about");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn trust(issuer: &TestIssuer, rest: &str) -> String {
    format!("issuer={},jwks={},audience=chat{rest}", issuer.url(), issuer.jwks_url())
}

/// A token for the chat.
fn token(issuer: &TestIssuer, tenant: &str, subject: &str) -> String {
    let mut claims = issuer.claims(tenant, "prod", subject);
    claims["aud"] = json!("chat");
    issuer.sign(&claims)
}

fn chat(args: &[&str]) -> Chat {
    let mut command = Command::new(crate::support::chat_binary());
    command.args(["--addr", "127.0.0.1:0", "--thread", "t_alpha/prod/th"]);
    Chat::run(command.args(["--thread", "t_beta/prod/th"]).args(args))
}

async fn listen(chat: &Chat, tenant: &str, token: &str) -> reqwest::Response {
    let request = chat.bare("GET", "/sse/chat/th").header("x-tenant-id", tenant);
    request.header("x-env", "prod").bearer_auth(token).send().await.unwrap()
}

async fn readiness(chat: &Chat) -> (u16, Value) {
    let response = chat.bare("GET", "/readyz").send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test]
async fn keys_rotate_while_requests_flow_and_no_valid_one_is_refused() {
    let issuer = TestIssuer::start().await.unwrap();
    let chat = chat(&["--trust", &trust(&issuer, ""), "--token-cache", "100"]);
    for round in 0..5 {
        let old = token(&issuer, "t_alpha", "ada");
        // Published and used at once, as badly as it gets.
        issuer.rotate();
        let new = token(&issuer, "t_alpha", "eve");
        let requests = (0..8).map(|i| {
            let (chat, bearer) = (&chat, if i % 2 == 0 { &old } else { &new });
            async move { listen(chat, "t_alpha", bearer).await.status().as_u16() }
        });
        let statuses = futures_util::future::join_all(requests).await;
        assert_eq!(statuses, [200; 8], "round {round}");
    }
    assert!(issuer.fetches() <= 6, "{} fetches for one start and five rotations", issuer.fetches());
    issuer.withdraw_old_keys();
    let (status, body) = readiness(&chat).await;
    assert_eq!((status, &body["ready"]), (200, &json!(true)));
    assert_eq!(body["issuers"][0]["keys"], 6);
    assert!(body["issuers"][0]["age_seconds"].as_u64().unwrap() < 60);
}

#[tokio::test]
async fn an_hour_without_the_issuer_is_invisible_to_known_keys_and_it_recovers_by_itself() {
    let issuer = TestIssuer::start().await.unwrap();
    let clock = clock();
    let (keys, verifier) = loaded(&issuer, &clock).await;
    let known = issuer.token("t_alpha", "prod", "ada");
    issuer.conduct(Conduct::Down);
    issuer.rotate();
    let unknown = issuer.token("t_alpha", "prod", "eve");
    for minute in 0..60 {
        clock.advance(60 * SECOND);
        assert_eq!(code(&verifier, &known).await, "good", "minute {minute}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    until(|| keys.health().error.is_some()).await;
    let refused = authenticate(&verifier, &unknown).await.unwrap_err();
    assert_eq!(refused.code(), "auth.keys_unavailable", "nobody can tell");
    assert!(refused.retry_after().unwrap() >= SECOND);
    assert!(keys.health().age.unwrap() >= 3600 * SECOND && keys.health().keys == 1);

    issuer.conduct(Conduct::Good);
    clock.advance(61 * SECOND);
    until(|| keys.health().error.is_none()).await;
    assert_eq!(code(&verifier, &unknown).await, "good");
    // What is held is not trusted for ever.
    issuer.conduct(Conduct::Down);
    clock.advance(25 * 3600 * SECOND);
    until(|| keys.health().error.is_some()).await;
    assert_eq!(code(&verifier, &known).await, "auth.keys_unavailable");
    assert_eq!(keys.health().keys, 0);
}

#[tokio::test]
async fn what_an_issuer_answers_badly_takes_no_key_away_and_makes_nobody_wait() {
    let issuer = TestIssuer::start().await.unwrap();
    let elsewhere = TestIssuer::start().await.unwrap();
    let clock = clock();
    let (keys, verifier) = loaded(&issuer, &clock).await;
    let known = issuer.token("t_alpha", "prod", "ada");
    let huge = format!(r#"{{"keys":[],"x":"{}"}}"#, "x".repeat(600 * 1024));
    for (conduct, told) in [
        (Conduct::Status(500), "500"),
        (Conduct::Status(404), "404"),
        (Conduct::Redirect(elsewhere.jwks_url()), "302"),
        (Conduct::Text("not json".into()), "JSON"),
        (Conduct::Text(r#"{"keys":[]}"#.into()), "no key"),
        (Conduct::Text(r#"{"keys":[{"kty":"oct","k":"AAAA","kid":"a"}]}"#.into()), "no key"),
        (Conduct::Text(huge), "longer"),
        (Conduct::Drip(Duration::from_millis(50)), "no answer within"),
    ] {
        issuer.conduct(conduct.clone());
        let before = issuer.fetches();
        clock.advance(301 * SECOND);
        until(|| issuer.fetches() > before).await;
        assert!(is_good_at_once(&verifier, &known), "known keys wait for nothing: {told}");
        if matches!(conduct, Conduct::Drip(_)) {
            clock.advance(11 * SECOND);
        }
        until(|| keys.health().error.is_some_and(|error| error.contains(told))).await;
        assert_eq!(code(&verifier, &known).await, "good", "{told}");
        issuer.conduct(Conduct::Good);
        clock.advance(61 * SECOND);
        until(|| keys.health().error.is_none()).await;
    }
    assert_eq!(elsewhere.fetches(), 0, "no redirect is followed");
}

#[tokio::test]
async fn unusable_keys_do_not_take_the_others_with_them() {
    let issuer = TestIssuer::start().await.unwrap();
    let mut set: Value = serde_json::from_str(&issuer.jwks()).unwrap();
    let good = set["keys"][0].clone();
    let mut twice = good.clone();
    twice["kid"] = json!("twice");
    // RFC 7517 appendix A.1.
    let another = json!({
        "kty": "EC", "crv": "P-256", "kid": "twice",
        "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
    });
    set["keys"] = json!([
        {"kty": "EC", "crv": "P-256", "x": "short", "y": "short", "kid": "malformed"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "tiny"},
        {"kty": "AKP", "alg": "ML-DSA-65", "pub": "AAAA", "kid": "of-tomorrow"},
        {"kty": "RSA", "use": "enc", "n": "AQAB", "e": "AQAB", "kid": "for-encryption"},
        another, twice, twice, "no object", good
    ]);
    issuer.conduct(Conduct::Text(set.to_string()));
    let (keys, verifier) = loaded(&issuer, &clock()).await;
    assert_eq!(keys.health().keys, 3, "a key that is listed twice is one");
    assert_eq!(code(&verifier, &issuer.token("t_alpha", "prod", "ada")).await, "good");
    let claims = issuer.claims("t_alpha", "prod", "ada");
    let second_of_its_name = issuer.sign_as(&json!({"alg": "ES256", "kid": "twice"}), &claims);
    assert_eq!(code(&verifier, &second_of_its_name).await, "good");
}

#[tokio::test]
async fn trouble_with_keys_is_told_once_with_all_that_helps_to_mend_it() {
    let issuer = TestIssuer::start().await.unwrap();
    let mut set: Value = serde_json::from_str(&issuer.jwks()).unwrap();
    let good = set["keys"][0].clone();
    let tiny = json!({"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "tiny \u{1b}[31m\n"});
    let log = logged(async {
        set["keys"] = json!([tiny, good]);
        issuer.conduct(Conduct::Text(set.to_string()));
        let clock = clock();
        let (keys, verifier) = loaded(&issuer, &clock).await;
        let known = issuer.token("t_alpha", "prod", "ada");
        let again = async || {
            let before = issuer.fetches();
            clock.advance(301 * SECOND);
            until(|| issuer.fetches() > before && keys.health().age == Some(Duration::ZERO)).await;
            assert_eq!(code(&verifier, &known).await, "good");
        };
        // The same document, and one in which another key is as bad.
        again().await;
        set["keys"] = json!([tiny, good, {"kty": "OKP", "crv": "Ed448", "kid": "new"}]);
        issuer.conduct(Conduct::Text(set.to_string()));
        again().await;
        again().await;
    });
    let log = log.await;
    let lines: Vec<_> = log.lines().filter(|line| line.contains("keys of a set")).collect();
    let of = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
    assert_eq!((lines.len(), of("shorter than 2048 bits"), of("unknown kind")), (3, 2, 1), "{log}");
    for line in &lines {
        assert!(line.contains(&issuer.jwks_url()) && line.contains("kids="), "{line}");
        assert!(line.len() < 500 && !line.contains('\u{1b}'), "{line}");
    }
    let named = format!("issuer=\"{}\"", issuer.url());
    // What is told of the source before there is a verifier names no issuer, so a line ties the two.
    let tied = log.lines().filter(|line| line.contains("verify the tokens of an issuer"));
    let tied: Vec<_> = tied.collect();
    assert!(tied.len() == 1 && tied[0].contains(&named) && tied[0].contains(&issuer.jwks_url()));
    assert!(lines[1].contains(&named) && lines[2].contains(&named), "{log}");
}

#[tokio::test]
async fn a_set_that_holds_nothing_usable_says_so_in_the_log_and_behind_the_refusal() {
    let issuer = TestIssuer::start().await.unwrap();
    let tiny = json!({"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "tiny"});
    issuer.conduct(Conduct::Text(json!({"keys": [tiny]}).to_string()));
    let why = r#"["tiny"]: the RSA key is shorter than 2048 bits"#;
    let log = logged(async {
        let clock = clock();
        let (keys, verifier) = loaded(&issuer, &clock).await;
        let token = issuer.token("t_alpha", "prod", "ada");
        let refused = authenticate(&verifier, &token).await.unwrap_err();
        assert_eq!(refused.code(), "auth.keys_unavailable");
        let source = std::error::Error::source(&refused).unwrap().to_string();
        assert!(source.contains(why) && source.contains(&issuer.jwks_url()), "{source}");
        assert!(!refused.detail().contains("tiny"));
        // It fails in the same way again.
        let before = issuer.fetches();
        clock.advance(61 * SECOND);
        until(|| issuer.fetches() > before).await;
        until(|| keys.health().error.is_some_and(|error| error.contains(why))).await;
    });
    let log = log.await;
    let told = |line: &&str| line.contains("ERROR") && line.contains("keys cannot be fetched");
    let lines: Vec<_> = log.lines().filter(told).collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(lines[0].contains("shorter than 2048 bits") && lines[0].contains("tiny"), "{log}");
}

/// An error may repeat the document that it is about, and each refusal has it as its cause.
#[tokio::test]
async fn what_an_issuer_answers_makes_no_line_of_the_log_long() {
    let url = format!("ftp://127.0.0.1:9/{}", "y".repeat(60_000));
    let found = |jwks_uri: &str| json!({"issuer": "i", "jwks_uri": jwks_uri}).to_string();
    for (document, why) in [
        (json!("x".repeat(400_000)).to_string(), "invalid type"),
        (found(&url), "ftp://127.0.0.1:9/"),
        (json!({"issuer": "z".repeat(400_000), "jwks_uri": url}).to_string(), "describes"),
    ] {
        let log = logged(async {
            let site = axum::Router::new().fallback(async move || document.clone());
            let addr = crate::hosts::serve_axum(site).await;
            let discovery = Discovery::new("i", HttpClient::new().unwrap()).allow_http();
            let keys =
                KeySet::builder(discovery.with_url(format!("http://{addr}"))).start().unwrap();
            keys.loaded().await;
            let verifier = JwtVerifier::builder().key_set(keys.clone()).issuer("i");
            let refused = verifier.build().unwrap().verify("a.b.c").unwrap_err();
            assert_eq!(refused.code(), "auth.keys_unavailable");
            let cause = std::error::Error::source(&refused).unwrap().to_string();
            assert!(cause.contains(why) && cause.len() < 3000, "{} bytes: {why}", cause.len());
        });
        let log = log.await;
        let lines: Vec<_> = log.lines().filter(|line| line.contains("be fetched")).collect();
        assert!(lines.len() == 1 && lines[0].contains(why), "{why}");
        assert!(lines[0].len() < 3000, "{} bytes: {why}", lines[0].len());
    }
}

#[tokio::test]
async fn a_discovery_document_may_be_elsewhere_and_requests_say_who_asks() {
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
async fn a_flood_of_unknown_names_causes_one_fetch_and_known_keys_go_on() {
    let issuer = TestIssuer::start().await.unwrap();
    let chat = chat(&["--trust", &trust(&issuer, "")]);
    let good = token(&issuer, "t_alpha", "ada");
    assert_eq!(listen(&chat, "t_alpha", &good).await.status(), 200);
    let before = issuer.fetches();
    for i in 0..100 {
        let mut claims = issuer.claims("t_alpha", "prod", "ada");
        claims["aud"] = json!("chat");
        let kid = format!("made-up-{i}");
        let forged = issuer.sign_as(&json!({"alg": "ES256", "kid": kid}), &claims);
        let refused = refusal(listen(&chat, "t_alpha", &forged).await).await;
        assert_eq!(refused, (401, "auth.invalid".to_owned()));
    }
    assert_eq!(issuer.fetches(), before + 1);
    assert_eq!(listen(&chat, "t_alpha", &good).await.status(), 200);
}

#[tokio::test]
async fn a_name_that_is_not_held_is_worth_a_fetch_next_to_unnamed_keys_as_well() {
    let issuer = TestIssuer::start().await.unwrap();
    let mut set: Value = serde_json::from_str(&issuer.jwks()).unwrap();
    set["keys"][0].as_object_mut().unwrap().remove("kid").unwrap();
    issuer.conduct(Conduct::Text(set.to_string()));
    let (_keys, verifier) = loaded(&issuer, &clock()).await;
    // The unnamed key is tried for any name.
    assert!(is_good_at_once(&verifier, &issuer.token("t_alpha", "prod", "ada")));
    let before = issuer.fetches();
    issuer.rotate();
    issuer.conduct(Conduct::Good);
    assert_eq!(code(&verifier, &issuer.token("t_alpha", "prod", "eve")).await, "good");
    assert_eq!(issuer.fetches(), before + 1);
}

#[tokio::test]
async fn a_service_that_starts_without_its_issuer_waits_for_it() {
    let issuer = TestIssuer::start().await.unwrap();
    issuer.conduct(Conduct::Status(503));
    let chat = chat(&["--trust", &trust(&issuer, "")]);
    let good = token(&issuer, "t_alpha", "ada");
    let response = listen(&chat, "t_alpha", &good).await;
    assert!(response.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
    assert_eq!(refusal(response).await, (503, "auth.keys_unavailable".to_owned()));
    let (status, body) = readiness(&chat).await;
    assert_eq!((status, &body["ready"]), (503, &json!(false)));
    assert_eq!(body["issuers"][0]["age_seconds"], Value::Null);
    issuer.conduct(Conduct::Good);
    let deadline = Instant::now() + PATIENCE;
    while readiness(&chat).await.0 != 200 {
        assert!(Instant::now() < deadline, "it does not recover");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(listen(&chat, "t_alpha", &good).await.status(), 200);
}

#[tokio::test]
async fn an_issuer_speaks_for_its_own_tenants_and_signs_for_itself_only() {
    let alpha = TestIssuer::start().await.unwrap();
    let beta = TestIssuer::start().await.unwrap();
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
    // Both call their first key the same, which is how keys of two issuers get mixed up.
    let mut borrowed = alpha.claims("t_beta", "prod", "mallory");
    borrowed["iss"] = json!(beta.url());
    borrowed["aud"] = json!("chat");
    let mut stranger = beta.claims("t_beta", "prod", "mallory");
    stranger["iss"] = json!("https://stranger.example");
    stranger["aud"] = json!("chat");
    let mut elsewhere = alpha.claims("t_alpha", "prod", "ada");
    elsewhere["aud"] = json!("another service");
    let mut dev = alpha.claims("t_alpha", "dev", "ada");
    dev["aud"] = json!("chat");
    for _ in 0..2 {
        for (tenant, bearer, expected) in [
            ("t_alpha", token(&alpha, "t_alpha", "ada"), "200 "),
            ("t_beta", token(&beta, "t_beta", "bob"), "200 "),
            ("t_beta", token(&alpha, "t_beta", "mallory"), "403 tenant.mismatch"),
            ("t_alpha", token(&alpha, "t_beta", "mallory"), "403 tenant.mismatch"),
            ("t_alpha", token(&beta, "t_alpha", "mallory"), "403 tenant.mismatch"),
            ("t_beta", alpha.sign(&borrowed), "401 auth.invalid"),
            ("t_beta", beta.sign(&stranger), "401 auth.invalid"),
            ("t_alpha", alpha.sign(&elsewhere), "401 auth.invalid"),
            ("t_alpha", alpha.sign(&dev), "403 env.mismatch"),
            // The owner of the secret, which names no issuer.
            ("t_alpha", crate::support::token("t_alpha", "prod", "ada"), "200 "),
            ("t_beta", crate::support::token("t_beta", "prod", "bob"), "403 tenant.mismatch"),
            // To name a stranger is not to name nobody.
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
async fn issuers_come_and_go_while_requests_flow() {
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
    assert_eq!(refusal(ask().await).await.1, "auth.invalid", "nobody is trusted yet");
    let keys = KeySet::builder(source(&issuer)).start().unwrap();
    let cache = TokenCache::new(10);
    let verifier = JwtVerifier::builder().key_set(keys).issuer(issuer.url()).cache(cache.clone());
    let unbound = issuers.insert(verifier.clone().build().unwrap()).unwrap_err().to_string();
    assert!(unbound.contains(".tenants(") && unbound.contains(".any_tenant()"), "{unbound}");
    assert_eq!(refusal(ask().await).await.1, "auth.invalid", "so it is not trusted");
    issuers.insert(verifier.any_tenant().build().unwrap()).unwrap();
    let mut open = Events::of(ask().await);
    assert!(open.next().await.unwrap().retry.is_some());
    assert_eq!(cache.len(), 1);
    assert!(issuers.remove(issuer.url()));
    let ended = tokio::time::timeout(PATIENCE, open.event()).await.unwrap().unwrap();
    assert_eq!(ended.event.as_deref(), Some("access.revoked"), "its streams end, too");
    assert_eq!(refusal(ask().await).await.1, "auth.invalid", "whatever the cache holds");
    let nameless = JwtVerifier::builder().key(crate::layers::key()).build().unwrap();
    assert!(issuers.insert(nameless.clone()).is_err(), "whose tokens would be its?");
    assert!(matches!(issuers.set_fallback(nameless), Err(JwtConfigError::NoTenants)));
    let named = JwtVerifier::builder().key(crate::layers::key()).issuer("https://x.test");
    let named = named.any_tenant().build().unwrap();
    assert!(matches!(issuers.set_fallback(named), Err(JwtConfigError::FallbackIssuer)));
    let bound = JwtVerifier::builder().key(crate::layers::key()).tenants(["t_alpha"]);
    issuers.set_fallback(bound.build().unwrap()).unwrap();
}

#[tokio::test]
async fn discovery_leads_to_the_keys_of_the_issuer_that_was_asked_for() {
    let issuer = TestIssuer::start().await.unwrap();
    let client = HttpClient::new().unwrap();
    let start = |set: KeySetBuilder| async {
        let keys = set.start().unwrap();
        keys.loaded().await;
        keys.health()
    };
    let found = Discovery::new(issuer.url(), client.clone()).allow_http();
    assert_eq!(start(KeySet::builder(found)).await.keys, 1);
    // To the letter.
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
async fn keys_come_from_files_and_fetchers_of_ones_own_too() {
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

#[tokio::test]
async fn a_request_that_is_given_up_does_not_take_the_fetch_with_it() {
    let issuer = TestIssuer::start().await.unwrap();
    let (keys, verifier) = loaded(&issuer, &clock()).await;
    issuer.conduct(Conduct::Drip(Duration::from_micros(300)));
    issuer.rotate();
    let new = issuer.token("t_alpha", "prod", "eve");
    let given_up = tokio::time::timeout(Duration::from_millis(5), code(&verifier, &new)).await;
    assert!(given_up.is_err());
    until(|| keys.health().keys == 2).await;
    assert_eq!(code(&verifier, &new).await, "good");
    assert_eq!(issuer.fetches(), 2);
}

/// What a source does that does not answer.
#[derive(Clone, Copy, Debug)]
enum Fault {
    PanicsAtOnce,
    PanicsLater,
    NeverAnswers,
    BlocksItsThread,
}

/// Keys of an issuer, from a source that has a fault until the switch is off.
fn faulty(
    fault: Fault,
    is_faulty: &Arc<AtomicBool>,
    jwks: String,
) -> impl Fn() -> Pin<Box<dyn Future<Output = Result<String, tower_tenancy::BoxError>> + Send>> + use<>
{
    let is_faulty = Arc::clone(is_faulty);
    move || {
        let (jwks, is_faulty) = (jwks.clone(), Arc::clone(&is_faulty));
        let is_bad = is_faulty.load(Ordering::SeqCst);
        assert!(!is_bad || !matches!(fault, Fault::PanicsAtOnce), "as it is told");
        Box::pin(async move {
            if is_bad {
                match fault {
                    Fault::PanicsAtOnce => {}
                    Fault::PanicsLater => {
                        tokio::task::yield_now().await;
                        panic!("as it is told");
                    }
                    Fault::NeverAnswers => std::future::pending().await,
                    Fault::BlocksItsThread => {
                        while is_faulty.load(Ordering::SeqCst) {
                            std::thread::sleep(Duration::from_millis(1));
                        }
                    }
                }
            }
            Ok(jwks)
        })
    }
}

/// Moves the clock until the future is over.
async fn ticking<T>(clock: &ManualClock, future: impl Future<Output = T>) -> T {
    stepping(clock, SECOND, future).await
}

/// Moves the clock by such steps until the future is over.
async fn stepping<T>(clock: &ManualClock, step: Duration, future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "it waits for ever");
        let pause = tokio::time::sleep(Duration::from_millis(10));
        match futures_util::future::select(&mut future, std::pin::pin!(pause)).await {
            futures_util::future::Either::Left((value, _)) => return value,
            futures_util::future::Either::Right(_) => clock.advance(step),
        }
    }
}

#[tokio::test] // one thread: what blocks it, blocks all
async fn a_source_that_dies_or_hangs_makes_nobody_wait_for_longer_than_the_timeout() {
    let issuer = TestIssuer::start().await.unwrap();
    let good = issuer.token("t_alpha", "prod", "ada");
    // A panic is an answer: no time has to go by.
    for (fault, told, step) in [
        (Fault::PanicsAtOnce, "panicked", Duration::ZERO),
        (Fault::PanicsLater, "panicked", Duration::ZERO),
        (Fault::NeverAnswers, "no answer within 10s", SECOND),
        (Fault::BlocksItsThread, "no answer within 10s", SECOND),
    ] {
        let is_faulty = Arc::new(AtomicBool::new(true));
        let clock = clock();
        let source = faulty(fault, &is_faulty, issuer.jwks());
        let keys = KeySet::builder(source).clock(clock.shared()).start().unwrap();
        let verifier = JwtVerifier::builder().key_set(keys.clone()).issuer(issuer.url());
        let verifier = verifier.build().unwrap();
        let begun = clock.now();
        let refused = stepping(&clock, step, authenticate(&verifier, &good)).await.unwrap_err();
        assert_eq!(refused.code(), "auth.keys_unavailable", "{fault:?}");
        assert!(refused.retry_after().unwrap() >= SECOND);
        let waited = clock.now().duration_since(begun).unwrap();
        assert!(waited <= 11 * SECOND, "{fault:?}: {waited:?}");
        stepping(&clock, step, keys.loaded()).await;
        let error = keys.health().error.unwrap();
        assert!(error.contains(told), "{fault:?}: {error}");
        // It goes on, however long it lasts.
        for _ in 0..5 {
            let code = stepping(&clock, step, code(&verifier, &good)).await;
            assert_eq!(code, "auth.keys_unavailable", "{fault:?}");
            clock.advance(61 * SECOND);
        }
        is_faulty.store(false, Ordering::SeqCst);
        ticking(&clock, async {
            while code(&verifier, &good).await != "good" {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
        assert_eq!((keys.health().keys, keys.health().error), (1, None), "{fault:?}");
    }
}

#[tokio::test]
async fn a_set_that_is_loaded_does_not_hang_for_a_source_that_does_later() {
    let issuer = TestIssuer::start().await.unwrap();
    let is_faulty = Arc::new(AtomicBool::new(false));
    let clock = clock();
    let source = faulty(Fault::BlocksItsThread, &is_faulty, issuer.jwks());
    let keys = KeySet::builder(source).clock(clock.shared()).start().unwrap();
    keys.loaded().await;
    let verifier = JwtVerifier::builder().key_set(keys).issuer(issuer.url()).build().unwrap();
    let known = issuer.token("t_alpha", "prod", "ada");
    issuer.rotate();
    let unknown = issuer.token("t_alpha", "prod", "eve");
    is_faulty.store(true, Ordering::SeqCst);
    let told = ticking(&clock, code(&verifier, &unknown)).await;
    assert_eq!(told, "auth.keys_unavailable", "nobody can tell");
    assert_eq!(code(&verifier, &known).await, "good");
    is_faulty.store(false, Ordering::SeqCst);
}

/// A runtime that may be dropped, or forgotten about.
fn elsewhere() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

#[tokio::test]
async fn a_set_outlives_the_runtime_that_it_was_started_in() {
    let issuer = TestIssuer::start().await.unwrap();
    let good = issuer.token("t_alpha", "prod", "ada");
    // Dropped while the first fetch runs, and dropped once the keys are there.
    for is_loaded in [false, true] {
        let is_faulty = Arc::new(AtomicBool::new(!is_loaded));
        let source = faulty(Fault::NeverAnswers, &is_faulty, issuer.jwks());
        let runtime = elsewhere();
        let keys = runtime.block_on_elsewhere(async move {
            let keys = KeySet::builder(source).start().unwrap();
            if is_loaded {
                keys.loaded().await;
            } else {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            keys
        });
        runtime.shutdown_background();
        let verifier = JwtVerifier::builder().key_set(keys.clone()).issuer(issuer.url());
        let verifier = verifier.build().unwrap();
        is_faulty.store(false, Ordering::SeqCst);
        if is_loaded {
            // Its own keys are good; a new one is fetched in the runtime of the request.
            assert_eq!(code(&verifier, &good).await, "good");
        }
        let ended = async {
            loop {
                match code(&verifier, &good).await {
                    "good" if keys.health().error.is_none() => break,
                    "good" | "auth.keys_unavailable" => {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    other => panic!("{other}"),
                }
            }
        };
        tokio::time::timeout(PATIENCE, ended).await.unwrap();
        tokio::time::timeout(PATIENCE, keys.loaded()).await.unwrap();
        assert_eq!(keys.health().keys, 1);
    }
}

#[tokio::test]
async fn a_probe_that_asks_for_the_health_revives_a_set_that_nobody_else_asks() {
    let issuer = TestIssuer::start().await.unwrap();
    let jwks = issuer.jwks();
    let runtime = elsewhere();
    let source = move || {
        let jwks = jwks.clone();
        async move { Ok(jwks) }
    };
    let keys = runtime.block_on_elsewhere(async move {
        let keys = KeySet::builder(source).start().unwrap();
        keys.loaded().await;
        keys
    });
    runtime.shutdown_background();
    // Once the runtime's threads have let go of the task.
    until(|| keys.health().error.is_some_and(|error| error.contains("runtime"))).await;
    until(|| keys.health().error.is_none()).await;
}

#[tokio::test]
async fn a_runtime_that_nobody_drives_makes_nobody_wait_for_longer_than_the_timeout() {
    let issuer = TestIssuer::start().await.unwrap();
    let jwks = issuer.jwks();
    let source = move || {
        let jwks = jwks.clone();
        async move { Ok(jwks) }
    };
    let idle = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let clock = clock();
    let keys = {
        let _in_it = idle.enter();
        KeySet::builder(source).clock(clock.shared()).start().unwrap()
    };
    let verifier = JwtVerifier::builder().key_set(keys.clone()).issuer(issuer.url());
    let verifier = verifier.build().unwrap();
    let good = issuer.token("t_alpha", "prod", "ada");
    let told = ticking(&clock, code(&verifier, &good)).await;
    assert_eq!(told, "auth.keys_unavailable");
    ticking(&clock, keys.loaded()).await;
    assert_eq!(code(&verifier, &good).await, "good", "the next one begins anew");
    idle.shutdown_background();
}

/// Runs a future on a thread that may block.
trait BlockElsewhere {
    fn block_on_elsewhere<T: Send>(&self, future: impl Future<Output = T> + Send) -> T;
}

impl BlockElsewhere for tokio::runtime::Runtime {
    fn block_on_elsewhere<T: Send>(&self, future: impl Future<Output = T> + Send) -> T {
        std::thread::scope(|scope| scope.spawn(|| self.block_on(future)).join().unwrap())
    }
}

#[tokio::test]
async fn no_secret_of_a_url_or_a_client_is_shown() {
    let client = || {
        let proxy = reqwest::Proxy::all("http://u:s3cret@127.0.0.1:9").unwrap();
        let mut headers = reqwest::header::HeaderMap::new();
        headers.insert("x-api-key", "s3cret".parse().unwrap());
        let client = reqwest::Client::builder().proxy(proxy).default_headers(headers);
        Proxied(client.build().unwrap())
    };
    /// A client of the application's own.
    struct Proxied(reqwest::Client);
    impl HttpGet for Proxied {
        fn get(&self, uri: &http::Uri, _: usize) -> HttpFuture {
            let request = self.0.get(uri.to_string());
            Box::pin(async move {
                let answer = request.send().await?;
                Ok(HttpResponse::new(answer.status(), answer.bytes().await?))
            })
        }
    }
    /// As others make one: it tells the URL in its errors.
    struct Telling;
    impl HttpGet for Telling {
        fn get(&self, uri: &http::Uri, _: usize) -> HttpFuture {
            let error = format!("cannot get {uri}: it is down");
            Box::pin(async move { Err(error.into()) })
        }
    }
    let issuer = TestIssuer::start().await.unwrap();
    let good = issuer.jwks_url().replace("http://", "http://u:s3cret@") + "?token=s3cret";
    let dead = "http://u:s3cret@127.0.0.1:9/keys?token=s3cret";
    let direct = || HttpClient::new().unwrap();
    let mut shown = vec![format!("{:?} {:?}", direct(), KeyFile::new("/etc/keys"))];
    let mut shows = async |keys: KeySetBuilder, part: &str| {
        shown.push(format!("{keys:?}"));
        let set = keys.start().unwrap();
        set.loaded().await;
        let error = set.health().error.unwrap();
        assert!(error.contains(part), "{error}");
        let verifier = JwtVerifier::builder().key_set(set.clone());
        shown.push(format!("{error} {set:?} {verifier:?} {:?}", verifier.clone().build().unwrap()));
    };
    for (url, part) in
        [(good.as_str(), "/jwks.json?[hidden] answered 404"), (dead, "error sending")]
    {
        shows(KeySet::builder(JwksUrl::new(url, direct()).allow_http()), part).await;
    }
    shows(KeySet::builder(JwksUrl::new(dead, client()).allow_http()), "error sending").await;
    let https = JwksUrl::new(dead, client());
    let sources = format!("{https:?} {:?}", Discovery::new(dead, client()));
    shows(KeySet::builder(https), "is not an https URL").await;
    let telling = JwksUrl::new(dead, Telling).allow_http();
    shows(KeySet::builder(telling), "cannot get http://127.0.0.1:9/keys?[hidden]: it is down")
        .await;
    shown.push(sources);
    for text in shown {
        assert!(!text.contains("s3cret"), "{text}");
    }
}

#[test]
fn what_cannot_be_trusted_is_refused_when_the_server_starts() {
    for (value, told) in [
        ("issuer=a,jwks=http://id.example.com/jwks,audience=chat", "https"),
        ("issuer=a,jwks=http://127.0.0.1.evil.test/jwks,audience=chat", "https"),
        ("issuer=a,jwks=https://id.example.com/jwks", "`audience` is missing"),
        ("jwks=https://id.example.com/jwks,audience=chat", "`issuer` is missing"),
        ("issuer=a,issuer=b,jwks=https://x.test,audience=c", "once"),
        ("issuer=a,tenant=t,jwks=https://x.test,audience=c", "`tenant` is none of"),
        ("issuer=a,jwks=https://x.test,audience=c,tenants=t||u", "cannot be one"),
        ("issuer=a,jwks=https://x.test,audience=c,tenants=*|t", "cannot be one"),
        ("issuer=a,jwks=https://x.test,audience=c,envs=|", "cannot be one"),
    ] {
        let mut command = Command::new(crate::support::chat_binary());
        let output = command.args(["--addr", "127.0.0.1:0", "--trust", value]).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && error.contains(told), "{value}: {error}");
    }
}

#[test]
fn whoever_is_trusted_next_to_others_says_for_which_tenants() {
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
        (&["--trust", bound, "--key-tenants", "t_a"], "--key-tenants binds a key"),
    ] {
        let mut command = Command::new(crate::support::chat_binary());
        let output = command.args(["--addr", "127.0.0.1:0"]).args(args).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && error.contains(told), "{args:?}: {error}");
        if told == "issuer=a: " {
            assert!(error.contains("tenants=T1|T2") && error.contains("tenants=*"), "{error}");
        }
    }
    // Its start is told by its first line.
    chat(&["--trust", a]);
    chat(&["--trust", any, "--trust", bound, "--hs256-secret", secret]);
}

#[test]
fn a_fixed_key_that_speaks_for_every_tenant_next_to_others_is_told_at_start() {
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
        // It listens once all was said.
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
