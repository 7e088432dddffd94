//! Keys that rotate, and keys that are not fetched yet.

use super::support::{
    SECOND, authenticate, chat, clock, code, is_good_at_once, issuer_for_chat, listen, loaded,
    readiness, trust, until,
};
use crate::support::{PATIENCE, refusal};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tower_tenancy::testing::{Conduct, TestIssuer};

#[tokio::test]
async fn keys_rotate_while_requests_arrive_and_no_valid_request_is_refused() {
    let issuer = issuer_for_chat().await;
    let chat = chat(&["--trust", &trust(&issuer, ""), "--token-cache", "100"]);
    for round in 0..5 {
        let old = issuer.token("t_alpha", "prod", "ada");
        // The issuer publishes a key and signs with it at once, which is the worst case.
        issuer.rotate();
        let new = issuer.token("t_alpha", "prod", "eve");
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
async fn tokens_of_known_keys_pass_for_an_hour_without_the_issuer_and_the_set_recovers() {
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
    assert_eq!(
        refused.code(),
        "auth.keys_unavailable",
        "the set cannot know whether the key exists"
    );
    assert!(refused.retry_after().unwrap() >= SECOND);
    assert!(keys.health().age.unwrap() >= 3600 * SECOND && keys.health().keys == 1);

    issuer.conduct(Conduct::Good);
    clock.advance(61 * SECOND);
    until(|| keys.health().error.is_none()).await;
    assert_eq!(code(&verifier, &unknown).await, "good");
    // The old keys are not trusted for ever.
    issuer.conduct(Conduct::Down);
    clock.advance(25 * 3600 * SECOND);
    until(|| keys.health().error.is_some()).await;
    assert_eq!(code(&verifier, &known).await, "auth.keys_unavailable");
    assert_eq!(keys.health().keys, 0);
}

#[tokio::test]
async fn many_unknown_kids_cause_one_fetch_and_known_keys_still_pass() {
    let issuer = issuer_for_chat().await;
    let chat = chat(&["--trust", &trust(&issuer, "")]);
    let good = issuer.token("t_alpha", "prod", "ada");
    assert_eq!(listen(&chat, "t_alpha", &good).await.status(), 200);
    let before = issuer.fetches();
    for i in 0..100 {
        let claims = issuer.claims("t_alpha", "prod", "ada");
        let kid = format!("made-up-{i}");
        let forged = issuer.sign_as(&json!({"alg": "ES256", "kid": kid}), &claims);
        let refused = refusal(listen(&chat, "t_alpha", &forged).await).await;
        assert_eq!(refused, (401, "auth.invalid".to_owned()));
    }
    assert_eq!(issuer.fetches(), before + 1);
    assert_eq!(listen(&chat, "t_alpha", &good).await.status(), 200);
}

#[tokio::test]
async fn an_unknown_kid_causes_a_fetch_even_if_the_set_has_keys_without_a_kid() {
    let issuer = TestIssuer::start().await.unwrap();
    let mut set: Value = serde_json::from_str(&issuer.jwks()).unwrap();
    set["keys"][0].as_object_mut().unwrap().remove("kid").unwrap();
    issuer.conduct(Conduct::Text(set.to_string()));
    let (_keys, verifier) = loaded(&issuer, &clock()).await;
    // A key without a `kid` is tried for every unknown `kid`.
    assert!(is_good_at_once(&verifier, &issuer.token("t_alpha", "prod", "ada")));
    let before = issuer.fetches();
    issuer.rotate();
    issuer.conduct(Conduct::Good);
    assert_eq!(code(&verifier, &issuer.token("t_alpha", "prod", "eve")).await, "good");
    assert_eq!(issuer.fetches(), before + 1);
}

#[tokio::test]
async fn a_service_that_starts_without_its_issuer_waits_for_it() {
    let issuer = issuer_for_chat().await;
    issuer.conduct(Conduct::Status(503));
    let chat = chat(&["--trust", &trust(&issuer, "")]);
    let good = issuer.token("t_alpha", "prod", "ada");
    let response = listen(&chat, "t_alpha", &good).await;
    assert!(response.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
    assert_eq!(refusal(response).await, (503, "auth.keys_unavailable".to_owned()));
    let (status, body) = readiness(&chat).await;
    assert_eq!((status, &body["ready"]), (503, &json!(false)));
    assert_eq!(body["issuers"][0]["age_seconds"], Value::Null);
    issuer.conduct(Conduct::Good);
    let deadline = Instant::now() + PATIENCE;
    while readiness(&chat).await.0 != 200 {
        assert!(Instant::now() < deadline, "the service does not recover");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(listen(&chat, "t_alpha", &good).await.status(), 200);
}
