//! Tests of each layer alone, and of all layers in order. A refused request must not reach the handler.

use crate::support::{SECRET, claims, now, sign, token};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};
use std::{
    convert::Infallible,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};
use tower::{
    Layer, Service, ServiceBuilder, ServiceExt as _, limit::ConcurrencyLimitLayer, service_fn,
};
use tower_tenancy::{
    AuthContext, AuthRequest, Authenticator, Envs, MemoryRegistry, Rejection, RejectionKind,
    RequestContext, RequireAuth, RequireClaims, RequireRequestContext, RequireTenantScope, Routing,
    StreamEvent, Subject, TenantEnvGuard, TenantScope, Verdict,
    auth::{Algorithm, JwtKey, JwtVerifier},
    rejection::{ByContentType, Dialect, GrpcStatus, RejectWith as _, WrapBody},
    verify_thread_access,
};

type Body = Full<Bytes>;

pub(crate) fn key() -> JwtKey {
    JwtKey::hmac(Algorithm::HS256, SECRET).unwrap()
}

pub(crate) fn verifier() -> JwtVerifier {
    JwtVerifier::builder().key(key()).build().unwrap()
}

/// An authenticator that gives the same answers as [`verifier`], but later.
pub(crate) fn later(request: &AuthRequest<'_>) -> Verdict {
    let token = request.bearer_token().map(str::to_owned);
    let verifier = verifier();
    Verdict::later(async move {
        tokio::task::yield_now().await;
        verifier.verify(&token?)
    })
}

pub(crate) fn request() -> Request<()> {
    Request::builder()
        .header("x-tenant-id", "t_alpha")
        .header("x-env", "prod")
        .header("authorization", format!("Bearer {}", token("t_alpha", "prod", "ada")))
        .body(())
        .unwrap()
}

pub(crate) fn without(mut request: Request<()>, name: &str) -> Request<()> {
    request.headers_mut().remove(name);
    request
}

