//! A ticket opens one stream, and gives no access to other clients.

use crate::{
    hosts::{App, serve_axum},
    layers::{logged, verifier},
    support::{Chat, Events, PATIENCE, Socket, now, refusal, token, with_short_token},
};
use axum::{
    Json, Router,
    extract::{FromRef, Path, Request, State, WebSocketUpgrade},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures_util::poll;
use reqwest::Client;
use serde_json::{Value, json};
use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, SystemTime},
};
use tokio::{net::TcpListener, sync::Semaphore};
use tower::{Layer as _, Service, ServiceExt as _};
use tower_http::trace::{DefaultMakeSpan, DefaultOnRequest, DefaultOnResponse, TraceLayer};
use tower_tenancy::{
    AuthContext, BoxError, Env, LastEventId, MemoryLog, MemoryRegistry, RedeemTicket, Rejection,
    RequireClaims, RequireTenantScope, Routing, TenantId, TenantScope, ThreadAccess, ThreadId,
    ThreadRecord, ThreadRegistry, TicketIssuer,
    auth::{AuthRequest, Authenticator as _, Revocation, TokenSources, Verdict},
    middleware::RedeemService,
    ticket::{
        MemoryTickets, StoredTicket, TicketFuture, TicketKey, TicketRecord, TicketState,
        TicketStore,
    },
    verify_thread_access, ws,
};

/// A ticket for `thread`. If an origin is given, a page of this origin requests it.
async fn ticket(chat: &Chat, tenant: &str, thread: &str, origin: Option<&str>) -> String {
    let mut request = chat.request("POST", "/tickets", tenant);
    if let Some(origin) = origin {
        request = request.header("origin", origin);
    }
    let response = request.json(&json!({ "thread_id": thread })).send().await.unwrap();
    assert_eq!(response.status(), 201);
    let answer: Value = response.json().await.unwrap();
    let left = answer["expires_at"].as_u64().unwrap().saturating_sub(now());
    assert!((28..=30).contains(&left), "{left} seconds to open it");
    answer["ticket"].as_str().unwrap().to_owned()
}

fn sse(ticket: &str) -> String {
    format!("/sse/chat/th?ticket={ticket}")
}

fn ws_path(ticket: &str) -> String {
    format!("/ws/chat/th?ticket={ticket}")
}

