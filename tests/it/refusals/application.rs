//! Refusals of the application itself.

use super::support::{answer, forbidden, handler, styled, text};
use crate::{
    hosts::serve_axum,
    layers::{logged, request, setting, verifier, without},
    support::{Socket, token},
};
use axum::{
    body::Body,
    middleware::map_response,
    response::{IntoResponse as _, Response},
};
use http::{Method, StatusCode, Version, header};
use http_body_util::BodyExt as _;
use tower_tenancy::{
    CloseRefusedUpgrades, Rejection, RejectionKind, RequireAuth, RequireRequestContext,
    RequireTenantScope,
};

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