pub(crate) fn setting(mut request: Request<()>, name: &'static str, value: &str) -> Request<()> {
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

/// A handler that counts how often it runs.
pub(crate) fn counting(
    calls: &Arc<AtomicUsize>,
) -> impl Service<Request<()>, Response = Response<Body>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ use<> {
    let calls = Arc::clone(calls);
    service_fn(move |_: Request<()>| {
        calls.fetch_add(1, Ordering::Relaxed);
        std::future::ready(Ok(Response::new(Body::from("events"))))
    })
}

/// The status, and the code of a refusal.
async fn answer<L>(layer: L, request: Request<()>) -> (u16, Option<&'static str>)
where
    L: Layer<tower::util::BoxCloneService<Request<()>, Response<Body>, Infallible>>,
    L::Service: Service<Request<()>, Response = Response<Body>, Error = Infallible>,
{
    let calls = Arc::default();
    let service = layer.layer(tower::util::BoxCloneService::new(counting(&calls)));
    let response = service.oneshot(request).await.unwrap();
    let code = response.extensions().get::<Rejection>().map(Rejection::code);
    assert_eq!(
        calls.load(Ordering::Relaxed),
        usize::from(code.is_none()),
        "only an accepted request may reach the handler"
    );
    (response.status().as_u16(), code)
}

const OK: (u16, Option<&str>) = (200, None);

fn refused(status: u16, code: &'static str) -> (u16, Option<&'static str>) {
    (status, Some(code))
}

#[tokio::test]
async fn each_layer_alone_does_its_own_check() {
    let context = RequireRequestContext::new;
    assert_eq!(answer(context(), without(request(), "authorization")).await, OK);
    let missing = without(request(), "x-env");
    assert_eq!(answer(context(), missing).await, refused(400, "context.missing"));
    let qa = || setting(request(), "x-env", "qa");
    assert_eq!(answer(context(), qa()).await, refused(400, "context.invalid"));
    assert_eq!(answer(context().envs(Envs::new(["qa"]).unwrap()), qa()).await, OK);

    let auth = || RequireAuth::new(verifier());
    assert_eq!(answer(auth(), without(request(), "x-env")).await, OK);
    let missing = without(request(), "authorization");
    assert_eq!(answer(auth(), missing).await, refused(401, "auth.missing"));

    // Without the other layers, the guard has no contexts to compare.
    let guard = answer(TenantEnvGuard::new(), request()).await;
    assert_eq!(guard, refused(500, "server.misconfigured"));
}

#[tokio::test]
async fn a_layer_that_is_missing_or_misplaced_refuses_everything() {
    let misconfigured = refused(500, "server.misconfigured");
    let no_auth = (RequireRequestContext::new(), TenantEnvGuard::new());
    assert_eq!(answer(no_auth, request()).await, misconfigured);
    let no_context = (RequireAuth::new(verifier()), TenantEnvGuard::new());
    assert_eq!(answer(no_context, request()).await, misconfigured);
    let guard_first =
        (TenantEnvGuard::new(), RequireRequestContext::new(), RequireAuth::new(verifier()));
    assert_eq!(answer(guard_first, request()).await, misconfigured);
}

#[tokio::test]
async fn the_combined_layer_gives_the_same_answers_as_three_layers_in_order() {
    let beta = token("t_beta", "prod", "bob");
    let dev = token("t_alpha", "dev", "ada");
    for (request, expected) in [
        (request as fn() -> _, OK),
        (|| without(request(), "x-tenant-id"), refused(400, "context.missing")),
        (|| setting(request(), "x-tenant-id", "t_Unknown"), refused(400, "context.invalid")),
        (|| without(without(request(), "x-env"), "authorization"), refused(400, "context.missing")),
        (|| without(request(), "authorization"), refused(401, "auth.missing")),
        (|| setting(request(), "authorization", "Bearer x.y.z"), refused(401, "auth.invalid")),
        (|| setting(request(), "x-tenant-id", "t_beta"), refused(403, "tenant.mismatch")),
        (|| setting(request(), "x-env", "dev"), refused(403, "env.mismatch")),
    ] {
        let auth = RequireAuth::new(verifier());
        let three = (RequireRequestContext::new(), auth, TenantEnvGuard::new());
        assert_eq!(answer(three, request()).await, expected);
        assert_eq!(answer(RequireTenantScope::new(verifier()), request()).await, expected);
        let auth = RequireAuth::new(later);
        let three = (RequireRequestContext::new(), auth, TenantEnvGuard::new());
        assert_eq!(answer(three, request()).await, expected, "later");
        assert_eq!(answer(RequireTenantScope::new(later), request()).await, expected, "later");
    }
    for token in [beta, dev] {
        let request = setting(request(), "authorization", &format!("Bearer {token}"));
        assert_eq!(answer(RequireTenantScope::new(verifier()), request).await.0, 403);
    }
}

#[tokio::test]
async fn optional_authentication_accepts_requests_without_a_token_but_refuses_invalid_tokens() {
    let optional = || RequireAuth::new(verifier()).optional();
    assert_eq!(answer(optional(), without(request(), "authorization")).await, OK);
    let bad = setting(request(), "authorization", "Bearer x.y.z");
    assert_eq!(answer(optional(), bad).await, refused(401, "auth.invalid"));
    let guarded = (RequireRequestContext::new(), optional(), TenantEnvGuard::new());
    let anonymous = without(request(), "authorization");
    assert_eq!(answer(guarded, anonymous).await, refused(401, "auth.missing"));
}

#[tokio::test]
async fn the_layer_calls_only_the_instance_of_the_inner_service_that_is_ready() {
    async fn exercise<A: Authenticator + 'static>(authenticator: A) {
        let calls = Arc::default();
        // A clone of a limited service is not ready. It panics when it is called without a poll.
        let mut service = ServiceBuilder::new()
            .layer(RequireTenantScope::new(authenticator))
            .layer(ConcurrencyLimitLayer::new(1))
            .service(counting(&calls));
        for _ in 0..3 {
            let response = service.ready().await.unwrap().call(request()).await.unwrap();
            assert_eq!(response.status(), 200);
            // A refusal releases its permit.
            let refused = without(request(), "authorization");
            let response = service.ready().await.unwrap().call(refused).await.unwrap();
            assert_eq!(response.status(), 401);
        }
        let many = (0..20).map(|_| service.clone().oneshot(request()));
        for response in futures_util::future::join_all(many).await {
            assert_eq!(response.unwrap().status(), 200);
        }
        assert_eq!(calls.load(Ordering::Relaxed), 23);
    }
    exercise(verifier()).await;
    exercise(later).await;
}

#[tokio::test]
async fn errors_of_the_inner_service_pass_unchanged() {
    let failing =
        service_fn(async |_: Request<()>| Err::<Response<Body>, _>(io::Error::other("x")));
    let service = RequireTenantScope::new(verifier()).layer(failing);
    assert_eq!(service.oneshot(request()).await.unwrap_err().to_string(), "x");
}

#[tokio::test]
async fn hosts_without_extractors_read_the_contexts_from_the_extensions() {
    let inner = service_fn(async |request: Request<()>| {
        let found = request.extensions();
        let scope = TenantScope::from_extensions(found).unwrap();
        assert_eq!(scope.tenant().as_str(), "t_alpha");
        assert_eq!(RequestContext::from_extensions(found).unwrap().env().as_str(), "prod");
        assert_eq!(AuthContext::from_extensions(found).unwrap().subject().as_str(), "ada");
        assert!(request.headers()[header::AUTHORIZATION].is_sensitive());
        assert_eq!(request.headers()["x-request-id"], scope.request_id().as_str());
        Ok::<_, Infallible>(Response::new(Body::default()))
    });
    let response = RequireTenantScope::new(verifier()).layer(inner).oneshot(request()).await;
    assert!(response.unwrap().headers().contains_key("x-request-id"));
}

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

/// Collects log lines.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The log lines of `run` on this thread.
pub(crate) async fn logged(run: impl Future<Output = ()>) -> String {
    // If another thread without a subscriber reached a log statement first, tracing would disable the
    // statement permanently.
    static EVERYWHERE: std::sync::Once = std::sync::Once::new();
    EVERYWHERE.call_once(|| {
        let all = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE);
        drop(tracing::subscriber::set_global_default(all.with_writer(io::sink).finish()));
    });
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    run.await;
    drop(guard);
    String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
}

