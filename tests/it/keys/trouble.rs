//! Issuers with bad responses, and what the log says about them.

use super::support::{SECOND, authenticate, clock, code, is_good_at_once, loaded, until};
use crate::layers::logged;
use serde_json::{Value, json};
use std::time::Duration;
use tower_tenancy::{
    auth::{
        Discovery, HttpClient, HttpFuture, HttpGet, HttpResponse, JwksUrl, JwtVerifier, KeyFile,
        KeySet, KeySetBuilder,
    },
    testing::{Conduct, TestIssuer},
};

#[tokio::test]
async fn a_bad_response_of_an_issuer_removes_no_key_and_makes_no_request_wait() {
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
        assert!(is_good_at_once(&verifier, &known), "tokens of known keys do not wait: {told}");
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
async fn unusable_keys_do_not_affect_the_other_keys() {
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
    assert_eq!(keys.health().keys, 3, "a duplicate key counts once");
    assert_eq!(code(&verifier, &issuer.token("t_alpha", "prod", "ada")).await, "good");
    let claims = issuer.claims("t_alpha", "prod", "ada");
    let second_of_its_name = issuer.sign_as(&json!({"alg": "ES256", "kid": "twice"}), &claims);
    assert_eq!(code(&verifier, &second_of_its_name).await, "good");
}

#[tokio::test]
async fn a_problem_with_keys_is_logged_once_with_its_source_keys_and_reason() {
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
        // First the same document again, then a document with one more unusable key.
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
    // Log lines before the verifier was built have no issuer, so one line names both source and issuer.
    let tied = log.lines().filter(|line| line.contains("verify the tokens of an issuer"));
    let tied: Vec<_> = tied.collect();
    assert!(tied.len() == 1 && tied[0].contains(&named) && tied[0].contains(&issuer.jwks_url()));
    assert!(lines[1].contains(&named) && lines[2].contains(&named), "{log}");
}

#[tokio::test]
async fn a_set_without_usable_keys_is_reported_in_the_log_and_in_the_source_of_the_rejection() {
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
        // The same failure is not logged twice.
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

/// An error may contain the whole document, and it is the source of every rejection.
#[tokio::test]
async fn no_response_of_an_issuer_makes_a_log_line_long() {
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
async fn secrets_of_urls_and_clients_are_never_shown() {
    let client = || {
        let proxy = reqwest::Proxy::all("http://u:s3cret@127.0.0.1:9").unwrap();
        let mut headers = reqwest::header::HeaderMap::new();
        headers.insert("x-api-key", "s3cret".parse().unwrap());
        let client = reqwest::Client::builder().proxy(proxy).default_headers(headers);
        Proxied(client.build().unwrap())
    };
    /// A client of the application.
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
    /// A client whose errors contain the URL.
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
