//! Requests as gateways, browsers and front ends send them: where they name the tenant and the env, and which ids
//! a thread may have.

use crate::{
    layers::{key, logged, verifier},
    support::{Chat, Events, Example, SECRET, refusal, token},
};
use axum::{
    Router,
    body::Body,
    extract::{OriginalUri, Path},
    routing::get,
};
use http::{Request, Response, StatusCode};
use std::process::Command;
use tower::{Layer as _, ServiceExt as _};
use tower_tenancy::{
    ContextParts, Envs, MemoryRegistry, RedeemTicket, RequestHead, RequireTenantScope, Routing,
    TenantScope, ThreadAccess, TicketIssuer, auth::JwtVerifier,
};

async fn whose(scope: TenantScope) -> String {
    format!("{}/{}", scope.tenant(), scope.env())
}

async fn answer(app: &Router, request: Request<Body>) -> (u16, String) {
    let response = app.clone().oneshot(request).await.unwrap();
    told(response).await
}

async fn told(response: Response<Body>) -> (u16, String) {
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), 1 << 16).await.unwrap();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let code = serde_json::from_str(&body)
        .ok()
        .and_then(|json: serde_json::Value| Some(json.get("code")?.as_str()?.to_owned()));
    (status, code.unwrap_or(body))
}

/// A `GET` with a token of `tenant`, and these headers.
fn get_as(tenant: &str, uri: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let bearer = format!("Bearer {}", token(tenant, "prod", "ada"));
    let request = Request::get(uri).header("authorization", bearer);
    let with = |request: http::request::Builder, (name, value): &(&str, &str)| {
        request.header(*name, *value)
    };
    headers.iter().fold(request, with).body(Body::empty()).unwrap()
}

fn ok(whose: &str) -> (u16, String) {
    (200, whose.to_owned())
}

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn a_tenant_in_the_path_is_compared_with_the_token_and_the_headers() {
    let tenancy = || {
        RequireTenantScope::new(verifier())
            .context_from(|head| ContextParts::new().tenant(head.segment(1)).env(head.segment(2)))
    };
    let nested = Router::new().route("/{env}/whose", get(whose));
    let nested_with_layer = nested.clone().route_layer(
        RequireTenantScope::new(verifier()).context_from(|head: RequestHead<'_>| {
            let whole = head.extensions().get::<OriginalUri>();
            let mut parts = whole.map_or("", |whole| whole.path()).split('/').skip(2);
            ContextParts::new().tenant(parts.next()).env(parts.next())
        }),
    );
    let apps = [
        ("flat", Router::new().route("/t/{tenant}/{env}/whose", get(whose)).route_layer(tenancy())),
        ("around a nest", Router::new().nest("/t/{tenant}", nested).layer(tenancy())),
        ("inside a nest", Router::new().nest("/t/{tenant}", nested_with_layer)),
    ];
    let (t, e) = (("x-tenant-id", "t_alpha"), ("x-env", "prod"));
    let path = "/t/t_alpha/prod/whose";
    for (token_of, uri, headers, outcome) in [
        ("t_alpha", path, &[][..], ok("t_alpha/prod")),
        ("t_alpha", "/t/t_alpha/production/whose", &[], ok("t_alpha/prod")),
        ("t_alpha", path, &[t, e], ok("t_alpha/prod")),
        ("a:b@c", "/t/a:b@c/prod/whose", &[], ok("a:b@c/prod")),
        // The path proves nothing.
        ("t_beta", path, &[], refused(403, "tenant.mismatch")),
        ("t_alpha", "/t/t_alpha/dev/whose", &[], refused(403, "env.mismatch")),
        // A header differs from the path, is repeated, or is empty.
        ("t_alpha", path, &[("x-tenant-id", "t_beta")], refused(400, "context.invalid")),
        ("t_beta", path, &[("x-tenant-id", "t_beta")], refused(400, "context.invalid")),
        ("t_alpha", path, &[("x-env", "dev")], refused(400, "context.invalid")),
        ("t_alpha", path, &[t, t], refused(400, "context.invalid")),
        ("t_alpha", path, &[("x-tenant-id", "")], refused(400, "context.invalid")),
        // A value in the path is checked like a header.
        ("t_unknown", "/t/t_unknown/prod/whose", &[], refused(400, "context.invalid")),
        ("null", "/t/null/prod/whose", &[], refused(400, "context.invalid")),
        ("..", "/t/%2e%2e/prod/whose", &[], refused(400, "context.invalid")),
        ("a b", "/t/a%20b/prod/whose", &[], refused(400, "context.invalid")),
        ("t_alpha", "/t/t_alpha/qa/whose", &[], refused(400, "context.invalid")),
    ] {
        for (host, app) in &apps {
            let told = answer(app, get_as(token_of, uri, headers)).await;
            assert_eq!(told, outcome, "{host}: {uri} {headers:?}");
        }
    }
    for (host, app) in &apps[..2] {
        let encoded = get_as("a:b", "/t/a%3Ab/prod/whose", &[]);
        assert_eq!(answer(app, encoded).await, ok("a:b/prod"), "{host}");
    }
}