#[tokio::test]
async fn inner_services_run_in_a_span_with_tenant_env_and_request_id() {
    let log = logged(async {
        let inner = service_fn(async |_: Request<()>| {
            tokio::task::yield_now().await;
            tracing::info!("inside");
            Ok::<_, Infallible>(Response::new(Body::default()))
        });
        let service = RequireTenantScope::new(later).layer(inner);
        service.oneshot(setting(request(), "x-request-id", "r-7")).await.unwrap();
    });
    let log = log.await;
    let line = log.lines().find(|line| line.contains("inside")).unwrap();
    for field in ["tenant=\"t_alpha\"", "env=\"prod\"", "request_id=\"r-7\""] {
        assert!(line.contains(field), "{field} in {line}");
    }
}

#[tokio::test]
async fn a_stream_runs_in_the_span_and_logs_each_event_of_another_tenant_that_it_drops() {
    let threads = MemoryRegistry::new();
    threads.register(&"t_alpha/prod/th".parse::<Routing>().unwrap());
    let inner = service_fn(move |request: Request<()>| {
        let threads = threads.clone();
        async move {
            let scope = TenantScope::from_extensions(request.extensions()).unwrap();
            let grant = verify_thread_access(&threads, scope, "th").await.unwrap();
            // A bug in the fan-out: an event of another tenant's thread with the same id.
            let foreign: Routing = "t_beta/prod/th".parse().unwrap();
            let source = stream::once(async move {
                tracing::info!("the source runs");
                StreamEvent::new(foreign, "message", "a secret")
            });
            Ok::<_, Infallible>(grant.guard(source.boxed()).into_sse().into_http())
        }
    });
    let log = logged(async {
        let layer = RequireTenantScope::new(verifier()).reject_with(WrapBody);
        let request = setting(request(), "x-request-id", "r-8");
        let response = layer.layer(inner).oneshot(request).await.unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let text = std::str::from_utf8(&body).unwrap();
        assert!(!text.contains("secret") && !text.contains("t_beta"), "{text}");
        assert!(text.contains("stream.complete"));
    });
    let log = log.await;
    let source = log.lines().find(|line| line.contains("the source runs")).unwrap();
    assert!(source.contains("request_id=\"r-8\"") && source.contains("t_alpha"), "{source}");
    let audit = log.lines().find(|line| line.contains("tower_tenancy::audit")).unwrap();
    for part in ["ERROR", "t_alpha/prod/th", "t_beta/prod/th", "ada", "r-8"] {
        assert!(audit.contains(part), "{part} in {audit}");
    }
    assert!(!log.contains("a secret"), "the log must not contain data of events");
}

