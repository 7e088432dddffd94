//! Each layer alone, and all layers in order.

use super::support::{
    Body, OK, answer, counting, later, refused, request, setting, verifier, without,
};
use crate::support::token;
use http::{Request, Response, header};
use std::{
    convert::Infallible,
    io,
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime},
};
use tower::{
    Layer, Service, ServiceBuilder, ServiceExt as _, limit::ConcurrencyLimitLayer, service_fn,
};
use tower_tenancy::{
    AuthContext, AuthRequest, Authenticator, Envs, RequestContext, RequireAuth,
    RequireRequestContext, RequireTenantScope, Subject, TenantEnvGuard, TenantScope, Verdict,
};

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
