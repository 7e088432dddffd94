//! Credentials that are meant for a gateway.

use super::support::{answer, text};
use crate::{
    layers::{request, setting, verifier, without},
    support::token,
};
use axum::{Router, routing::any};
use http::HeaderMap;
use tower_tenancy::{
    AuthContext, AuthRequest, Rejection, RequireAuth, Verdict, auth::TokenSources,
};

/// A gateway in front of a staging site asks for a password. The browser then sends it with every request.
#[tokio::test]
async fn a_password_of_a_gateway_may_come_with_a_token_and_is_not_a_token() {
    let seen = async |headers: HeaderMap, auth: Option<AuthContext>| {
        let subject = auth.map_or_else(|| "nobody".to_owned(), |auth| auth.subject().to_string());
        let gate = headers.get("authorization");
        format!("{subject} {}", gate.is_some_and(http::HeaderValue::is_sensitive))
    };
    let router = || Router::new().route("/", any(seen));
    // This authenticator also accepts an API key or a password.
    let greedy = |request: &AuthRequest<'_>| match request.headers().get("authorization") {
        Some(key)
            if key.as_bytes().starts_with(b"ApiKey") || key.as_bytes().starts_with(b"Basic") =>
        {
            let subject = tower_tenancy::Subject::new("by-key").unwrap();
            let soon = std::time::SystemTime::now() + std::time::Duration::from_secs(60);
            Verdict::Ready(Ok(AuthContext::new(subject, soon)))
        }
        _ => tower_tenancy::Authenticator::authenticate(&verifier(), request),
    };
    let ask = async |layer: RequireAuth, authorization: &[&str], cookie: bool| {
        let mut request = without(request(), "authorization");
        for value in authorization {
            request.headers_mut().append("authorization", value.parse().unwrap());
        }
        if cookie {
            let cookie = format!("session={}", token("t_alpha", "prod", "ada"));
            request.headers_mut().insert("cookie", cookie.parse().unwrap());
            request.headers_mut().insert("sec-fetch-site", "same-origin".parse().unwrap());
        }
        let response = answer(layer, router(), request).await;
        let code = response.extensions().get::<Rejection>().map(Rejection::code);
        match code {
            Some(code) => code.to_owned(),
            None => text(response).await,
        }
    };
    let sources = TokenSources::header().or_cookie("session");
    let built_in = || RequireAuth::new(verifier()).optional().token_sources(sources.clone());
    let own = || RequireAuth::new(greedy).optional().token_sources(sources.clone());
    let bearer = format!("Bearer {}", token("t_alpha", "prod", "ada"));
    for (authorization, cookie, by_built_in, by_own) in [
        (vec!["Basic YTpi"], true, "ada true", "ada true"),
        (vec!["Basic YTpi"], false, "nobody true", "by-key true"),
        (vec!["ApiKey k"], false, "auth.invalid", "by-key true"),
        (vec!["ApiKey k"], true, "context.invalid", "context.invalid"),
        (vec![&bearer], false, "ada true", "ada true"),
        (vec![&bearer], true, "context.invalid", "context.invalid"),
        (vec!["Basic YTpi", &bearer], true, "context.invalid", "context.invalid"),
        (vec!["Basic YTpi", "Basic YTpi"], true, "context.invalid", "context.invalid"),
    ] {
        assert_eq!(ask(built_in(), &authorization, cookie).await, by_built_in, "{authorization:?}");
        assert_eq!(ask(own(), &authorization, cookie).await, by_own, "{authorization:?}");
    }
    for repeated in [["Basic YTpi", &bearer], ["Basic YTpi", "Basic YTpi"]] {
        assert_eq!(ask(built_in(), &repeated, false).await, "auth.invalid");
    }
    // If a token is required, the refusal says what to send.
    let alone = setting(request(), "authorization", "Basic YTpi");
    let response = answer(RequireAuth::new(verifier()), router(), alone).await;
    assert_eq!(response.status(), 401);
    let refused = response.extensions().get::<Rejection>().unwrap();
    assert_eq!(refused.code(), "auth.missing");
    assert!(refused.detail().contains("Authorization: Bearer <token>"), "{}", refused.detail());
}