#[tokio::test]
async fn the_log_names_the_reason_or_the_missing_layer_but_contains_no_token() {
    let secret = token("t_beta", "prod", "bob");
    let log = logged(async {
        let with_token =
            |token: &str| setting(request(), "authorization", &format!("Bearer {token}"));
        let mismatch = with_token(&secret);
        answer(RequireTenantScope::new(verifier()), mismatch).await;
        answer(RequireTenantScope::new(verifier()), with_token(&format!("{secret}x"))).await;
        answer(TenantEnvGuard::new(), request()).await;
    });
    let log = log.await;
    assert!(
        log.contains("WARN") && log.contains("tenant.mismatch") && log.contains("t_beta"),
        "{log}"
    );
    assert!(log.contains("the signature does not verify"), "{log}");
    assert!(log.contains("ERROR") && log.contains("RequireRequestContext"), "{log}");
    assert!(!log.contains(&secret), "{log}");
}

#[tokio::test]
async fn an_expired_auth_context_of_an_authenticator_is_refused() {
    let stale = |age: u64| {
        move |_: &AuthRequest<'_>| {
            let expires_at = SystemTime::now() - Duration::from_secs(age);
            let auth = AuthContext::new(Subject::new("ada").unwrap(), expires_at)
                .with_leeway(Duration::from_secs(60));
            Verdict::Ready(Ok(auth.with_tenants(["t_alpha"]).with_envs(["prod"])))
        }
    };
    assert_eq!(answer(RequireTenantScope::new(stale(30)), request()).await, OK);
    let expired = answer(RequireTenantScope::new(stale(61)), request()).await;
    assert_eq!(expired, refused(401, "auth.expired"));
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

#[test]
fn layers_services_and_futures_have_the_auto_traits_that_hosts_need() {
    fn host<T: Clone + Send + Sync + 'static>(_: &T) {}
    let layer = RequireTenantScope::new(verifier());
    host(&layer);
    let inner = service_fn(|_: Request<()>| {
        std::future::ready(Ok::<_, Infallible>(Response::new(Body::default())))
    });
    let mut service = layer.layer(inner);
    host(&service);
    fn sent<T: Send + 'static>(_: T) {}
    sent(service.call(request()));
    let subject = Subject::new("x").unwrap();
    host(&AuthContext::new(subject, SystemTime::now() + Duration::from_secs(1)));
}

