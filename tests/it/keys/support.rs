//! Helpers: a key set of an issuer on loopback, and a chat server that trusts the issuer.

use crate::support::{Chat, PATIENCE};
use serde_json::Value;
use std::{
    process::Command,
    time::{Duration, Instant},
};
use tower_tenancy::{
    Rejection, Verdict,
    auth::{AuthRequest, Authenticator as _, HttpClient, JwksUrl, JwtVerifier, KeySet},
    testing::{ManualClock, TestIssuer},
};

pub(super) const SECOND: Duration = Duration::from_secs(1);

pub(super) fn source(issuer: &TestIssuer) -> JwksUrl {
    JwksUrl::new(issuer.jwks_url(), HttpClient::new().unwrap()).allow_http()
}

/// A key set with this clock and loaded keys, and a verifier with this set.
pub(super) async fn loaded(issuer: &TestIssuer, clock: &ManualClock) -> (KeySet, JwtVerifier) {
    let keys = KeySet::builder(source(issuer)).clock(clock.shared()).start().unwrap();
    keys.loaded().await;
    let verifier = JwtVerifier::builder().key_set(keys.clone()).issuer(issuer.url());
    (keys, verifier.build().unwrap())
}

/// A clock that starts now, because the tokens of the issuer are valid from now.
pub(super) fn clock() -> ManualClock {
    ManualClock::at(crate::support::now())
}

pub(super) async fn authenticate(verifier: &JwtVerifier, token: &str) -> Result<String, Rejection> {
    let request = http::Request::builder().header("authorization", format!("Bearer {token}"));
    let verdict = verifier.authenticate(&AuthRequest::of(&request.body(()).unwrap()));
    let auth = match verdict {
        Verdict::Ready(auth) => auth,
        Verdict::Later(auth) => auth.await,
    };
    auth.map(|auth| auth.subject().to_string())
}

/// Whether the token passes without waiting.
pub(super) fn is_good_at_once(verifier: &JwtVerifier, token: &str) -> bool {
    let request = http::Request::builder().header("authorization", format!("Bearer {token}"));
    let verdict = verifier.authenticate(&AuthRequest::of(&request.body(()).unwrap()));
    matches!(verdict, Verdict::Ready(Ok(_)))
}

pub(super) async fn code(verifier: &JwtVerifier, token: &str) -> &'static str {
    authenticate(verifier, token).await.map_or_else(|refused| refused.code(), |_| "good")
}

pub(super) async fn until(wanted: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !wanted() {
        assert!(Instant::now() < deadline, "the condition does not become true");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(super) fn trust(issuer: &TestIssuer, rest: &str) -> String {
    format!("issuer={},jwks={},audience=chat{rest}", issuer.url(), issuer.jwks_url())
}

/// An issuer of tokens for the chat server.
pub(super) async fn issuer_for_chat() -> TestIssuer {
    TestIssuer::start().await.unwrap().with_audience("chat")
}

pub(super) fn chat(args: &[&str]) -> Chat {
    let mut command = Command::new(crate::support::chat_binary());
    command.args(["--addr", "127.0.0.1:0", "--thread", "t_alpha/prod/th"]);
    Chat::run(command.args(["--thread", "t_beta/prod/th"]).args(args))
}

pub(super) async fn listen(chat: &Chat, tenant: &str, token: &str) -> reqwest::Response {
    let request = chat.bare("GET", "/sse/chat/th").header("x-tenant-id", tenant);
    request.header("x-env", "prod").bearer_auth(token).send().await.unwrap()
}

pub(super) async fn readiness(chat: &Chat) -> (u16, Value) {
    let response = chat.bare("GET", "/readyz").send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

/// Moves the clock by one second at a time until the future is ready.
pub(super) async fn ticking<T>(clock: &ManualClock, future: impl Future<Output = T>) -> T {
    stepping(clock, SECOND, future).await
}

/// Moves the clock by `step` at a time until the future is ready.
pub(super) async fn stepping<T>(
    clock: &ManualClock,
    step: Duration,
    future: impl Future<Output = T>,
) -> T {
    let mut future = std::pin::pin!(future);
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "the future does not become ready");
        let pause = tokio::time::sleep(Duration::from_millis(10));
        match futures_util::future::select(&mut future, std::pin::pin!(pause)).await {
            futures_util::future::Either::Left((value, _)) => return value,
            futures_util::future::Either::Right(_) => clock.advance(step),
        }
    }
}
