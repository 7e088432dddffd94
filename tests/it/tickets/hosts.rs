//! Tickets in a server with its own routes, its log and its sessions.

use super::support::{get_sse, refused, sse};
use crate::{
    hosts::{App, serve_axum},
    layers::{logged, verifier},
    support::{Chat, Events, PATIENCE, Socket, token},
};
use axum::{
    Json, Router,
    extract::{FromRef, Path, Request, State, WebSocketUpgrade},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use reqwest::Client;
use serde_json::{Value, json};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use tokio::net::TcpListener;
use tower::Layer as _;
use tower_http::trace::{DefaultMakeSpan, DefaultOnRequest, DefaultOnResponse, TraceLayer};
use tower_tenancy::{
    BoxError, Env, LastEventId, MemoryLog, MemoryRegistry, RedeemTicket, Rejection,
    RequireTenantScope, TenantId, TenantScope, ThreadAccess, ThreadId, ThreadRecord,
    ThreadRegistry, TicketIssuer,
    auth::{AuthRequest, Authenticator as _, Revocation, TokenSources, Verdict},
    middleware::RedeemService,
    verify_thread_access, ws,
};

#[derive(Clone, FromRef)]
struct Site {
    app: App,
    tickets: TicketIssuer,
}

impl FromRef<Site> for MemoryRegistry {
    fn from_ref(site: &Site) -> Self {
        site.app.threads.clone()
    }
}

impl FromRef<Site> for MemoryLog {
    fn from_ref(site: &Site) -> Self {
        site.app.log.clone()
    }
}

async fn issue(scope: TenantScope, State(site): State<Site>) -> Result<Response, Rejection> {
    let grant = verify_thread_access(&site.app.threads, &scope, "th").await?;
    let from = LastEventId::default();
    Ok(Json(site.tickets.issue(&grant, &site.app.log, from).await?).into_response())
}

async fn listen(
    thread: ThreadAccess<Path<String>, MemoryRegistry>,
    from: LastEventId,
    State(log): State<MemoryLog>,
    request: Request,
) -> Result<Response, Rejection> {
    tracing::info!(?request, "everything that a handler sees");
    let grant = thread.into_grant();
    let events = grant.subscribe(&log, from).await?;
    tracing::info!(?grant, "the grant of the handler");
    Ok(grant.guard(events).into_sse().into_response())
}

async fn talk(
    thread: ThreadAccess<Path<String>, MemoryRegistry>,
    upgrade: WebSocketUpgrade,
    State(log): State<MemoryLog>,
) -> Result<Response, Rejection> {
    let grant = thread.into_grant();
    let events = grant.subscribe(&log, LastEventId::Earliest).await?;
    Ok(grant.guard(events).into_ws().on_upgrade(upgrade, ws::no_messages))
}

/// Traces everything, headers included, inside of the layers that remove secrets.
async fn site(tickets: TicketIssuer, tenancy: RequireTenantScope) -> String {
    let trace = TraceLayer::new_for_http()
        .make_span_with(DefaultMakeSpan::new().include_headers(true).level(tracing::Level::INFO))
        .on_request(DefaultOnRequest::new().level(tracing::Level::INFO))
        .on_response(DefaultOnResponse::new().include_headers(true).level(tracing::Level::INFO));
    let router = Router::new()
        .route("/tickets", post(issue))
        .route("/{thread}", get(listen))
        .route("/ws/{thread}", get(talk))
        .with_state(Site { app: App::new().await, tickets: tickets.clone() })
        .layer(trace.clone())
        .layer(tenancy.or_ticket())
        // `RedeemTicket` has removed the ticket from the URL before this layer. This layer records no headers.
        .layer(TraceLayer::new_for_http());
    serve(RedeemTicket::new(tickets).layer(router)).await
}

/// Serves a router inside `RedeemTicket`, which must be the outermost layer.
async fn serve(service: RedeemService<Router>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let service = axum::ServiceExt::<Request>::into_make_service(service);
    tokio::spawn(async move { axum::serve(listener, service).await });
    base
}

#[tokio::test]
async fn tickets_and_tokens_are_in_no_log_line_and_no_trace_field() {
    let jwt = token("t_alpha", "prod", "ada");
    let mut secrets = vec![jwt.clone()];
    let log = logged(async {
        let sources = TokenSources::header().or_cookie("session").or_subprotocol();
        let tenancy = RequireTenantScope::new(verifier()).or_query().token_sources(sources);
        let base = site(TicketIssuer::in_memory(), tenancy).await;
        let http = Client::new();
        let issue = async || -> String {
            let request = http.post(format!("{base}/tickets")).bearer_auth(&jwt);
            let request = request.header("x-tenant-id", "t_alpha").header("x-env", "prod");
            let answer: Value = request.send().await.unwrap().json().await.unwrap();
            answer["ticket"].as_str().unwrap().to_owned()
        };
        let first = issue().await;
        // A valid ticket, a used one, a repeated one, and one for another thread.
        for path in [
            format!("/th?ticket={first}"),
            format!("/th?ticket={first}"),
            format!("/th?ticket={first}&ticket={first}"),
            format!("/other?a=1&ticket={first}&b=2"),
        ] {
            drop(http.get(format!("{base}{path}")).send().await.unwrap());
        }
        let second = issue().await;
        let socket = Socket::connect(&base, &format!("/ws/th?ticket={second}"), &[]).await;
        assert_eq!(socket.unwrap().next().await.unwrap()["type"], "open");
        let query = "tenant=t_alpha&env=prod";
        let offer = format!("bearer.{jwt}, chat.v1");
        let offer = [("sec-websocket-protocol", offer.as_str())];
        let socket = Socket::connect(&base, &format!("/ws/th?{query}"), &offer).await;
        assert_eq!(socket.unwrap().next().await.unwrap()["type"], "open");
        let cookie = format!("session={jwt}; theme=dark");
        let by_cookie = http.get(format!("{base}/th?{query}")).header("cookie", cookie);
        assert_eq!(by_cookie.send().await.unwrap().status(), 200);
        secrets.extend([first, second]);
    });
    let log = log.await;
    assert!(log.contains("everything that a handler sees") && log.contains("theme=dark"), "{log}");
    assert!(log.contains("/other?a=1&b=2") && log.contains("chat.v1"), "{log}");
    for secret in secrets {
        // Not even half of a secret is in the log.
        let (head, tail) = secret.split_at(secret.len() / 2);
        assert!(!log.contains(head) && !log.contains(tail), "{log}");
    }
}

#[tokio::test]
async fn a_revoked_session_ends_the_streams_of_its_tickets_too() {
    let session = Revocation::new();
    let revocation = session.clone();
    let tenancy = RequireTenantScope::new(move |request: &AuthRequest<'_>| {
        match verifier().authenticate(request) {
            Verdict::Ready(auth) => {
                Verdict::Ready(auth.map(|auth| auth.with_revocation(revocation.clone())))
            }
            later => later,
        }
    });
    let base = site(TicketIssuer::in_memory(), tenancy).await;
    let http = Client::new();
    let request = http.post(format!("{base}/tickets")).bearer_auth(token("t_alpha", "prod", "ada"));
    let request = request.header("x-tenant-id", "t_alpha").header("x-env", "prod");
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    let url = format!("{base}/th?ticket={}", answer["ticket"].as_str().unwrap());
    let mut events = Events::of(http.get(&url).send().await.unwrap());
    let primed = events.next().await.unwrap().id.unwrap();
    session.revoke();
    let ended = tokio::time::timeout(PATIENCE, events.event()).await;
    assert_eq!(ended.unwrap().unwrap().event.as_deref(), Some("access.revoked"));
    let again = http.get(&url).header("last-event-id", primed).send().await.unwrap();
    assert_eq!(refused(again).await, (403, "access.revoked".to_owned()));
}