#[tokio::test]
async fn a_route_requires_roles_scopes_and_kinds_of_tokens() {
    let good = || {
        let mut claims = claims("t_alpha", "prod", "ada");
        claims["roles"] = json!(["ops"]);
        claims["scope"] = json!("chat:read chat:write");
        claims["aud"] = json!(["chat", "admin"]);
        claims["iat"] = json!(now());
        claims
    };
    let bearing = |claims: &serde_json::Value| {
        setting(request(), "authorization", &format!("Bearer {}", sign(claims)))
    };
    let tenancy = || {
        let verifier = JwtVerifier::builder().key(key()).audience("chat").audience("admin");
        RequireTenantScope::new(verifier.build().unwrap())
    };
    let ask = async |claims_wanted: RequireClaims, request: Request<()>| {
        answer((tenancy(), claims_wanted), request).await
    };
    let any = RequireClaims::new;
    let insufficient = refused(403, "auth.insufficient_scope");
    let invalid = refused(401, "auth.invalid");
    for (wanted, expected) in [
        (any(), OK),
        (any().role("ops"), OK),
        (any().any_role(["admin", "ops"]), OK),
        (any().role("admin"), insufficient),
        // The token must meet all requirements, in any order.
        (any().role("admin").role("ops"), insufficient),
        (any().any_role(["admin"]).any_role(["ops", "admin"]), insufficient),
        (any().any_role(["ops", "x"]).role("ops"), OK),
        (any().any_role([""; 0]), insufficient),
        (any().scope("chat:read").scope("chat:write"), OK),
        (any().scope("chat:read").scope("chat:purge"), insufficient),
        (any().scope("chat"), insufficient),
        (any().audience("admin"), OK),
        (any().audience("billing"), invalid),
        (any().at_jwt(), invalid),
        (any().max_lifetime(Duration::from_secs(600)), OK),
        (any().max_lifetime(Duration::from_secs(599)), invalid),
        (
            any().max_lifetime(Duration::from_secs(1)).max_lifetime(Duration::from_secs(600)),
            invalid,
        ),
        // Audiences are alternatives.
        (any().audience("billing").audience("admin"), OK),
    ] {
        assert_eq!(ask(wanted.clone(), bearing(&good())).await, expected, "{wanted:?}");
    }
    let mut unborn = good();
    unborn.as_object_mut().unwrap().remove("iat");
    let short = any().max_lifetime(Duration::from_secs(600));
    assert_eq!(
        ask(short, bearing(&unborn)).await,
        invalid,
        "its lifetime is unknown without `iat`"
    );

    let service = (tenancy(), any().scope("chat:purge").scope("chat:read"))
        .layer(tower::util::BoxCloneService::new(counting(&Arc::default())));
    let response = service.oneshot(bearing(&good())).await.unwrap();
    assert_eq!(
        response.headers()["www-authenticate"],
        r#"Bearer realm="tenancy", error="insufficient_scope", scope="chat:purge chat:read""#
    );
    // The authentication layer is missing, or it is optional and the request has no token.
    assert_eq!(answer(any(), bearing(&good())).await, refused(500, "server.misconfigured"));
    let optional = (RequireAuth::new(verifier()).optional(), any());
    let anonymous = without(request(), "authorization");
    assert_eq!(answer(optional, anonymous).await, refused(401, "auth.missing"));
}

#[tokio::test]
async fn a_tenant_or_env_beyond_the_issuers_limits_is_refused_like_any_mismatch() {
    let answer = async |verifier: JwtVerifier, claims: &serde_json::Value| {
        let request = setting(request(), "authorization", &format!("Bearer {}", sign(claims)));
        let request = setting(request, "x-request-id", "req-1");
        let service = RequireTenantScope::new(verifier)
            .layer(tower::util::BoxCloneService::new(counting(&Arc::default())));
        let response = service.oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
    };
    let build = || JwtVerifier::builder().key(key());
    let dev = || build().envs(["dev"]).default_envs(["dev"]).build().unwrap();
    let alpha = || build().tenants(["t_alpha"]).default_tenants(["t_alpha"]).build().unwrap();
    // The verifier and the guard both refuse: a default does not get around a limit.
    for (bound, beyond, elsewhere) in [
        (dev(), claims("t_alpha", "prod", "ada"), claims("t_alpha", "dev", "ada")),
        (alpha(), claims("t_secret", "prod", "ada"), claims("t_beta", "prod", "ada")),
    ] {
        let by_verifier = answer(bound, &beyond).await;
        let by_guard = answer(verifier(), &elsewhere).await;
        assert_eq!(by_verifier, by_guard);
        assert_eq!(by_verifier.0, 403);
        assert!(!by_verifier.2.contains("t_secret"), "{}", by_verifier.2);
    }
    let mut silent = claims("t_alpha", "prod", "ada");
    silent.as_object_mut().unwrap().remove("tenant_id").unwrap();
    assert_eq!(answer(alpha(), &silent).await.0, 200);
    assert_eq!(answer(verifier(), &silent).await.0, 403);
}

