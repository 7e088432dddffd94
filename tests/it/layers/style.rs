//! How a layer renders a refusal.

use super::support::{Body, counting, request, setting, verifier, without};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use std::{convert::Infallible, io, sync::Arc};
use tower::{Layer, ServiceExt as _, service_fn};
use tower_tenancy::{
    AuthRequest, Rejection, RejectionKind, RequireTenantScope, Verdict,
    rejection::{GrpcStatus, WrapBody},
};

#[tokio::test]
async fn a_closure_makes_the_refusal_and_outer_layers_still_find_the_rejection() {
    let teapot = |rejection: &Rejection| {
        let mut response = Response::new(Body::from(rejection.code()));
        *response.status_mut() = http::StatusCode::IM_A_TEAPOT;
        response
    };
    let service =
        RequireTenantScope::new(verifier()).reject_with(teapot).layer(counting(&Arc::default()));
    let response = service.oneshot(without(request(), "authorization")).await.unwrap();
    assert_eq!(response.status(), 418);
    let kept = response.extensions().get::<Rejection>().map(Rejection::kind);
    assert_eq!(kept, Some(RejectionKind::AuthMissing));
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "auth.missing");
}

#[tokio::test]
async fn the_layer_renders_an_extractors_rejection_in_its_own_style_and_the_requests_dialect() {
    use axum::{Router, body::Body, routing::any};
    use tower_tenancy::{MemoryRegistry, ThreadAccess};
    async fn handler(_: ThreadAccess<axum::extract::Path<String>, MemoryRegistry>) {}
    let router = |layer| {
        Router::new()
            .route("/{thread}", any(handler))
            .route_layer(layer)
            .with_state(MemoryRegistry::new())
    };
    let ask = |content_type: &str| {
        let mut request = request().map(|()| Body::empty());
        *request.uri_mut() = "/th".parse().unwrap();
        request.headers_mut().insert("content-type", content_type.parse().unwrap());
        *request.method_mut() = http::Method::POST;
        *request.version_mut() = http::Version::HTTP_2;
        request
    };
    let plain = router(RequireTenantScope::new(verifier()));
    let response = plain.clone().oneshot(ask("text/plain")).await.unwrap();
    assert_eq!(response.status(), 403);
    let response = plain.oneshot(ask("application/grpc")).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["grpc-status"]),
        (200, &"7".parse().unwrap())
    );

    let styled = RequireTenantScope::new(verifier())
        .reject_with(|rejection: &Rejection| Response::new(Body::from(rejection.code())));
    let router = Router::new().route("/{thread}", any(handler)).route_layer(styled);
    let response =
        router.with_state(MemoryRegistry::new()).oneshot(ask("text/plain")).await.unwrap();
    assert_eq!(response.status(), 200, "the status that the closure sets");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "thread.forbidden");
}

#[tokio::test]
async fn layers_also_refuse_for_services_whose_bodies_cannot_be_made_from_bytes() {
    #[derive(Default)]
    struct Opaque;
    let inner = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Opaque)));
    let grpc = RequireTenantScope::new(verifier()).reject_with(GrpcStatus).layer(inner);
    let response = grpc.clone().oneshot(without(request(), "x-env")).await.unwrap();
    assert_eq!(response.headers()["grpc-status"], "3");
    assert_eq!(grpc.oneshot(request()).await.unwrap().status(), 200);

    let foreign = service_fn(async |_: Request<()>| {
        let body = http_body_util::Empty::<Bytes>::new();
        Ok::<_, Infallible>(Response::new(body.map_err(io::Error::other).boxed_unsync()))
    });
    let wrap = RequireTenantScope::new(verifier()).reject_with(WrapBody).layer(foreign);
    let response = wrap.clone().oneshot(without(request(), "x-env")).await.unwrap();
    assert_eq!(response.status(), 400);
    let size = http_body::Body::size_hint(response.body()).exact().unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body.len() as u64, size);
    assert!(body.starts_with(b"{\"title\""));
    let passed = wrap.oneshot(request()).await.unwrap();
    assert!(passed.into_body().collect().await.unwrap().to_bytes().is_empty());
}

#[tokio::test]
async fn a_server_side_failure_is_a_503_and_an_event_source_gets_a_notice_to_retry() {
    let down = |_: &AuthRequest<'_>| {
        Verdict::Ready(Err(Rejection::new(RejectionKind::KeysUnavailable).with_source("no route")))
    };
    let layer = RequireTenantScope::new(down).opens_streams();
    let service = layer.layer(counting(&Arc::default()));
    let response = service.clone().oneshot(request()).await.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], "5");
    let browser = setting(without(request(), "authorization"), "accept", "text/event-stream");
    let response = service.oneshot(browser).await.unwrap();
    assert_eq!(response.status(), 200);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let text = std::str::from_utf8(&body).unwrap();
    assert!(text.starts_with("event: ") && text.contains("auth.keys_unavailable"), "{text}");
}
