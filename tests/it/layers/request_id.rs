//! Where the id of a request comes from, and who sees it.

use super::support::{Body, counting, logged, request, setting, verifier, without};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use serde_json::Value;
use std::{convert::Infallible, sync::Arc};
use tower::{Layer, ServiceBuilder, ServiceExt as _, service_fn};
use tower_tenancy::{
    AuthRequest, Rejection, RejectionKind, RequireAuth, RequireRequestContext, RequireTenantScope,
    TenantScope, Verdict,
    rejection::{ByContentType, Dialect, RejectWith as _},
};

#[tokio::test]
async fn responses_and_refusals_have_the_request_id() {
    let echoed = async |request: Request<()>| {
        let service = RequireTenantScope::new(verifier()).layer(counting(&Arc::default()));
        let response = service.oneshot(request).await.unwrap();
        response.headers()["x-request-id"].to_str().unwrap().to_owned()
    };
    assert_eq!(echoed(setting(request(), "x-request-id", "r-1")).await, "r-1");
    let refused = setting(without(request(), "x-env"), "x-request-id", "r-2");
    assert_eq!(echoed(refused).await, "r-2");
    let refused = setting(without(request(), "x-env"), "x-request-id", "a b");
    assert_eq!(echoed(refused).await.len(), 36, "a generated id");
}

#[tokio::test]
async fn an_invalid_request_id_is_replaced_for_all_inner_services_and_the_log_names_the_reason() {
    let with = |ids: &[&'static str]| {
        let mut request = request();
        for id in ids {
            request.headers_mut().append("x-request-id", http::HeaderValue::from_static(id));
        }
        request
    };
    let inner = service_fn(async |request: Request<()>| {
        let ids: Vec<_> = request.headers().get_all("x-request-id").iter().collect();
        let scope = TenantScope::from_extensions(request.extensions()).unwrap();
        assert_eq!(ids, [scope.request_id().as_str()], "exactly one header, with the scope's id");
        #[cfg(feature = "tower-http")]
        {
            let id = request.extensions().get::<tower_http::request_id::RequestId>().unwrap();
            assert_eq!(id.header_value(), scope.request_id().as_str());
        }
        tracing::info!("inside");
        Ok::<_, Infallible>(Response::new(Body::default()))
    });
    for (ids, why) in [
        (&["one-id"][..], None),
        (&["one-id", "one-id"], None),
        (&[], None),
        (&[""], Some("it is empty")),
        (&["secret one"], Some("it must be visible ASCII")),
        (&["secret", "one"], Some("it was sent more than once, with different values")),
        (&["undefined"], Some("it is a placeholder")),
    ] {
        let mut id = String::new();
        let log = logged(async {
            let service = RequireTenantScope::new(verifier()).layer(inner);
            let response = service.oneshot(with(ids)).await.unwrap();
            assert_eq!(response.status(), 200, "{ids:?}");
            let ids: Vec<_> = response.headers().get_all("x-request-id").iter().collect();
            assert_eq!(ids.len(), 1);
            id = ids[0].to_str().unwrap().to_owned();
        });
        let log = log.await;
        assert_eq!(id == "one-id", ids.first() == Some(&"one-id"), "{ids:?}: {id}");
        let line = log.lines().find(|line| line.contains("replaced the request id"));
        assert_eq!(line.is_some(), why.is_some(), "{log}");
        if let (Some(line), Some(why)) = (line, why) {
            assert!(line.contains(why) && line.contains(&id), "{line}");
            assert!(!log.contains("secret"), "the log must not repeat the id: {log}");
        }
        assert!(log.contains(&format!("request_id=\"{id}\"")), "{log}");
    }
}

#[cfg(feature = "tower-http")]
#[tokio::test]
async fn the_layer_shares_the_request_id_with_tower_http() {
    use tower_http::request_id::{
        MakeRequestUuid, PropagateRequestIdLayer, RequestId, SetRequestIdLayer,
    };
    let trace = http::HeaderName::from_static("x-trace");
    let inner = service_fn(async |request: Request<()>| {
        let id = request.extensions().get::<RequestId>().unwrap().header_value().clone();
        let scope = TenantScope::from_extensions(request.extensions()).unwrap();
        assert_eq!(id, scope.request_id().as_str());
        assert_eq!(request.headers()["x-request-id"], id);
        Ok::<_, Infallible>(Response::new(Body::default()))
    });
    let service = ServiceBuilder::new()
        .layer(SetRequestIdLayer::new(trace.clone(), MakeRequestUuid))
        .layer(PropagateRequestIdLayer::new(trace.clone()))
        .layer(RequireTenantScope::new(verifier()))
        .service(inner);
    for (sent, is_taken) in [("from#outside", true), ("a\"b", false), ("", false), ("NULL", false)]
    {
        let response = service.clone().oneshot(setting(request(), "x-trace", sent)).await;
        let response = response.unwrap();
        assert_eq!(response.status(), 200, "{sent}");
        let id = response.headers()["x-request-id"].to_str().unwrap();
        assert_eq!((id == sent, id.len() == 36), (is_taken, !is_taken), "{sent}: {id}");
    }
    // The header takes precedence over the id of an outer layer.
    let both = setting(setting(request(), "x-trace", "a"), "x-request-id", "b");
    assert_eq!(service.oneshot(both).await.unwrap().headers()["x-request-id"], "b");
}

#[tokio::test]
async fn the_notice_to_an_event_source_has_the_request_id() {
    let down = |_: &AuthRequest<'_>| {
        Verdict::Ready(Err(Rejection::new(RejectionKind::KeysUnavailable).with_source("no route")))
    };
    let handler = service_fn(|_: Request<()>| {
        let full = Rejection::new(RejectionKind::LogUnavailable);
        std::future::ready(Ok::<_, Infallible>(ByContentType.reject(&full, Dialect::Http)))
    });
    let browser = || setting(without(request(), "authorization"), "accept", "text/event-stream");
    let has_its_id = async |response: Response<Body>| {
        let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let text = std::str::from_utf8(&body).unwrap();
        let data = text.lines().find_map(|line| line.strip_prefix("data: ")).expect(text);
        let data: Value = serde_json::from_str(data).unwrap();
        assert_eq!(data["meta"]["trace_id"], id, "{text}");
    };
    let all = RequireTenantScope::new(down).opens_streams();
    has_its_id(all.layer(handler).oneshot(browser()).await.unwrap()).await;
    let apart =
        (RequireRequestContext::new().opens_streams(), RequireAuth::new(down).opens_streams());
    has_its_id(apart.layer(handler).oneshot(browser()).await.unwrap()).await;
    // A handler refuses, and the nearest layer makes the response.
    let open = (
        RequireRequestContext::new().opens_streams(),
        RequireAuth::new(verifier()).optional().opens_streams(),
    );
    has_its_id(open.layer(handler).oneshot(browser()).await.unwrap()).await;
}
