//! Refusals in each dialect: no client and no cache takes them for a success, and layers of the application may
//! change them.

use crate::{
    hosts::serve_axum,
    layers::{logged, request, setting, verifier, without},
    support::{Socket, token},
};
use axum::{
    Router,
    body::Body,
    extract::WebSocketUpgrade,
    middleware::map_response,
    response::{IntoResponse as _, Response},
    routing::{any, get},
};
use http::{HeaderMap, HeaderName, Method, Request, StatusCode, Version, header};
use http_body_util::BodyExt as _;
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tower::{Layer, Service, ServiceExt as _};
use tower_tenancy::{
    AuthContext, AuthRequest, CloseRefusedUpgrades, Rejection, RejectionKind, RequireAuth,
    RequireClaims, RequireRequestContext, RequireTenantScope, TenantEnvGuard, Verdict,
    auth::TokenSources, rejection::GrpcStatus,
};

/// An authenticator without keys.
fn down(_: &AuthRequest<'_>) -> Verdict {
    Verdict::Ready(Err(RejectionKind::KeysUnavailable.into()))
}

/// The response to one request over HTTP/2, with prior knowledge.
async fn over_http2(addr: SocketAddr, request: Request<()>) -> http::Response<()> {
    let tcp = TcpStream::connect(addr).await.unwrap();
    let (client, connection) = h2::client::handshake(tcp).await.unwrap();
    tokio::spawn(connection);
    let (answer, _) = client.ready().await.unwrap().send_request(request, true).unwrap();
    answer.await.unwrap().map(drop)
}

fn asked(addr: SocketAddr, method: &str, content_type: &str) -> Request<()> {
    let request = Request::builder().method(method).uri(format!("http://{addr}/"));
    let request = request.header("x-tenant-id", "t_alpha").header("x-env", "prod");
    request.header("content-type", content_type).body(()).unwrap()
}

/// Sends a request over HTTP/1.1.
async fn over_http1(addr: SocketAddr, request: Request<()>) -> reqwest::Response {
    let (parts, ()) = request.into_parts();
    let url = parts.uri.to_string();
    assert!(url.contains(&addr.to_string()));
    let asked = reqwest::Client::new().request(parts.method, url).headers(parts.headers);
    asked.send().await.unwrap()
}

#[tokio::test]
async fn a_content_type_alone_does_not_make_a_refusal_a_200() {
    let handler = any(async || "in");
    let by_content_type = RequireTenantScope::new(verifier());
    let grpc_status = RequireTenantScope::new(verifier()).reject_with(GrpcStatus);
    let three = RequireAuth::new(verifier());
    let hosts = [
        serve_axum(Router::new().route("/", handler.clone()).layer(by_content_type)).await,
        serve_axum(Router::new().route("/", handler.clone()).layer(grpc_status)).await,
        serve_axum(Router::new().route("/", handler).layer(three)).await,
    ];
    for addr in hosts {
        for content_type in ["application/grpc", "application/grpc+proto", "Application/Grpc"] {
            for method in ["GET", "POST", "HEAD", "PUT"] {
                let response = over_http1(addr, asked(addr, method, content_type)).await;
                assert_eq!(response.status(), 401, "{method} {content_type}");
                assert_eq!(response.headers()["cache-control"], "no-store");
                assert!(response.headers().contains_key("www-authenticate"));
                let version = response.version();
                assert_eq!(version, Version::HTTP_11);
            }
            for method in ["GET", "HEAD", "PUT"] {
                let response = over_http2(addr, asked(addr, method, content_type)).await;
                assert_eq!(response.status(), 401, "{method} {content_type}");
                assert_eq!(response.headers()["cache-control"], "no-store");
            }
            // Only a `POST` over HTTP/2 comes from a gRPC client.
            let response = over_http2(addr, asked(addr, "POST", content_type)).await;
            assert_eq!(response.status(), 200);
            assert_eq!(response.headers()["grpc-status"], "16");
            assert_eq!(response.headers()["cache-control"], "no-store");
        }
        for content_type in ["application/grpc-web+proto", "application/json"] {
            let response = over_http2(addr, asked(addr, "POST", content_type)).await;
            assert_eq!(response.status(), 401, "{content_type}");
        }
    }
}