#[tokio::test]
async fn a_ticket_has_the_cursor_so_that_its_url_does_not() {
    let chat = Chat::start();
    let first = chat.say("t_alpha", "th", "one").await["id"].as_str().unwrap().to_owned();
    chat.say("t_alpha", "th", "two").await;
    for (from, seen) in [(first.as_str(), vec!["two"]), ("earliest", vec!["one", "two"])] {
        let body = json!({ "thread_id": "th", "last_event_id": from });
        let request = chat.request("POST", "/tickets", "t_alpha").json(&body);
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        let mine = answer["ticket"].as_str().unwrap();
        let mut events = Events::of(get_sse(&chat, &sse(mine), &[]).await);
        for text in seen {
            assert_eq!(events.event().await.unwrap().json()["data"]["text"], text);
        }
    }
    let bad = json!({ "thread_id": "th", "last_event_id": "42" });
    let bad = chat.request("POST", "/tickets", "t_alpha").json(&bad).send().await.unwrap();
    assert_eq!(refused(bad).await, (400, "cursor.invalid".to_owned()));
}

/// A registry whose first look-up fails.
#[derive(Clone)]
struct Shaky(Arc<AtomicBool>, MemoryRegistry);

impl ThreadRegistry for Shaky {
    async fn find(
        &self,
        tenant: &TenantId,
        env: &Env,
        thread: &ThreadId,
    ) -> Result<Option<ThreadRecord>, BoxError> {
        if self.0.swap(false, Ordering::Relaxed) {
            return Err("connection reset".into());
        }
        self.1.find(tenant, env, thread).await
    }
}