async fn get_sse(chat: &Chat, path: &str, headers: &[(&str, &str)]) -> reqwest::Response {
    let mut request = chat.bare("GET", path).header("accept", "text/event-stream");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

const INVALID: (u16, &str) = (401, "auth.invalid");

async fn refused(response: reqwest::Response) -> (u16, String) {
    refusal(response).await
}

#[tokio::test]
async fn a_ticket_opens_one_web_socket_of_its_thread_as_its_caller() {
    let chat = Chat::start();
    let mine = ticket(&chat, "t_alpha", "th", None).await;
    let mut socket = Socket::connect(&chat.base, &ws_path(&mine), &[]).await.unwrap();
    assert_eq!(socket.next().await.unwrap()["type"], "open");
    socket.say(json!({"text": "hi"})).await;
    let event = socket.next().await.unwrap();
    assert_eq!(event["routing"]["tenant_id"], "t_alpha");
    assert_eq!(event["routing"]["actor_id"], "ada");
    let again = Socket::connect(&chat.base, &ws_path(&mine), &[]).await.err();
    assert_eq!(again, Some((401, "auth.invalid".to_owned())));
    let id = event["id"].as_str().unwrap();
    let as_stream = get_sse(&chat, &sse(&mine), &[("last-event-id", id)]).await;
    assert_eq!(
        refused(as_stream).await.0,
        401,
        "a used ticket of a WebSocket does not re-open a stream"
    );
}

#[tokio::test]
async fn a_ticket_only_opens_a_stream_of_its_own_thread_and_allows_no_other_claim() {
    let chat = Chat::start();
    let bearer = format!("Bearer {}", token("t_alpha", "prod", "ada"));
    // A thread of another tenant, and a thread that does not exist.
    for (path, status, code) in [
        ("/sse/chat/only-beta", 403, "thread.forbidden"),
        ("/sse/chat/nowhere", 403, "thread.forbidden"),
    ] {
        let mine = ticket(&chat, "t_alpha", "th", None).await;
        let response = get_sse(&chat, &format!("{path}?ticket={mine}"), &[]).await;
        assert_eq!(refused(response).await, (status, code.to_owned()));
    }
    let put = chat.request("PUT", "/threads/second", "t_alpha").send().await.unwrap();
    assert_eq!(put.status(), 201);
    let mine = ticket(&chat, "t_alpha", "th", None).await;
    let own_but_other = get_sse(&chat, &format!("/sse/chat/second?ticket={mine}"), &[]).await;
    assert_eq!(
        refused(own_but_other).await.1,
        "thread.forbidden",
        "the ticket is for another thread"
    );

    for (headers, query, status, code) in [
        (vec![("x-tenant-id", "t_beta")], "", 400, "context.invalid"),
        (vec![("x-env", "dev")], "", 400, "context.invalid"),
        (vec![], "&tenant=t_beta", 400, "context.invalid"),
        (vec![("authorization", bearer.as_str())], "", 400, "context.invalid"),
        (vec![], "&ticket=another", 400, "context.invalid"),
    ] {
        let mine = ticket(&chat, "t_alpha", "th", None).await;
        let response = get_sse(&chat, &format!("{}{query}", sse(&mine)), &headers).await;
        assert_eq!(refused(response).await, (status, code.to_owned()), "{headers:?} {query}");
    }
    for unknown in ["", "x", &"0".repeat(64)] {
        let (status, code) = refused(get_sse(&chat, &sse(unknown), &[]).await).await;
        assert_eq!((status, code.as_str()), INVALID, "{unknown}");
    }
    // A ticket opens a stream and does nothing else, even if the request has the headers of an upgrade.
    for (method, path) in
        [("POST", "/chat/th/messages"), ("PUT", "/threads/new"), ("POST", "/tickets")]
    {
        for upgrade in [false, true] {
            let mine = ticket(&chat, "t_alpha", "th", None).await;
            let mut request = chat.bare(method, &format!("{path}?ticket={mine}"));
            if upgrade {
                request = request.header("upgrade", "websocket").header("connection", "upgrade");
            }
            let answer = request.body(r#"{"text":"x","thread_id":"th"}"#).send().await.unwrap();
            assert_eq!(refused(answer).await.0, 401, "{method} {path} {upgrade}");
        }
    }
    let foreign = chat.post("/tickets", "t_alpha", r#"{"thread_id":"only-beta"}"#);
    assert_eq!(refused(foreign.send().await.unwrap()).await.1, "thread.forbidden");
    let bad = chat.post("/tickets", "t_alpha", r#"{"thread":"th"}"#);
    assert_eq!(refused(bad.send().await.unwrap()).await, (400, "request.invalid".to_owned()));
    // A page of another site can send this without a preflight.
    for form in
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
    {
        let form = chat.request("POST", "/tickets", "t_alpha").header("content-type", form);
        let form = form.body(r#"{"thread_id":"th"}"#).send().await.unwrap();
        assert_eq!(refused(form).await, (415, "request.unsupported_media_type".to_owned()));
    }
}

#[tokio::test]
async fn a_page_of_another_origin_cannot_use_a_ticket() {
    let chat = Chat::start();
    let page = "https://app.test";
    for (headers, passes) in [
        (vec![("origin", page)], true),
        (vec![("origin", "https://APP.test:443")], true),
        (vec![], true),
        (vec![("sec-fetch-site", "same-origin")], true),
        (vec![("origin", "https://evil.test")], false),
        (vec![("origin", "null")], false),
        (vec![("sec-fetch-site", "cross-site")], false),
    ] {
        let mine = ticket(&chat, "t_alpha", "th", Some(page)).await;
        let response = get_sse(&chat, &sse(&mine), &headers).await;
        assert_eq!(response.status() == 200, passes, "{headers:?}");
    }
    for (headers, passes) in [
        (vec![("origin", page)], true),
        (vec![], false),
        (vec![("origin", "https://evil.test")], false),
    ] {
        let mine = ticket(&chat, "t_alpha", "th", Some(page)).await;
        let socket = Socket::connect(&chat.base, &ws_path(&mine), &headers).await;
        assert_eq!(socket.is_ok(), passes, "{headers:?}");
    }
    // The server cannot distinguish pages with an opaque origin, so a ticket would be valid for all of them.
    for opaque in ["null", "file://", "https://app.test/page"] {
        let request = chat.request("POST", "/tickets", "t_alpha").header("origin", opaque);
        let response = request.json(&json!({ "thread_id": "th" })).send().await.unwrap();
        assert_eq!(refused(response).await, (400, "context.invalid".to_owned()), "{opaque}");
    }
}

#[tokio::test]
async fn a_ticket_may_come_with_a_password_of_a_gateway_but_not_with_a_token() {
    let chat = Chat::start();
    let bearer = format!("Bearer {}", crate::support::token("t_alpha", "prod", "ada"));
    for (authorization, status) in [
        (vec!["Basic YTpi"], 200),
        (vec!["Digest username=\"a\", uri=\"/\""], 200),
        (vec!["ApiKey k"], 400),
        (vec![&bearer], 400),
        (vec!["Basic YTpi", &bearer], 400),
        (vec!["Basic YTpi", "Basic YTpi"], 400),
    ] {
        let mine = ticket(&chat, "t_alpha", "th", None).await;
        let headers: Vec<_> = authorization.iter().map(|value| ("authorization", *value)).collect();
        let response = get_sse(&chat, &sse(&mine), &headers).await;
        assert_eq!(response.status(), status, "{authorization:?}");
    }
}

#[tokio::test]
async fn of_many_clients_that_use_a_ticket_at_once_one_succeeds() {
    let chat = Arc::new(Chat::start());
    for web_socket in [true, false] {
        let mine = ticket(&chat, "t_alpha", "th", None).await;
        let tries = (0..32).map(|_| {
            let (chat, mine) = (chat.clone(), mine.clone());
            tokio::spawn(async move {
                if web_socket {
                    Socket::connect(&chat.base, &ws_path(&mine), &[]).await.map(drop).is_ok()
                } else {
                    get_sse(&chat, &sse(&mine), &[]).await.status() == 200
                }
            })
        });
        let mut winners = 0;
        for attempt in tries.collect::<Vec<_>>() {
            winners += usize::from(attempt.await.unwrap());
        }
        assert_eq!(winners, 1, "WebSocket: {web_socket}");
    }
}

#[tokio::test]
async fn an_event_source_re_opens_its_stream_only_with_a_cursor() {
    let chat = Chat::start();
    let mine = ticket(&chat, "t_alpha", "th", None).await;
    let mut first = Events::of(get_sse(&chat, &sse(&mine), &[]).await);
    let primed = first.next().await.unwrap().id.unwrap();
    let event = chat.say("t_alpha", "th", "one").await["id"].as_str().unwrap().to_owned();
    let of_beta = chat.say("t_beta", "th", "of beta").await["id"].as_str().unwrap().to_owned();
    assert_eq!(first.event().await.unwrap().json()["data"]["text"], "one");

    let by_query = format!("{}&last_event_id={event}", sse(&mine));
    let by_polyfill = format!("{}&lastEventId={event}", sse(&mine));
    for (path, headers) in [
        (sse(&mine), vec![]),
        (sse(&mine), vec![("last-event-id", "")]),
        (sse(&mine), vec![("last-event-id", "earliest")]),
        (sse(&mine), vec![("last-event-id", of_beta.as_str())]),
        (sse(&mine), vec![("last-event-id", "0123456789abcdef-1")]),
        (sse(&mine), vec![("last-event-id", &event), ("last-event-id", &primed)]),
        (by_query, vec![]),
        (by_polyfill, vec![]),
    ] {
        let (status, code) = refused(get_sse(&chat, &path, &headers).await).await;
        assert_eq!((status, code.as_str()), INVALID, "{path} {headers:?}");
    }
    // The refused requests did not disturb the open stream.
    chat.say("t_alpha", "th", "two").await;
    assert_eq!(first.event().await.unwrap().json()["data"]["text"], "two");

    // The browser reconnects. The id of the opening notice is enough, and so is the id of any event. A gateway
    // may send the header twice.
    let doubled = [("last-event-id", primed.as_str()), ("last-event-id", &primed)];
    let mut second = Events::of(get_sse(&chat, &sse(&mine), &doubled).await);
    for text in ["one", "two"] {
        assert_eq!(second.event().await.unwrap().json()["data"]["text"], text);
    }
    let displaced = first.event().await.unwrap();
    assert_eq!(displaced.event.as_deref(), Some("access.revoked"), "one connection at a time");
    assert_eq!(first.next().await, None);
    let mut third = Events::of(get_sse(&chat, &sse(&mine), &[("last-event-id", &event)]).await);
    assert_eq!(third.event().await.unwrap().json()["data"]["text"], "two");
    assert_eq!(second.event().await.unwrap().event.as_deref(), Some("access.revoked"));
    let socket = Socket::connect(&chat.base, &ws_path(&mine), &[("last-event-id", &event)]).await;
    assert_eq!(socket.err(), Some((401, "auth.invalid".to_owned())), "not as a WebSocket");
}

#[tokio::test]
async fn a_ticket_expires_with_the_token_that_it_was_issued_for() {
    let chat = Chat::start_with(&["--leeway", "0"]);
    let ((answer, stream), over_at) = with_short_token(async |token| {
        let request = chat.bare("POST", "/tickets").header("x-tenant-id", "t_alpha");
        let request = request.header("x-env", "prod").bearer_auth(token);
        let response = request.json(&json!({ "thread_id": "th" })).send().await.unwrap();
        let answer: Value = response.error_for_status().ok()?.json().await.unwrap();
        let stream = get_sse(&chat, &sse(answer["ticket"].as_str().unwrap()), &[]).await;
        Some((answer, stream.error_for_status().ok()?))
    })
    .await;
    assert!(
        answer["expires_at"].as_u64().unwrap() <= over_at,
        "the ticket does not expire after the token"
    );
    let mine = answer["ticket"].as_str().unwrap();
    let mut events = Events::of(stream);
    let primed = events.next().await.unwrap().id.unwrap();
    assert_eq!(events.event().await.unwrap().event.as_deref(), Some("auth.expired"));
    let (status, code) =
        refused(get_sse(&chat, &sse(mine), &[("last-event-id", &primed)]).await).await;
    assert_eq!((status, code.as_str()), INVALID);
}

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

type Plain = http::Response<http_body_util::Full<bytes::Bytes>>;

/// A ticket for the thread `th` and the proof `auth`.
async fn ticket_of(issuer: &TicketIssuer, auth: &AuthContext) -> String {
    let (tickets, auth) = (issuer.clone(), auth.clone());
    let threads = MemoryRegistry::new();
    threads.register(&"t_alpha/prod/th".parse::<Routing>().unwrap());
    let issue = tower::service_fn(move |request: http::Request<()>| {
        let (tickets, threads) = (tickets.clone(), threads.clone());
        async move {
            let scope = TenantScope::from_extensions(request.extensions()).unwrap();
            let grant = verify_thread_access(&threads, scope, "th").await.unwrap();
            let ticket = tickets.issue(&grant, &MemoryLog::new(), LastEventId::Live).await.unwrap();
            let body = ticket.secret().to_owned().into();
            Ok::<_, Infallible>(Plain::new(body))
        }
    });
    let authenticator = move |_: &AuthRequest<'_>| Verdict::Ready(Ok(auth.clone()));
    let issue = RequireTenantScope::new(authenticator).layer(issue);
    let answer = issue.oneshot(crate::layers::request()).await.unwrap();
    let secret = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
    String::from_utf8(secret.to_vec()).unwrap()
}

fn ada() -> AuthContext {
    let soon = SystemTime::now() + Duration::from_secs(600);
    AuthContext::new("ada".parse().unwrap(), soon).with_tenants(["t_alpha"]).with_envs(["prod"])
}

fn with_ticket(secret: &str) -> http::Request<()> {
    http::Request::builder().uri(format!("/th?ticket={secret}")).body(()).unwrap()
}

fn without_ticket() -> http::Request<()> {
    http::Request::builder().uri("/th").body(()).unwrap()
}

#[tokio::test]
async fn require_claims_checks_a_ticket_like_its_token() {
    let issuer = TicketIssuer::in_memory();
    let good = || {
        ada()
            .with_roles(["ops"])
            .with_scopes(["chat:read", "chat:write"])
            .with_audiences(["chat"])
            .with_access_token(true)
            .with_issued_at(SystemTime::now())
            .with_leeway(Duration::from_secs(60))
    };
    let none: [&str; 0] = [];
    for (auth, status) in [
        (good(), 200),
        (good().with_roles(["dev"]), 403),
        (good().with_scopes(["chat:read"]), 403),
        (good().with_audiences(none), 401),
        (good().with_access_token(false), 401),
        (good().with_issued_at(SystemTime::now() - Duration::from_secs(60)), 401),
    ] {
        let handler = tower::service_fn(async |_: http::Request<()>| {
            Ok::<_, Infallible>(Plain::new("stream".into()))
        });
        let claims = RequireClaims::new()
            .role("ops")
            .scope("chat:write")
            .audience("chat")
            .at_jwt()
            .max_lifetime(Duration::from_secs(610));
        let service = RequireTenantScope::new(verifier()).or_ticket().layer(claims.layer(handler));
        let service = RedeemTicket::new(issuer.clone()).layer(service);
        let mine = ticket_of(&issuer, &auth).await;
        let answer = service.oneshot(with_ticket(&mine)).await.unwrap();
        assert_eq!(answer.status(), status, "{auth:?}");
    }
}

/// A store that answers a `get` when the test gives it a permit.
struct Gated(MemoryTickets, Semaphore);

impl TicketStore for Gated {
    fn insert(
        &self,
        key: TicketKey,
        record: TicketRecord,
        now: SystemTime,
    ) -> TicketFuture<'_, bool> {
        self.0.insert(key, record, now)
    }

    fn get(&self, key: TicketKey) -> TicketFuture<'_, Option<StoredTicket>> {
        Box::pin(async move {
            self.1.acquire().await?.forget();
            self.0.get(key).await
        })
    }

    fn swap(
        &self,
        key: TicketKey,
        revision: u64,
        next: TicketState,
    ) -> TicketFuture<'_, Option<Revocation>> {
        self.0.swap(key, revision, next)
    }
}

#[tokio::test]
async fn a_request_that_waits_for_the_store_holds_no_permit_and_then_waits_its_turn() {
    let store = Arc::new(Gated(MemoryTickets::new(), Semaphore::new(0)));
    let issuer = TicketIssuer::new(Arc::clone(&store));
    // The request with a ticket is the one that has a `Last-Event-ID` at the handler.
    let (started, handler_may) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Semaphore::new(0)));
    let handler = {
        let (started, may) = (Arc::clone(&started), Arc::clone(&handler_may));
        tower::service_fn(move |request: http::Request<()>| {
            let may = Arc::clone(&may);
            started.lock().unwrap().push(request.headers().contains_key("last-event-id"));
            async move {
                may.acquire().await.unwrap().forget();
                Ok::<_, Infallible>(Plain::new("stream".into()))
            }
        })
    };
    let service = RedeemTicket::new(issuer.clone())
        .layer(tower::limit::ConcurrencyLimitLayer::new(1).layer(handler));
    let ask = |request: http::Request<()>| {
        let mut service = service.clone();
        Box::pin(async move { service.ready().await.unwrap().call(request).await.unwrap() })
    };
    let mine = ticket_of(&issuer, &ada()).await;
    let mut by_ticket = ask(with_ticket(&mine));
    assert!(poll!(&mut by_ticket).is_pending(), "the store does not answer");
    // The only permit is free meanwhile.
    let mut first = ask(without_ticket());
    assert!(poll!(&mut first).is_pending());
    assert_eq!(*started.lock().unwrap(), [false]);
    // The store answers. Now the request waits for its turn, before later requests.
    store.1.add_permits(1);
    assert!(poll!(&mut by_ticket).is_pending());
    let mut last = ask(without_ticket());
    assert!(poll!(&mut last).is_pending());
    assert_eq!(*started.lock().unwrap(), [false], "there is only one permit");
    handler_may.add_permits(3);
    assert!(poll!(&mut first).is_ready());
    drop(first);
    assert!(poll!(&mut last).is_pending(), "it is not its turn");
    let Poll::Ready(answer) = poll!(&mut by_ticket) else { panic!("it is the turn of the ticket") };
    assert_eq!(answer.status(), 200);
    drop(by_ticket);
    assert!(poll!(&mut last).is_ready());
    assert_eq!(*started.lock().unwrap(), [false, true, false]);
}