#[tokio::test]
async fn a_tenant_in_the_host_is_compared_with_the_token_and_the_headers() {
    let tenancy = RequireTenantScope::new(verifier())
        .envs(Envs::only("prod").unwrap())
        .context_from(|head| ContextParts::new().tenant(head.subdomain_of("example.com")));
    let app = Router::new().route("/", get(whose)).route_layer(tenancy);
    for (token_of, uri, headers, outcome) in [
        ("acme", "/", &[("host", "acme.example.com")][..], ok("acme/prod")),
        ("acme", "/", &[("host", "ACME.example.com:8443")], ok("acme/prod")),
        // The host is in the URI, as in HTTP/2.
        ("acme", "https://acme.example.com/", &[], ok("acme/prod")),
        ("acme", "/", &[("host", "acme.example.com"), ("x-tenant-id", "acme")], ok("acme/prod")),
        ("acme", "/", &[("host", "example.com"), ("x-tenant-id", "acme")], ok("acme/prod")),
        ("acme", "/", &[("host", "beta.example.com")], refused(403, "tenant.mismatch")),
        (
            "acme",
            "/",
            &[("host", "beta.example.com"), ("x-tenant-id", "acme")],
            refused(400, "context.invalid"),
        ),
        ("acme", "/", &[("host", "example.com")], refused(400, "context.missing")),
        ("acme", "/", &[("host", "acme.example.com.evil.test")], refused(400, "context.missing")),
        (
            "acme",
            "/",
            &[("host", "acme.example.com"), ("host", "acme.example.com")],
            refused(400, "context.missing"),
        ),
        (
            "acme",
            "https://acme.example.com/",
            &[("host", "beta.example.com")],
            refused(400, "context.missing"),
        ),
    ] {
        let told = answer(&app, get_as(token_of, uri, headers)).await;
        assert_eq!(told, outcome, "{uri} {headers:?}");
    }
    // `Vary` does not name `Host`, which is part of the URL. It names the headers that the layer still reads.
    let response = app.oneshot(get_as("acme", "https://acme.example.com/", &[])).await.unwrap();
    assert_eq!(response.headers()["vary"], "x-tenant-id, x-env, authorization");
}

#[tokio::test]
async fn context_from_runs_in_the_span_of_the_request_and_gets_the_rest_of_the_query() {
    let log = logged(async {
        let tenancy = RequireTenantScope::new(verifier()).or_query().context_from(|head| {
            tracing::info!(query = head.uri().query(), method = head.method().as_str(), "asked");
            ContextParts::new()
                .env(head.headers().get("x-stage").and_then(|stage| stage.to_str().ok()))
        });
        let app = Router::new().route("/", get(whose)).route_layer(tenancy);
        let stage = ("x-stage", "prod");
        let asked = get_as("t_alpha", "/?tenant=t_alpha&a=1", &[stage, ("x-request-id", "r-9")]);
        assert_eq!(answer(&app, asked).await, ok("t_alpha/prod"));
        let agreeing = get_as("t_alpha", "/?tenant=t_alpha&env=production", &[stage]);
        assert_eq!(answer(&app, agreeing).await, ok("t_alpha/prod"));
        let differing = get_as("t_alpha", "/?tenant=t_alpha&env=dev", &[stage]);
        assert_eq!(answer(&app, differing).await, refused(400, "context.invalid"));
    });
    let log = log.await;
    let line = log.lines().find(|line| line.contains("asked")).unwrap();
    assert!(line.contains("request_id=\"r-9\"") && line.contains("query=\"a=1\""), "{line}");
}

#[tokio::test]
async fn a_ticket_and_the_path_must_name_the_same_tenant_and_env() {
    let issuer = TicketIssuer::in_memory();
    let threads = MemoryRegistry::new();
    threads.register(&"t_alpha/prod/th".parse::<Routing>().unwrap());
    let tenancy = RequireTenantScope::new(verifier())
        .context_from(|head| ContextParts::new().tenant(head.segment(1)).env(head.segment(2)));
    let tickets = issuer.clone();
    let ask = async move |thread: ThreadAccess<Path<String>, MemoryRegistry>| {
        tickets.issue_once(&thread).await.unwrap().secret().to_owned()
    };
    let open = async |scope: TenantScope| format!("{}/{}", scope.tenant(), scope.env());
    let issuing = RequireTenantScope::new(verifier());
    let routes = Router::new()
        .route("/t/{tenant}/{env}/open", get(open))
        .route_layer(tenancy.or_ticket())
        .merge(Router::new().route("/{thread}", get(ask)).route_layer(issuing))
        .with_state(threads);
    let app = RedeemTicket::new(issuer).layer(routes);
    let call =
        async |request: Request<Body>| told(app.clone().oneshot(request).await.unwrap()).await;
    for (path, outcome) in [
        ("/t/t_alpha/prod/open", ok("t_alpha/prod")),
        ("/t/t_alpha/production/open", ok("t_alpha/prod")),
        ("/t/t_beta/prod/open", refused(400, "context.invalid")),
        ("/t/t_alpha/dev/open", refused(400, "context.invalid")),
    ] {
        let headers = [("x-tenant-id", "t_alpha"), ("x-env", "prod")];
        let (status, ticket) = call(get_as("t_alpha", "/th", &headers)).await;
        assert_eq!(status, 200, "{ticket}");
        let request = Request::get(format!("{path}?ticket={ticket}")).body(Body::empty());
        assert_eq!(call(request.unwrap()).await, outcome, "{path}");
    }
}