#[tokio::test]
async fn a_refused_browser_gets_200_only_on_a_route_that_opens_a_stream() {
    let tenancy = || RequireTenantScope::new(down);
    let router = |layer| Router::new().route("/", any(async || "in")).layer(layer);
    let (plain, stream) =
        (serve_axum(router(tenancy())).await, serve_axum(router(tenancy().opens_streams())).await);
    let ask = async |addr: SocketAddr, method: Method, accept: &[&str], bearer: bool| {
        let mut request = reqwest::Client::new().request(method, format!("http://{addr}/"));
        request = request.header("x-tenant-id", "t_alpha").header("x-env", "prod");
        for value in accept {
            request = request.header("accept", *value);
        }
        if bearer {
            request = request.bearer_auth(token("t_alpha", "prod", "ada"));
        }
        let response = request.send().await.unwrap();
        let cached = response.headers()["cache-control"].to_str().unwrap().to_owned();
        assert!(cached.starts_with("no-store"), "{accept:?}: {cached}");
        response.status().as_u16()
    };
    for accept in [
        &["text/event-stream"][..],
        &["TEXT/Event-Stream"],
        &["text/event-stream;q=1"],
        &["text/event-stream", "text/event-stream"],
        &["text/html", "text/event-stream"],
        &["text/html, text/event-stream;q=0.5"],
    ] {
        assert_eq!(ask(plain, Method::GET, accept, false).await, 503, "{accept:?}");
        assert_eq!(ask(stream, Method::GET, accept, false).await, 200, "{accept:?}");
        assert_eq!(ask(stream, Method::GET, accept, true).await, 503, "{accept:?}");
        assert_eq!(ask(stream, Method::POST, accept, false).await, 503, "{accept:?}");
    }
    for accept in [&["*/*"][..], &["text/event-stream;q=0"], &["text/*"]] {
        assert_eq!(ask(stream, Method::GET, accept, false).await, 503, "{accept:?}");
    }
    // A permanent refusal is never a 200.
    let strict = RequireTenantScope::new(verifier()).opens_streams();
    let strict = serve_axum(router(strict)).await;
    assert_eq!(ask(strict, Method::GET, &["text/event-stream"], false).await, 401);
}

/// The response of `layer` around `router`.
async fn answer<L>(layer: L, router: Router, request: Request<()>) -> Response
where
    L: Layer<Router>,
    L::Service: Service<Request<Body>, Response = Response, Error = std::convert::Infallible>,
{
    layer.layer(router).oneshot(request.map(|()| Body::empty())).await.unwrap()
}

fn handler(answer: impl Fn() -> Response + Clone + Send + Sync + 'static) -> Router {
    Router::new().route("/", any(move || std::future::ready(answer())))
}

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

#[tokio::test]
async fn the_refusals_of_an_application_are_sent_in_three_dialects() {
    let own = |kind: RejectionKind| {
        handler(move || {
            let rejection = Rejection::new(kind).with_source("a secret of ours");
            rejection.with_detail("For the client.").into_response()
        })
    };
    for (kind, status, code, grpc, close) in [
        (RejectionKind::RequestInvalid, 400, "request.invalid", "3", 4400),
        (RejectionKind::NotFound, 404, "resource.not_found", "5", 4404),
        (RejectionKind::Conflict, 409, "resource.conflict", "10", 4409),
        (RejectionKind::TooLarge, 413, "request.too_large", "8", 1009),
        (RejectionKind::UnsupportedMediaType, 415, "request.unsupported_media_type", "3", 1003),
        (RejectionKind::Unprocessable, 422, "request.unprocessable", "3", 4422),
        (RejectionKind::Failed, 500, "server.failed", "13", 1011),
        (RejectionKind::Unavailable, 503, "server.unavailable", "14", 1013),
    ] {
        let tenancy = || RequireTenantScope::new(verifier());
        let mut response = Response::default();
        let lines = logged(async {
            response = answer(tenancy(), own(kind), request()).await;
        });
        let lines = lines.await;
        let line = lines.lines().find(|line| line.contains("request refused")).unwrap();
        let level = if status >= 500 { "ERROR" } else { "INFO" };
        assert!(line.contains(level) && line.contains(code), "{line}");
        assert!(line.contains("cause=\"a secret of ours\""), "{line}");
        assert_eq!(response.status(), status);
        let headers = response.headers().clone();
        assert_eq!(headers["content-type"], "application/problem+json");
        assert_eq!(headers["cache-control"], "no-store");
        let nosniff: Vec<_> = headers.get_all("x-content-type-options").iter().collect();
        assert_eq!(nosniff, ["nosniff"]);
        assert_eq!(headers.contains_key("retry-after"), status == 503);
        assert!(!headers.contains_key("www-authenticate"));
        let body: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
        assert_eq!(
            (&body["code"], &body["detail"]),
            (&code.into(), &"For the client.".into()),
            "{body}"
        );
        assert!(!body.to_string().contains("secret"), "{body}");

        let mut call = setting(request(), "content-type", "application/grpc");
        (*call.method_mut(), *call.version_mut()) = (Method::POST, Version::HTTP_2);
        let response = answer(tenancy(), own(kind), call).await;
        assert_eq!(response.headers()["grpc-status"], grpc);
        assert_eq!(response.headers()["tenancy-code"], code);
        assert_eq!(text(response).await, "");

        let upgrades = own(kind).layer(tenancy()).layer(CloseRefusedUpgrades);
        let base = format!("http://{}", serve_axum(upgrades).await);
        let bearer = format!("Bearer {}", token("t_alpha", "prod", "ada"));
        let headers = [("x-tenant-id", "t_alpha"), ("x-env", "prod"), ("authorization", &*bearer)];
        let mut closed = Socket::connect(&base, "/", &headers).await.unwrap();
        assert_eq!(closed.next().await, Err((close, code.to_owned())));
    }
    // A response in the application's own style gets `nosniff`, too.
    let response = answer(styled(), own(RejectionKind::NotFound), request()).await;
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    assert_eq!(text(response).await, "resource.not_found");
}

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

