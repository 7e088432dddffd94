//! What the log says of a request, and what it does not say.

use super::support::{Body, answer, key, later, logged, request, setting, verifier, without};
use crate::support::{claims, sign, token};
use futures_util::{StreamExt as _, stream};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use serde_json::json;
use std::{convert::Infallible, io};
use tower::{Layer, ServiceExt as _, service_fn};
use tower_tenancy::{
    AuthRequest, MemoryRegistry, Rejection, RejectionKind, RequireAuth, RequireRequestContext,
    RequireTenantScope, Routing, StreamEvent, TenantEnvGuard, TenantScope, Verdict,
    auth::JwtVerifier,
    rejection::{ByContentType, Dialect, RejectWith as _, WrapBody},
    verify_thread_access,
};

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
    let refusals = log.matches("request refused").count();
    assert!(refusals >= 3, "{log}");
    assert_eq!(
        log.matches(" tower_tenancy::rejection: request refused").count(),
        refusals,
        "{log}"
    );
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
