//! What a route may require of a token.

use super::support::{OK, answer, counting, key, refused, request, setting, verifier, without};
use crate::support::{claims, now, sign};
use http::Request;
use http_body_util::BodyExt as _;
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tower::{Layer, ServiceExt as _};
use tower_tenancy::{RequireAuth, RequireClaims, RequireTenantScope, auth::JwtVerifier};

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