fn forbidden() -> Rejection {
    Rejection::new(RejectionKind::ThreadForbidden)
}

/// A layer with its own, recognisable style.
fn styled() -> RequireTenantScope<impl Fn(&Rejection) -> Response + Clone> {
    RequireTenantScope::new(verifier()).reject_with(|rejection: &Rejection| {
        (StatusCode::IM_A_TEAPOT, rejection.code()).into_response()
    })
}

async fn text(response: Response) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn headers_of_the_plain_body_are_removed_with_it_and_other_headers_stay() {
    let described = [
        ("content-encoding", "gzip"),
        ("content-language", "en"),
        ("content-range", "bytes 0-1/2"),
        ("content-digest", "sha-256=:x:"),
        ("content-location", "/x"),
        ("content-disposition", "attachment"),
        ("repr-digest", "sha-256=:x:"),
        ("digest", "sha-256=x"),
        ("etag", "\"x\""),
        ("last-modified", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ("expires", "Thu, 01 Jan 2099 00:00:00 GMT"),
        ("accept-ranges", "bytes"),
        ("transfer-encoding", "chunked"),
        ("trailer", "x"),
    ];
    let inner = handler(move || {
        let mut response = forbidden().into_response();
        for (name, value) in described {
            response.headers_mut().insert(name, value.parse().unwrap());
        }
        response.headers_mut().insert("x-extra", "kept".parse().unwrap());
        response.headers_mut().append("set-cookie", "a=1".parse().unwrap());
        response.headers_mut().append("set-cookie", "b=2".parse().unwrap());
        let policy = "default-src 'none'".parse().unwrap();
        response.headers_mut().insert("content-security-policy", policy);
        response.extensions_mut().insert(42_u8);
        // Like a layer that compresses, it wraps the body and keeps its content.
        response.map(|body| Body::new(body.map_frame(|frame| frame)))
    });
    let response = answer(styled(), inner.clone(), request()).await;
    assert_eq!(response.status(), 418);
    for (name, _) in described {
        assert!(!response.headers().contains_key(name), "{name} describes a body that is gone");
    }
    assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.headers()["x-extra"], "kept");
    assert_eq!(response.headers()["content-security-policy"], "default-src 'none'");
    assert_eq!(response.headers().get_all("set-cookie").iter().count(), 2);
    assert_eq!(response.extensions().get::<u8>(), Some(&42), "for outer layers");
    assert_eq!(text(response).await, "thread.forbidden");

    // A gRPC client gets trailers only, even if a layer has wrapped the document.
    let mut call = setting(request(), "content-type", "application/grpc");
    (*call.method_mut(), *call.version_mut()) = (Method::POST, Version::HTTP_2);
    let response = answer(RequireTenantScope::new(verifier()), inner, call).await;
    assert_eq!(response.headers()["grpc-status"], "7");
    assert!(!response.headers().contains_key("content-encoding"));
    assert_eq!(text(response).await, "");
}

#[tokio::test]
async fn a_response_of_the_application_does_not_change() {
    const OWN: &str = r#"{"title":"Forbidden","status":403,"type":"https://app.test/paywall"}"#;
    // The handler's own problem document, with a rejection in its extensions.
    let own = handler(move || {
        let json = [(header::CONTENT_TYPE, "application/problem+json")];
        (StatusCode::FORBIDDEN, json, axum::Extension(forbidden()), OWN).into_response()
    });
    let response = answer(styled(), own, request()).await;
    assert_eq!((response.status().as_u16(), text(response).await.as_str()), (403, OWN));

    // A layer in between has changed the crate's response: the body alone, the body and the encoding, the status,
    // or the content type.
    let plain = || handler(|| forbidden().into_response());
    let replaced =
        plain().layer(map_response(async |response: Response| response.map(|_| Body::from(OWN))));
    let response = answer(styled(), replaced.clone(), request()).await;
    assert_eq!((response.status().as_u16(), text(response).await.as_str()), (403, OWN));
    let mut call = setting(request(), "content-type", "application/grpc");
    (*call.method_mut(), *call.version_mut()) = (Method::POST, Version::HTTP_2);
    let response = answer(RequireTenantScope::new(verifier()), replaced, call).await;
    assert_eq!((response.status().as_u16(), text(response).await.as_str()), (403, OWN));

    let encoded = plain().layer(map_response(async |response: Response| {
        let mut response = response.map(|_| Body::from("not gzip"));
        response.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
        response
    }));
    let response = answer(styled(), encoded, request()).await;
    assert_eq!(response.headers()["content-encoding"], "gzip");
    assert_eq!(text(response).await, "not gzip");

    let hidden = plain().layer(map_response(async |mut response: Response| {
        *response.status_mut() = StatusCode::NOT_FOUND;
        response
    }));
    assert_eq!(answer(styled(), hidden, request()).await.status(), 404);

    let typed = plain().layer(map_response(async |mut response: Response| {
        response.headers_mut().insert("content-type", "application/json".parse().unwrap());
        response
    }));
    assert_eq!(answer(styled(), typed, request()).await.status(), 403);
}