#[tokio::test]
async fn a_browser_gets_a_notice_with_its_request_id_if_the_store_does_not_answer() {
    let store = Arc::new(Gated(MemoryTickets::new(), Semaphore::new(1)));
    let issuer = TicketIssuer::new(Arc::clone(&store));
    let mine = ticket_of(&issuer, &ada()).await;
    store.1.close();
    let handler = tower::service_fn(|_: http::Request<()>| {
        std::future::ready(Ok::<_, Infallible>(Plain::new("stream".into())))
    });
    let tenancy = RequireTenantScope::new(verifier()).or_ticket().opens_streams();
    let service = RedeemTicket::new(issuer).layer(tenancy.layer(handler));
    let mut request = with_ticket(&mine);
    request.headers_mut().insert("accept", "text/event-stream".parse().unwrap());
    let answer = service.oneshot(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    let body = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
    let text = std::str::from_utf8(&body).unwrap();
    let data = text.lines().find_map(|line| line.strip_prefix("data: ")).expect(text);
    let data: Value = serde_json::from_str(data).unwrap();
    assert_eq!(data["meta"]["trace_id"], id, "{text}");
}

/// A service that is ready as many times as the test says, and then fails.
#[derive(Clone)]
struct Readies(Arc<AtomicUsize>);

impl Service<http::Request<()>> for Readies {
    type Response = Plain;
    type Error = &'static str;
    type Future = std::future::Ready<Result<Plain, &'static str>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        let left = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
        Poll::Ready(left.map(drop).map_err(|_| "out of order"))
    }

    fn call(&mut self, request: http::Request<()>) -> Self::Future {
        let by_ticket = TenantScope::from_extensions(request.extensions()).is_ok();
        std::future::ready(Ok(Plain::new(if by_ticket { "ticket" } else { "none" }.into())))
    }
}