#[tokio::test]
async fn a_server_side_failure_uses_up_no_ticket_and_other_routes_refuse_tickets() {
    let app = App::new().await;
    let tickets = TicketIssuer::in_memory();
    let shaky = Shaky(Arc::new(AtomicBool::new(true)), app.threads.clone());
    let log = app.log.clone();
    let stream = async move |thread: ThreadAccess<Path<String>, Shaky>, from: LastEventId| {
        let grant = thread.into_grant();
        let events = grant.subscribe(&log, from).await?;
        Ok::<_, Rejection>(grant.guard(events).into_sse())
    };
    let issuer = tickets.clone();
    let issue = async move |thread: ThreadAccess<Path<String>, MemoryRegistry>| {
        Ok::<_, Rejection>(Json(issuer.issue(&thread, &app.log, LastEventId::Live).await?))
    };
    let tenancy = RequireTenantScope::new(verifier());
    let streams = Router::new().route("/{thread}", get(stream)).with_state(shaky);
    let others = Router::new()
        .route("/whoami", get(async |scope: TenantScope| scope.subject().to_string()))
        .route("/tickets/{thread}", post(issue))
        .with_state(app.threads);
    let router = streams
        .route_layer(tenancy.clone().or_ticket().opens_streams())
        .merge(others.route_layer(tenancy));
    let base = serve(RedeemTicket::new(tickets).layer(router)).await;
    let http = Client::new();
    let ticket = async || -> String {
        let request = http.post(format!("{base}/tickets/th"));
        let request = request.bearer_auth(token("t_alpha", "prod", "ada"));
        let request = request.header("x-tenant-id", "t_alpha").header("x-env", "prod");
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        answer["ticket"].as_str().unwrap().to_owned()
    };
    let url = format!("{base}/th?ticket={}", ticket().await);
    let ask = || http.get(&url).header("accept", "text/event-stream").send();
    let mut asked_back = Events::of(ask().await.unwrap());
    let notice = asked_back.event().await.unwrap();
    assert_eq!(notice.json()["code"], "registry.unavailable", "the browser reconnects");
    let mut opened = Events::of(ask().await.unwrap());
    assert!(opened.next().await.unwrap().id.is_some());
    assert_eq!(refused(ask().await.unwrap()).await.0, 401, "the ticket is used now");

    let whoami = http.get(format!("{base}/whoami?ticket={}", ticket().await)).send().await.unwrap();
    assert_eq!(refused(whoami).await, (403, "auth.insufficient_scope".to_owned()));
}

#[tokio::test]
async fn tickets_work_in_any_host() {
    // Without axum: the same layers in a `ServiceBuilder`, around a plain service.
    let app = App::new().await;
    let tickets = TicketIssuer::in_memory();
    let site = Site { app, tickets: tickets.clone() };
    let router = Router::new().route("/tickets", post(issue)).with_state(site);
    let base = serve_axum(router.layer(RequireTenantScope::new(verifier()))).await;
    let request = Client::new().post(format!("http://{base}/tickets"));
    let request = request.bearer_auth(token("t_alpha", "prod", "ada"));
    let request = request.header("x-tenant-id", "t_alpha").header("x-env", "prod");
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    let handler = tower::service_fn(async |request: http::Request<()>| {
        let scope = TenantScope::from_extensions(request.extensions()).unwrap();
        let text = format!("{} in {}/{}", scope.subject(), scope.tenant(), scope.env());
        Ok::<_, std::convert::Infallible>(http::Response::new(http_body_util::Full::new(
            bytes::Bytes::from(text),
        )))
    });
    let service = tower::ServiceBuilder::new()
        .layer(RedeemTicket::new(tickets))
        .layer(RequireTenantScope::new(verifier()).or_ticket())
        .service(handler);
    let uri = format!("/th?ticket={}", answer["ticket"].as_str().unwrap());
    let ask = || http::Request::builder().uri(&uri).body(()).unwrap();
    let first = tower::ServiceExt::oneshot(service.clone(), ask()).await.unwrap();
    let body = http_body_util::BodyExt::collect(first.into_body()).await.unwrap().to_bytes();
    assert_eq!(body, "ada in t_alpha/prod");
    let second = tower::ServiceExt::oneshot(service, ask()).await.unwrap();
    assert_eq!(second.status(), 401);
}
