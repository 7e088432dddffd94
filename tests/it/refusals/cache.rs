//! Refusals and caches.

use super::support::{answer, forbidden, handler};
use crate::{
    hosts::serve_axum,
    layers::{request, setting, verifier, without},
    support::token,
};
use axum::{
    Router,
    response::{IntoResponse as _, Response},
    routing::get,
};
use http::{HeaderMap, HeaderName, StatusCode, header};
use tower_tenancy::{
    Rejection, RequireAuth, RequireClaims, RequireRequestContext, RequireTenantScope,
    TenantEnvGuard, auth::TokenSources,
};

#[tokio::test]
async fn no_cache_may_store_the_refusal_of_a_closure() {
    let closing = |value: Option<&'static str>| {
        RequireTenantScope::new(verifier()).reject_with(move |rejection: &Rejection| {
            let mut response = rejection.status().into_response();
            if let Some(value) = value {
                response.headers_mut().insert("cache-control", value.parse().unwrap());
            }
            response
        })
    };
    for (own, seen) in [
        (None, "no-store"),
        (Some("max-age=600"), "no-store"),
        (Some("private, x-no-store"), "no-store"),
        (Some("private, No-Store"), "private, No-Store"),
        (Some("no-store"), "no-store"),
    ] {
        let anonymous = without(request(), "authorization");
        let response = answer(closing(own), handler(Response::default), anonymous).await;
        assert_eq!(response.status(), 401);
        let values: Vec<_> = response.headers().get_all("cache-control").iter().collect();
        assert_eq!(values, [seen], "{own:?}");
    }
    // The layer also adds `no-store` to a refusal of the handler. It does not change the handler's other
    // responses.
    let counted = || (StatusCode::FORBIDDEN, axum::Extension(forbidden()), "no").into_response();
    let response = answer(RequireTenantScope::new(verifier()), handler(counted), request()).await;
    assert_eq!(response.headers()["cache-control"], "no-store");
    let cached = || ([(header::CACHE_CONTROL, "max-age=60")], "in").into_response();
    let response = answer(RequireTenantScope::new(verifier()), handler(cached), request()).await;
    assert_eq!(response.headers()["cache-control"], "max-age=60");
}

fn vary(headers: &HeaderMap) -> Vec<&str> {
    headers.get_all("vary").iter().map(|value| value.to_str().unwrap()).collect()
}

#[tokio::test]
async fn every_response_names_in_vary_what_the_layers_read() {
    let plain = || handler(|| "in".into_response());
    let auth = || RequireAuth::new(verifier());
    let scope = || RequireTenantScope::new(verifier());
    let sources = TokenSources::header().or_cookie("session");
    let key = HeaderName::from_static("x-api-key");
    let with_cookie = "authorization, cookie, origin, sec-fetch-site";
    let seen = async |response: Response, expected: &str| {
        assert_eq!(vary(response.headers()), [expected], "{}", response.status());
    };
    for bad in [false, true] {
        let request = || if bad { setting(request(), "authorization", "x") } else { request() };
        let combined = "x-tenant-id, x-env, authorization";
        seen(answer(scope(), plain(), request()).await, combined).await;
        seen(answer(auth(), plain(), request()).await, "authorization").await;
        let cookie = auth().token_sources(sources.clone());
        seen(answer(cookie, plain(), request()).await, with_cookie).await;
        let protocol = auth().token_sources(TokenSources::header().or_subprotocol());
        let expected = "authorization, sec-websocket-protocol";
        seen(answer(protocol, plain(), request()).await, expected).await;
        let own = scope().vary_by(key.clone()).vary_by(header::AUTHORIZATION);
        seen(answer(own, plain(), request()).await, &format!("{combined}, x-api-key")).await;
        let three = (RequireRequestContext::new(), auth(), TenantEnvGuard::new());
        let expected = "authorization, x-tenant-id, x-env";
        seen(answer(three, plain(), request()).await, expected).await;
        // The same for a refusal in the application's own style.
        let styled = scope().reject_with(|rejection: &Rejection| {
            (rejection.status(), [(header::VARY, "Accept-Language")], "no").into_response()
        });
        let expected =
            if bad { format!("Accept-Language, {combined}") } else { combined.to_owned() };
        seen(answer(styled, plain(), request()).await, &expected).await;
    }
    let context = RequireRequestContext::new;
    seen(answer(context(), plain(), request()).await, "x-tenant-id, x-env").await;
    let refused = answer(context(), plain(), without(request(), "x-env")).await;
    assert_eq!(refused.status(), 400);
    seen(refused, "x-tenant-id, x-env").await;

    // The `Vary` of the inner service stays.
    for (own, expected) in [
        ("accept-encoding", "accept-encoding, x-tenant-id, x-env, authorization"),
        ("Authorization, accept", "Authorization, accept, x-tenant-id, x-env"),
        ("X-Env, x-tenant-id,authorization", "X-Env, x-tenant-id,authorization"),
        ("*", "*"),
    ] {
        let inner = handler(move || ([(header::VARY, own)], "in").into_response());
        seen(answer(scope(), inner, request()).await, expected).await;
    }
    // The same for refusals of a handler and of an inner layer.
    let inner = handler(|| forbidden().into_response());
    let refused = answer(scope(), inner, request()).await;
    assert_eq!(refused.status(), 403);
    seen(refused, "x-tenant-id, x-env, authorization").await;
    let ops = (scope(), RequireClaims::new().role("ops"));
    seen(answer(ops, plain(), request()).await, "x-tenant-id, x-env, authorization").await;
}

#[tokio::test]
async fn a_shared_cache_can_tell_two_tenants_apart() {
    let secret = async |scope: tower_tenancy::TenantScope| {
        ([(header::CACHE_CONTROL, "max-age=60")], scope.tenant().to_string())
    };
    let tenancy = RequireTenantScope::new(verifier());
    let addr = serve_axum(Router::new().route("/", get(secret)).route_layer(tenancy)).await;
    let ask = |tenant: &str| {
        let request = reqwest::Client::new().get(format!("http://{addr}/"));
        let request = request.header("x-tenant-id", tenant).header("x-env", "prod");
        request.bearer_auth(token(tenant, "prod", "ada")).build().unwrap()
    };
    let stored_for = ask("t_alpha");
    let stored = reqwest::Client::new().execute(stored_for.try_clone().unwrap()).await.unwrap();
    // RFC 9111 section 4.1: a stored response serves a request only if all headers in its `Vary` are the same.
    let serves = |asked: &reqwest::Request| {
        vary(stored.headers()).iter().flat_map(|value| value.split(", ")).all(|name| {
            let of = |request: &reqwest::Request| request.headers().get(name).cloned();
            name != "*" && of(asked) == of(&stored_for)
        })
    };
    assert!(serves(&stored_for));
    assert!(
        !serves(&ask("t_beta")),
        "a cache must not give the response of one tenant to another tenant"
    );
}
