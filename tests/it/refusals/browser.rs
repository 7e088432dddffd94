//! Refusals that a browser reads.

use super::support::{answer, forbidden, handler, styled};
use crate::{
    hosts::serve_axum,
    layers::{request, verifier},
    support::{Socket, token},
};
use axum::{
    Router,
    extract::WebSocketUpgrade,
    response::IntoResponse as _,
    routing::{any, get},
};
use http::{Method, Request, Version};
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tower_tenancy::{
    AuthRequest, CloseRefusedUpgrades, RejectionKind, RequireAuth, RequireTenantScope, Verdict,
    rejection::GrpcStatus,
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