#[tokio::test]
async fn only_preflights_pass_without_a_check_and_only_if_the_layer_allows_them() {
    let preflight = || {
        let request = Request::builder().method("OPTIONS").header("origin", "https://app.test");
        request.header("access-control-request-method", "POST").body(()).unwrap()
    };
    let chosen = || RequireTenantScope::new(verifier()).pass_preflight();
    assert_eq!(answer(chosen(), preflight()).await, OK);
    let unasked = answer(RequireTenantScope::new(verifier()), preflight()).await;
    assert_eq!(unasked, refused(400, "context.missing"));
    for lacking in ["origin", "access-control-request-method"] {
        let request = without(preflight(), lacking);
        assert_eq!(answer(chosen(), request).await, refused(400, "context.missing"), "{lacking}");
    }
    let mut get = preflight();
    *get.method_mut() = http::Method::GET;
    assert_eq!(answer(chosen(), get).await, refused(400, "context.missing"));
    let three = (
        RequireRequestContext::new().pass_preflight(),
        RequireAuth::new(verifier()).pass_preflight(),
        TenantEnvGuard::new().pass_preflight(),
    );
    assert_eq!(answer(three, preflight()).await, OK);
}

#[tokio::test]
async fn a_rejection_that_a_handler_renders_itself_is_logged_exactly_once() {
    for dialect in [Dialect::Http, Dialect::Grpc, Dialect::EventSource] {
        let inner = service_fn(move |_: Request<()>| {
            let down = Rejection::new(RejectionKind::LogUnavailable).with_source("disk full");
            std::future::ready(Ok::<_, Infallible>(ByContentType.reject(&down, dialect)))
        });
        let layers = (RequireRequestContext::new(), RequireAuth::new(verifier()));
        let log = logged(async {
            let response: Response<Body> = layers.layer(inner).oneshot(request()).await.unwrap();
            assert!(response.extensions().get::<Rejection>().is_some());
        });
        let log = log.await;
        assert_eq!(log.matches("log.unavailable").count(), 1, "{dialect:?}: {log}");
        assert!(log.contains("disk full") && log.contains("t_alpha"), "{log}");
    }
}

/// A line of `tracing_subscriber::fmt` without quoted text, so that only the crate's own text is left.
fn outside_quotes(line: &str) -> String {
    let (mut outside, mut quoted, mut escaped) = (String::new(), false, false);
    for char in line.chars() {
        match char {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => {
                quoted = !quoted;
                outside.push('"');
            }
            _ if quoted => {}
            _ => outside.push(char),
        }
    }
    assert!(!quoted, "an unclosed quote: {line}");
    outside
}

