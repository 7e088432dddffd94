//! Guarded streams over WebSocket: refusals come before the upgrade, clients resume without loss, and no client
//! can publish as another one.

use crate::{
    hosts::{App, accept, serve_axum},
    layers::verifier,
    support::{Chat, Socket, claims, now, sign, token, with_short_token},
};
use axum::{
    Router,
    extract::{Path, State, WebSocketUpgrade},
    response::Response,
    routing::any,
};
use http::Request;
use hyper::body::Incoming;
use serde_json::json;
use std::{convert::Infallible, time::Duration};
use tokio_tungstenite::tungstenite::Message;
use tower::{Service, ServiceBuilder, service_fn};
use tower_tenancy::{
    CloseRefusedUpgrades, LastEventId, MemoryLog, MemoryRegistry, Rejection, RequireTenantScope,
    TenantScope, ThreadAccess,
    auth::TokenSources,
    rejection::{ByContentType, Dialect, RejectWith as _, WrapBody, WrappedBody},
    verify_thread_access,
    ws::Handshake,
};

const PATH: &str = "/ws/chat/th";

fn bearer(tenant: &str) -> String {
    format!("Bearer {}", token(tenant, "prod", "ada"))
}

#[tokio::test]
async fn an_upgrade_is_refused_before_the_101_in_the_fixed_order_of_refusals() {
    let chat = Chat::start_with(&["--leeway", "0"]);
    let good = bearer("t_alpha");
    let mut expired = claims("t_alpha", "prod", "ada");
    expired["exp"] = json!(now() - 1);
    let expired = format!("Bearer {}", sign(&expired));
    let (tenant, env) = (("x-tenant-id", "t_alpha"), ("x-env", "prod"));
    let auth = ("authorization", good.as_str());
    for (headers, path, status, code) in [
        (vec![], PATH, 400, "context.missing"),
        (vec![env, auth], PATH, 400, "context.missing"),
        (vec![tenant, tenant, env, auth], PATH, 400, "context.invalid"),
        (vec![("x-tenant-id", "T_Unknown"), env], PATH, 400, "context.invalid"),
        (vec![tenant, env], PATH, 401, "auth.missing"),
        (vec![tenant, env, ("authorization", "Bearer a.b.c")], PATH, 401, "auth.invalid"),
        (vec![tenant, env, ("authorization", expired.as_str())], PATH, 401, "auth.expired"),
        (vec![("x-tenant-id", "t_beta"), env, auth], PATH, 403, "tenant.mismatch"),
        (vec![tenant, ("x-env", "dev"), auth], PATH, 403, "env.mismatch"),
        (vec![tenant, env, auth], "/ws/chat/only-beta", 403, "thread.forbidden"),
        (vec![tenant, env, auth], "/ws/chat/nowhere", 403, "thread.forbidden"),
        (vec![tenant, env, auth, ("last-event-id", "42")], PATH, 400, "cursor.invalid"),
        (vec![tenant, env, auth], "/ws/chat/th?tenant=t_alpha", 400, "context.invalid"),
    ] {
        let refused = Socket::connect(&chat.base, path, &headers).await.err();
        assert_eq!(refused, Some((status, code.to_owned())), "{headers:?} {path}");
    }
}