#[tokio::test]
async fn an_application_may_count_another_rejection_than_the_client_gets() {
    // The client gets `thread.forbidden`, and the application counts an attempt on another tenant.
    let inner = handler(|| {
        let counted = Rejection::new(RejectionKind::TenantMismatch);
        let mut response = forbidden().into_response();
        response.extensions_mut().insert(counted);
        response
    });
    let response = answer(styled(), inner, request()).await;
    let counted = response.extensions().get::<Rejection>().unwrap();
    assert_eq!(counted.kind(), RejectionKind::TenantMismatch);
    assert_eq!(text(response).await, "thread.forbidden");
}

#[tokio::test]
async fn the_nearest_of_nested_layers_makes_the_response_and_no_other_layer_changes_it() {
    let outer = || {
        RequireRequestContext::new()
            .reject_with(|_: &Rejection| (StatusCode::CONFLICT, "outer").into_response())
    };
    let inside = || handler(|| forbidden().into_response());
    let response = answer((outer(), styled()), inside(), request()).await;
    assert_eq!((response.status().as_u16(), &*text(response).await), (418, "thread.forbidden"));
    // The inner layer chose the crate's own text on purpose.
    let plain = (outer(), RequireAuth::new(verifier()));
    let anonymous = || without(request(), "authorization");
    let response = answer(plain, inside(), anonymous()).await;
    assert_eq!(response.status(), 401);
    // So did a closure that answers with the rejection itself.
    let itself = RequireAuth::new(verifier())
        .reject_with(|rejection: &Rejection| rejection.clone().into_response());
    assert_eq!(answer((outer(), itself), inside(), anonymous()).await.status(), 401);
    // A layer of the application in between may ask the outer layer to make the response again.
    let between = inside().layer(RequireAuth::new(verifier())).layer(map_response(
        async |response: Response| {
            response.extensions().get::<Rejection>().cloned().unwrap().into_response()
        },
    ));
    let response = answer(outer(), between, request()).await;
    assert_eq!(response.status(), 409);
}

#[tokio::test]
async fn a_refused_head_gets_the_style_of_a_refused_get() {
    let mut head = request();
    *head.method_mut() = Method::HEAD;
    let inner = handler(|| forbidden().into_response());
    let response = answer(styled(), inner, head).await;
    assert_eq!(response.status(), 418, "the router has dropped the body already");
}

#[tokio::test]
async fn only_a_refused_upgrade_is_closed_and_no_cache_may_store_its_response() {
    let accepts = async |upgrade: WebSocketUpgrade| {
        let mut response = upgrade.on_upgrade(async |mut socket| {
            drop(socket.send(r#"{"type":"in"}"#.into()).await);
        });
        response.extensions_mut().insert(forbidden());
        response
    };
    let router = Router::new()
        .route("/in", get(accepts))
        .route("/out", get(async || forbidden()))
        .layer(RequireTenantScope::new(verifier()))
        .layer(CloseRefusedUpgrades);
    let base = format!("http://{}", serve_axum(router).await);
    let bearer = format!("Bearer {}", token("t_alpha", "prod", "ada"));
    let headers = [("x-tenant-id", "t_alpha"), ("x-env", "prod"), ("authorization", &*bearer)];
    let mut open = Socket::connect(&base, "/in", &headers).await.unwrap();
    assert_eq!(open.next().await.unwrap()["type"], "in", "the handler accepted the upgrade");
    let mut closed = Socket::connect(&base, "/out", &headers).await.unwrap();
    assert_eq!(closed.response.headers()["cache-control"], "no-store");
    assert_eq!(closed.response.headers()["vary"], "x-tenant-id, x-env, authorization");
    assert_eq!(closed.next().await, Err((4403, "thread.forbidden".to_owned())));
}