#[tokio::test]
async fn text_from_outside_cannot_forge_a_field_or_a_line_of_the_log() {
    use tower_tenancy::auth::TrustedIssuers;
    // Each of these would add a field, close a quote, colour the line or begin a new line.
    let hostile = [
        "x request_id=forged code=forged",
        "x\" request_id=\"forged\" code=\"forged",
        "x\\\" request_id=forged",
        "x\u{2028}forged",
        "x,request_id=forged;code=forged",
    ];
    let with_control = "x\nERROR forged request_id=forged \u{1b}[31m";
    for text in hostile.into_iter().chain([with_control]) {
        let bearing = |claims: &serde_json::Value| {
            setting(request(), "authorization", &format!("Bearer {}", sign(claims)))
        };
        let claiming = |name: &str, value: serde_json::Value| {
            let mut claims = claims("t_alpha", "prod", "ada");
            claims[name] = value;
            claims
        };
        let is_subject = text != with_control;
        let subject = if is_subject { text } else { "ada" };
        let mut foreign_tenant = claiming("tenant_id", json!(text));
        foreign_tenant["sub"] = json!(subject);
        let mut foreign_env = claiming("env", json!(text));
        foreign_env["sub"] = json!(subject);
        let mut path = request();
        // This is a valid path, but a reader of the log must not take it for fields.
        *path.uri_mut() = "/x%20request_id=forged;code=forged".parse().unwrap();
        let issuers = TrustedIssuers::new();
        let ours = JwtVerifier::builder().key(key()).issuer("https://id.test").any_tenant();
        let ours = ours.build().unwrap();
        issuers.insert(ours).unwrap();
        let method = {
            let mut request = without(request(), "x-env");
            *request.method_mut() = "GET|code".parse().unwrap();
            request
        };
        let service_error = text.to_owned();
        let failing = move |_: &AuthRequest<'_>| {
            let error = io::Error::other(service_error.clone());
            let rejection = Rejection::new(RejectionKind::KeysUnavailable).with_source(error);
            Verdict::Ready(Err(rejection.with_detail(service_error.clone())))
        };
        let log = logged(async {
            let plain = || RequireTenantScope::new(verifier());
            assert_eq!(answer(plain(), bearing(&foreign_tenant)).await.0, 403);
            assert_eq!(answer(plain(), bearing(&foreign_env)).await.0, 403);
            answer(RequireTenantScope::new(issuers), bearing(&claiming("iss", json!(text)))).await;
            assert_eq!(answer(RequireTenantScope::new(failing), request()).await.0, 503);
            answer(plain(), without(path, "authorization")).await;
            assert_eq!(answer(plain(), method).await.0, 400);
            if let Ok(value) = http::HeaderValue::try_from(text) {
                let mut request = without(request(), "x-env");
                request.headers_mut().insert("x-request-id", value.clone());
                request.headers_mut().insert("x-tenant-id", value);
                assert_eq!(answer(plain(), request).await.0, 400);
            }
        });
        let log = log.await;
        assert!(log.lines().count() >= 6, "{log}");
        for line in log.lines() {
            let outside = outside_quotes(line);
            let ours = ["request refused", "replaced the request id"];
            let is_ours = ours.iter().any(|ours| outside.contains(ours));
            assert!(is_ours, "the crate does not log this line: {line}");
            assert!(!outside.contains("forged") && !outside.contains('\u{1b}'), "{line}");
            for field in ["request_id=", " code=", "cause=", "detail=", "method=", "path="] {
                assert!(outside.matches(field).count() <= 1, "{field} twice: {line}");
            }
        }
    }
}

#[tokio::test]
async fn the_log_line_about_claims_beyond_the_issuers_limits_is_short() {
    use tower_tenancy::auth::{Algorithm, JwtKey, JwtVerifier};

    let key = JwtKey::hmac(Algorithm::HS256, crate::support::SECRET).unwrap();
    let verifier = JwtVerifier::builder().key(key).tenants(["t_alpha"]).build().unwrap();
    let mut claims = crate::support::claims("t_alpha", "prod", "ada");
    claims["iss"] = serde_json::json!("i".repeat(2000));
    claims["tenant_ids"] = (0..400).map(|i| format!("t_{i}")).collect();
    let token = crate::support::sign(&claims);
    let log = logged(async { assert!(verifier.verify(&token).is_ok()) }).await;
    let line = log.lines().find(|line| line.contains("WARN")).unwrap();
    assert!(line.contains("t_0") && line.contains("and 392 more"), "{line}");
    assert!(line.len() < 700, "{line}");
}