#[tokio::test]
async fn each_event_is_seen_once_across_cuts() {
    let chat = std::sync::Arc::new(Chat::start());
    let mut socket = Socket::listen(&chat.base, "t_alpha", "th", None).await;
    let publisher = tokio::spawn({
        let chat = chat.clone();
        async move {
            for i in 0..200 {
                chat.say("t_alpha", "th", &i.to_string()).await;
            }
        }
    });
    let mut seen = Vec::new();
    while seen.len() < 200 {
        // Read a random number of events, and then drop the socket.
        for _ in 0..(1 + uuid::Uuid::new_v4().as_bytes()[0] % 9) {
            let message = socket.next().await.unwrap();
            seen.push(message["data"]["text"].as_str().unwrap().to_owned());
            if seen.len() == 200 {
                break;
            }
        }
        let cursor = socket.cursor.clone();
        drop(socket);
        socket = Socket::listen(&chat.base, "t_alpha", "th", cursor.as_deref()).await;
        assert_eq!(socket.cursor, cursor, "the accepted cursor, not the head");
    }
    publisher.await.unwrap();
    assert_eq!(seen, (0..200).map(|i| i.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_message_reaches_every_transport_and_no_other_thread() {
    let chat = Chat::start();
    let mut alpha = Socket::listen(&chat.base, "t_alpha", "th", None).await;
    let mut sse = chat.listen("t_alpha", "th", None).await;
    let mut beta = Socket::listen(&chat.base, "t_beta", "th", None).await;
    for claim in [
        json!({"text": "x", "routing": {"tenant_id": "t_beta"}}),
        json!({"text": "x", "tenant_id": "t_beta"}),
        json!({"text": "x", "thread_id": "only-beta"}),
        json!({"text": "x", "actor_id": "bob", "actor_type": "agent"}),
        json!({"text": "x", "meta": {"trace_id": "forged"}}),
        json!({"text": "x", "trace_id": "forged"}),
        json!({"text": "x", "type": "auth.expired"}),
        json!({"texts": "x"}),
    ] {
        alpha.say(&claim).await;
        let answer = alpha.next().await.unwrap();
        assert_eq!(answer["type"], "error", "{claim}");
        assert_eq!(answer["data"]["code"], "message.invalid", "{claim}");
        let post = chat.post("/chat/th/messages", "t_alpha", claim.to_string());
        assert_eq!(crate::support::refusal(post.send().await.unwrap()).await.1, "message.invalid");
    }
    alpha.say(json!({"type": "message", "text": "honest"})).await;
    let event = alpha.next().await.unwrap();
    assert_eq!(event["data"], json!({"text": "honest"}));
    assert_eq!(event["routing"]["tenant_id"], "t_alpha");
    assert_eq!(event["routing"]["actor_id"], "ada");
    assert_eq!(event["meta"]["seq"], 1, "no refused message was stored");
    assert_eq!(event["meta"]["trace_id"], event["meta"]["origin_trace_id"]);
    let same = sse.event().await.unwrap().json();
    assert_eq!(same["id"], event["id"]);
    assert_ne!(same["meta"]["trace_id"], event["meta"]["trace_id"]);
    chat.say("t_beta", "th", "of beta").await;
    assert_eq!(beta.next().await.unwrap()["data"]["text"], "of beta", "it is the first event");
}

#[tokio::test]
async fn a_session_ends_with_its_token_and_at_a_message_that_breaks_the_rules() {
    let chat = Chat::start_with(&["--leeway", "0"]);
    let (mut session, _) = with_short_token(async |token| {
        let bearer = format!("Bearer {token}");
        let headers = [("x-tenant-id", "t_alpha"), ("x-env", "prod"), ("authorization", &bearer)];
        Socket::connect(&chat.base, PATH, &headers).await.ok()
    })
    .await;
    assert_eq!(session.next().await.unwrap()["type"], "open");
    let last = session.next().await.unwrap();
    assert_eq!(
        (&last["type"], &last["data"]["code"]),
        (&json!("auth.expired"), &json!("auth.expired"))
    );
    assert_eq!(session.next().await, Err((4401, "auth.expired".to_owned())));

    for (message, code) in [
        (Message::binary(vec![1, 2, 3]), 1003),
        (Message::text("x".repeat(64 * 1024 + 1)), 1009),
        (Message::text("x".repeat(1024 * 1024)), 1009),
    ] {
        let mut session = Socket::listen(&chat.base, "t_alpha", "th", None).await;
        session.send(message).await;
        assert_eq!(session.next().await.unwrap()["data"]["code"], "message.invalid");
        assert_eq!(session.next().await, Err((code, "message.invalid".to_owned())));
    }
    let mut session = Socket::listen(&chat.base, "t_alpha", "th", None).await;
    let text = "x".repeat(64 * 1024 - 20);
    session.say(json!({ "text": text })).await;
    assert_eq!(
        session.next().await.unwrap()["data"]["text"],
        text,
        "a message just below the limit"
    );
}

#[tokio::test]
async fn a_browser_sends_its_token_as_a_protocol_that_the_server_never_selects() {
    let chat = Chat::start();
    let jwt = token("t_alpha", "prod", "ada");
    let path = "/ws/chat/th?tenant=t_alpha&env=prod";
    let offer = format!("chat.v1, bearer.{jwt}");
    let mut socket =
        Socket::connect(&chat.base, path, &[("sec-websocket-protocol", &offer)]).await.unwrap();
    assert_eq!(socket.response.headers()["sec-websocket-protocol"], "chat.v1");
    assert!(!format!("{:?}", socket.response).contains(&jwt));
    assert_eq!(socket.next().await.unwrap()["type"], "open");

    // Even if the layer does not read tokens from protocols, the server never selects a token.
    let addr = serve_axum(router(App::new().await, RequireTenantScope::new(verifier()))).await;
    let bearer = format!("Bearer {jwt}");
    let headers = [
        ("x-tenant-id", "t_alpha"),
        ("x-env", "prod"),
        ("authorization", &bearer),
        ("sec-websocket-protocol", "bearer.x, chat.v1"),
    ];
    let other = Socket::connect(&format!("http://{addr}"), "/th", &headers).await.unwrap();
    assert_eq!(other.response.headers()["sec-websocket-protocol"], "chat.v1");

    for (headers, status, code) in [
        (vec![("sec-websocket-protocol", "chat.v1")], 401, "auth.missing"),
        (vec![("sec-websocket-protocol", "chat.v1, bearer.a.b.c")], 401, "auth.invalid"),
        (
            vec![("sec-websocket-protocol", offer.as_str()), ("authorization", &bearer)],
            400,
            "context.invalid",
        ),
    ] {
        let refused = Socket::connect(&chat.base, path, &headers).await.err();
        assert_eq!(refused, Some((status, code.to_owned())));
    }
}

/// How long a peer may be silent and answer no ping. This is longer than a busy machine needs.
const SILENCE: Duration = Duration::from_secs(5);

async fn talk(
    thread: ThreadAccess<Path<String>, MemoryRegistry>,
    from: LastEventId,
    State(log): State<MemoryLog>,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Rejection> {
    let grant = thread.into_grant();
    let publisher = grant.publisher(&log);
    let events = grant.subscribe(&log, from).await?;
    let session = grant.guard(events).into_ws().heartbeat(Duration::from_millis(100));
    let session = session.timeout(SILENCE);
    Ok(session.on_upgrade(upgrade, move |message| {
        let publisher = publisher.clone();
        async move { publisher.publish_message(message).await }
    }))
}

pub(crate) fn router(app: App, tenancy: RequireTenantScope) -> Router {
    Router::new().route("/{thread}", any(talk)).with_state(app).layer(tenancy)
}

#[tokio::test]
async fn a_page_of_another_site_cannot_use_the_cookie() {
    let sources =
        TokenSources::header().or_cookie("session").allow_origin("https://app.test").unwrap();
    let tenancy = RequireTenantScope::new(verifier()).or_query().token_sources(sources);
    let addr = serve_axum(router(App::new().await, tenancy)).await;
    let base = format!("http://{addr}");
    let path = "/th?tenant=t_alpha&env=prod";
    let cookie = format!("theme=dark; session={}", token("t_alpha", "prod", "ada"));
    let cookie = ("cookie", cookie.as_str());
    let same = base.as_str();
    for origin in [same, "https://app.test"] {
        let socket = Socket::connect(&base, path, &[cookie, ("origin", origin)]).await;
        assert_eq!(socket.unwrap().next().await.unwrap()["type"], "open", "{origin}");
    }
    for headers in [
        vec![cookie],
        vec![cookie, ("origin", "https://evil.test")],
        vec![cookie, ("origin", "null")],
        vec![cookie, ("origin", "http://app.test")],
        vec![cookie, ("origin", "https://app.test.evil.test")],
        vec![cookie, ("origin", same), ("origin", "https://evil.test")],
    ] {
        let refused = Socket::connect(&base, path, &headers).await.err();
        assert_eq!(refused, Some((401, "auth.invalid".to_owned())), "{headers:?}");
    }
}

#[tokio::test]
async fn a_silent_peer_is_disconnected_and_a_peer_that_answers_pings_is_not() {
    let tenancy = RequireTenantScope::new(verifier());
    let addr = serve_axum(router(App::new().await, tenancy)).await;
    let bearer = bearer("t_alpha");
    let headers = [("x-tenant-id", "t_alpha"), ("x-env", "prod"), ("authorization", &bearer)];
    let base = format!("http://{addr}");
    let mut alive = Socket::connect(&base, "/th", &headers).await.unwrap();
    let mut silent = Socket::connect(&base, "/th", &headers).await.unwrap();
    assert_eq!(alive.next().await.unwrap()["type"], "open");
    // The library answers pings only while the test reads.
    let waited = tokio::time::timeout(SILENCE + SILENCE / 2, alive.next()).await;
    assert!(waited.is_err(), "{waited:?}");
    assert_eq!(silent.next().await.unwrap()["type"], "open");
    assert_eq!(silent.next().await.unwrap()["type"], "stream.slow");
    assert_eq!(silent.next().await, Err((4408, "stream.slow".to_owned())));
}

#[tokio::test]
async fn the_layer_closes_a_refused_upgrade_with_its_code() {
    let tenancy = RequireTenantScope::new(verifier());
    let app = router(App::new().await, tenancy).layer(CloseRefusedUpgrades);
    let addr = serve_axum(app).await;
    let base = format!("http://{addr}");
    let bearer = bearer("t_alpha");
    let (tenant, env) = (("x-tenant-id", "t_alpha"), ("x-env", "prod"));
    let auth = ("authorization", bearer.as_str());
    let id = ("x-request-id", "conn-1");
    for (headers, path, close) in [
        (vec![env, id], "/th", (4400, "context.missing")),
        (vec![tenant, env, id], "/th", (4401, "auth.missing")),
        (vec![tenant, ("x-env", "dev"), auth, id], "/th", (4403, "env.mismatch")),
        (vec![tenant, env, auth, id], "/other", (4403, "thread.forbidden")),
        (
            vec![tenant, env, id, ("sec-websocket-protocol", "bearer.x, chat.v1")],
            "/th",
            (4401, "auth.missing"),
        ),
    ] {
        let mut socket = Socket::connect(&base, path, &headers).await.unwrap();
        assert_eq!(socket.response.headers()["x-request-id"], "conn-1", "the id in the log");
        assert_eq!(socket.next().await, Err((close.0, close.1.to_owned())), "{headers:?}");
    }
    let mut good = Socket::connect(&base, "/th", &[tenant, env, auth]).await.unwrap();
    assert_eq!(good.next().await.unwrap()["type"], "open");
    let plain = reqwest::get(format!("{base}/th")).await.unwrap();
    assert_eq!(plain.status(), 400, "a request without an upgrade does not change");
}

type Body = http_body_util::Full<bytes::Bytes>;

/// A server without a framework: hyper's connection, and the handshake of this crate.
pub(crate) fn hyper_service(
    app: App,
) -> impl Service<
    Request<Incoming>,
    Response = http::Response<WrappedBody<Body>>,
    Error = Infallible,
    Future: Send,
> + Clone
+ Send
+ 'static {
    let handler = service_fn(move |request: Request<Incoming>| {
        let app = app.clone();
        async move {
            let answer = async {
                let scope = TenantScope::from_extensions(request.extensions())?;
                let from = LastEventId::of(request.headers(), request.uri())?.unwrap_or_default();
                let thread = request.uri().path().trim_start_matches('/');
                let grant = verify_thread_access(&app.threads, scope, thread).await?;
                let publisher = grant.publisher(&app.log);
                let events = grant.subscribe(&app.log, from).await?;
                let session = grant.guard(events).into_ws();
                Ok(Handshake::of(&request)?.run(session, move |message| {
                    let publisher = publisher.clone();
                    async move { publisher.publish_message(message).await }
                }))
            };
            let answer: Result<http::Response<()>, Rejection> = answer.await;
            Ok::<_, Infallible>(match answer {
                Ok(response) => response.map(|()| Body::default()),
                Err(rejection) => {
                    let dialect = Dialect::of(&request);
                    ByContentType.reject(&rejection, dialect)
                }
            })
        }
    });
    ServiceBuilder::new()
        .layer(RequireTenantScope::new(verifier()).reject_with(WrapBody))
        .service(handler)
}

#[tokio::test]
async fn bare_hyper_upgrades_to_the_same_sessions() {
    let base = format!("http://{}", accept(hyper_service(App::new().await)).await);
    let bearer = bearer("t_alpha");
    let (tenant, env) = (("x-tenant-id", "t_alpha"), ("x-env", "prod"));
    let auth = ("authorization", bearer.as_str());
    let refused = Socket::connect(&base, "/other", &[tenant, env, auth]).await.err();
    assert_eq!(refused, Some((403, "thread.forbidden".to_owned())));
    // The server does not select a token that the layer does not read, either.
    let protocols = ("sec-websocket-protocol", "bearer.x, chat.v1, chat.v2");
    let earliest = ("last-event-id", "earliest");
    let headers = [tenant, env, auth, protocols, earliest];
    let mut socket = Socket::connect(&base, "/th", &headers).await.unwrap();
    assert_eq!(socket.response.headers()["sec-websocket-protocol"], "chat.v1");
    assert_eq!(socket.next().await.unwrap()["type"], "open");
    assert_eq!(socket.next().await.unwrap()["data"], "one");
    socket.say(json!({"text": "two"})).await;
    assert_eq!(socket.next().await.unwrap()["data"], json!({"text": "two"}));

    let request = reqwest::Client::new()
        .get(format!("{base}/th"))
        .bearer_auth(token("t_alpha", "prod", "ada"));
    let plain = request.header("x-tenant-id", "t_alpha").header("x-env", "prod");
    assert_eq!(
        plain.send().await.unwrap().status(),
        400,
        "the request does not ask for an upgrade"
    );
}