#[tokio::test]
async fn an_error_of_the_service_passes_and_gives_the_ticket_back() {
    let issuer = TicketIssuer::in_memory();
    let mine = ticket_of(&issuer, &ada()).await;
    let readies = Arc::new(AtomicUsize::new(1));
    let tenancy = RequireTenantScope::new(verifier()).or_ticket();
    let mut service =
        RedeemTicket::new(issuer.clone()).layer(tenancy.clone().layer(Readies(readies.clone())));
    let refused = service.ready().await.unwrap().call(with_ticket(&mine)).await;
    assert_eq!(refused.unwrap_err(), "out of order", "the second `poll_ready` fails");
    // An error instead of a response.
    let broken = tower::service_fn(async |_: http::Request<()>| Err::<Plain, _>("broken"));
    let broken = RedeemTicket::new(issuer).layer(tenancy.layer(broken));
    assert_eq!(broken.oneshot(with_ticket(&mine)).await.unwrap_err(), "broken");
    readies.store(10, Ordering::Relaxed);
    let opened = service.ready().await.unwrap().call(with_ticket(&mine)).await.unwrap();
    assert_eq!(opened.status(), 200);
    let again = service.ready().await.unwrap().call(with_ticket(&mine)).await.unwrap();
    assert_eq!(again.status(), 401);
}