#[tokio::test]
async fn thread_ids_in_a_path_are_decoded_once_and_ids_of_dots_are_refused() {
    let longest = "x".repeat(128);
    let threads = MemoryRegistry::new();
    for thread in ["a:b@c.d~e", "-a", "_a", "..a", &longest] {
        threads.register(&format!("t_alpha/prod/{thread}").parse::<Routing>().unwrap());
    }
    let named = async |thread: ThreadAccess<Path<String>, MemoryRegistry>| {
        thread.routing().thread().to_string()
    };
    let app = Router::new()
        .route("/{thread}", get(named))
        .route_layer(RequireTenantScope::new(verifier()))
        .with_state(threads);
    let encoded = format!("/{}", "%78".repeat(128));
    for (path, thread) in [
        ("/a:b@c.d~e", Some("a:b@c.d~e")),
        ("/a%3Ab%40c%2Ed%7ee", Some("a:b@c.d~e")),
        ("/-a", Some("-a")),
        ("/%2da", Some("-a")),
        ("/_a", Some("_a")),
        ("/..a", Some("..a")),
        ("/%2e%2ea", Some("..a")),
        (&encoded, Some(&*longest)),
        ("/%2e%2e", None),
        ("/..", None),
        ("/.", None),
        ("/...", None),
        ("/-A", None),
        ("/%252da", None),
        ("/a%2Fb", None),
    ] {
        let headers = [("x-tenant-id", "t_alpha"), ("x-env", "prod")];
        let told = answer(&app, get_as("t_alpha", path, &headers)).await;
        let expected = thread.map_or_else(|| refused(403, "thread.forbidden"), ok);
        assert_eq!(told, expected, "{path}");
    }
}

#[tokio::test]
async fn a_token_with_a_placeholder_as_its_subject_is_refused() {
    let verifier: JwtVerifier = JwtVerifier::builder().key(key()).build().unwrap();
    for subject in ["t_unknown", "T_Unknown", "undefined", "Undefined", "null", "NULL"] {
        let refused = verifier.verify(&token("t_alpha", "prod", subject)).unwrap_err();
        assert_eq!(refused.code(), "auth.invalid", "{subject}");
    }
    assert!(verifier.verify(&token("t_alpha", "prod", "nullable")).is_ok());
}

#[tokio::test]
async fn the_examples_accept_ids_that_begin_with_a_dash_and_can_serve_one_env_without_a_header() {
    let thread = ["--thread", "-t.1/prod/-a:b@c~d"];
    let only = ["--only-env", "prod"];
    for name in ["chat", "hyper_sse"] {
        let args = [&only[..], &thread].concat();
        let server = Chat::at(Example::run(name, &args));
        let mut command = Command::new(crate::support::example("chat"));
        command
            .args(["token", "--tenant", "-t.1", "--env", "prod", "--sub", "-ada", "--role", "-r"]);
        let made = command.args(["--hs256-secret", SECRET]).output().unwrap();
        let made = String::from_utf8(made.stdout).unwrap();
        let ask = |method, path: &str, env: Option<&str>| {
            let request = server.bare(method, path).header("x-tenant-id", "-t.1");
            let request =
                env.into_iter().fold(request, |request, env| request.header("x-env", env));
            request.bearer_auth(made.trim())
        };
        let listening = ask("GET", "/sse/chat/-a%3Ab%40c~d", None).send().await.unwrap();
        assert_eq!(listening.status(), StatusCode::OK, "{name}");
        let mut events = Events::of(listening);
        let said = ask("POST", "/chat/-a:b@c~d/messages", Some("production"));
        let said = said.json(&serde_json::json!({"text": "hi"})).send().await.unwrap();
        assert_eq!(said.status(), 201, "{name}");
        let routing = events.event().await.unwrap().json()["routing"].clone();
        assert_eq!(
            routing,
            serde_json::json!({
                "tenant_id": "-t.1", "env": "prod", "thread_id": "-a:b@c~d",
                "actor_id": "-ada", "actor_type": "human",
            })
        );
        for env in ["", "dev"] {
            let refused = ask("GET", "/sse/chat/-a%3Ab%40c~d", Some(env)).send().await.unwrap();
            assert_eq!(refusal(refused).await, (400, "context.invalid".to_owned()), "{name} {env}");
        }
        // The token must prove the env that is served.
        let dev = server.bare("GET", "/sse/chat/-a:b@c~d").header("x-tenant-id", "-t.1");
        let dev = dev.bearer_auth(token("-t.1", "dev", "ada")).send().await.unwrap();
        assert_eq!(refusal(dev).await, (403, "env.mismatch".to_owned()), "{name}");
    }
}