#[tokio::test]
async fn a_client_that_disconnects_early_has_used_its_ticket_if_the_store_answered() {
    let store = Arc::new(Gated(MemoryTickets::new(), Semaphore::new(0)));
    let issuer = TicketIssuer::new(Arc::clone(&store));
    let tenancy = RequireTenantScope::new(verifier()).or_ticket();
    let never = tower::service_fn(async |_: http::Request<()>| {
        std::future::pending::<Result<Plain, Infallible>>().await
    });
    let silent = RedeemTicket::new(issuer.clone()).layer(tenancy.clone().layer(never));
    let answers = tower::service_fn(async |_: http::Request<()>| {
        Ok::<_, Infallible>(Plain::new("stream".into()))
    });
    let answers = RedeemTicket::new(issuer.clone()).layer(tenancy.layer(answers));
    for (asked, status) in [(0, 200), (1, 401)] {
        let mine = ticket_of(&issuer, &ada()).await;
        store.1.add_permits(asked);
        let mut gone = Box::pin(silent.clone().oneshot(with_ticket(&mine)));
        assert!(poll!(&mut gone).is_pending());
        drop(gone);
        store.1.add_permits(1);
        let answer = answers.clone().oneshot(with_ticket(&mine)).await.unwrap();
        assert_eq!(answer.status(), status, "the store answered {asked} times");
    }
}
