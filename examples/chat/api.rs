//! The routes.

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, FromRef, Path, State, WebSocketUpgrade},
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::{any, delete, get, post, put},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tower_tenancy::{
    ClientMessage, CloseRefusedUpgrades, JsonText, LastEventId, MemoryLog, MemoryRegistry,
    OnForeignMembers, Registered, Rejection, RejectionKind, RequireClaims, RequireTenantScope,
    TenantScope, ThreadAccess, ThreadId, ThreadRecord, TicketIssuer, auth::KeySet,
    log::erase_thread, verify_thread_access,
};

/// The thread in the path, checked against the registry.
type Thread = ThreadAccess<Path<String>, MemoryRegistry>;

#[derive(Clone, FromRef)]
pub(crate) struct App {
    pub(crate) threads: MemoryRegistry,
    pub(crate) log: MemoryLog,
    pub(crate) tickets: TicketIssuer,
    pub(crate) keys: Keys,
    pub(crate) demo: Demo,
}

/// The rotating keys of each issuer.
#[derive(Clone)]
pub(crate) struct Keys(pub(crate) Arc<Vec<(String, KeySet)>>);

/// Makes the identities that the page gets. Outside the demo, there are none.
#[derive(Clone)]
pub(crate) struct Demo(pub(crate) Arc<dyn Fn() -> Vec<Identity> + Send + Sync>);

#[derive(Serialize)]
pub(crate) struct Identity {
    pub(crate) tenant: &'static str,
    pub(crate) env: String,
    pub(crate) subject: &'static str,
    pub(crate) thread: &'static str,
    pub(crate) token: String,
}

pub(crate) fn router(
    tenancy: &RequireTenantScope,
    app: App,
    close_refused_upgrades: bool,
) -> Router {
    let by_token = Router::new()
        .route("/threads/{thread_id}", delete(remove))
        // It applies only to the routes that are added before it.
        .route_layer(RequireClaims::new().role("admin"))
        .route("/threads/{thread_id}", put(create))
        .route("/chat/{thread_id}/messages", post(say))
        .route("/tickets", post(ticket))
        .route_layer(tenancy.clone())
        .layer(DefaultBodyLimit::max(64 * 1024));
    let streams = Router::new()
        .route("/sse/chat/{thread_id}", get(listen))
        .route("/ws/chat/{thread_id}", any(talk))
        .route_layer(tenancy.clone().or_ticket().opens_streams());
    let streams =
        if close_refused_upgrades { streams.layer(CloseRefusedUpgrades) } else { streams };
    let open = Router::new()
        .route("/healthz", get(async || "ok"))
        .route("/readyz", get(ready))
        .route("/", get(page))
        .route("/demo/session", get(session));
    by_token.merge(streams).merge(open).with_state(app)
}

/// Registers a thread in the caller's own tenant and env. Other tenants may have a thread with the same id.
async fn create(
    scope: TenantScope,
    Path(thread): Path<String>,
    State(threads): State<MemoryRegistry>,
) -> Result<Response, Rejection> {
    let thread = ThreadId::new(thread).map_err(|why| {
        Rejection::new(RejectionKind::RequestInvalid).with_detail(format!("The thread id {why}."))
    })?;
    let body = serde_json::json!({
        "tenant_id": scope.tenant(), "env": scope.env(), "thread_id": thread,
    });
    let record = ThreadRecord::new(scope.tenant().clone(), scope.env().clone(), thread);
    let is_new = threads.register(record) == Registered::New;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(body)).into_response())
}

/// Removes a thread of the caller's own tenant and env, and all its events.
async fn remove(thread: Thread, State(app): State<App>) -> Result<StatusCode, Rejection> {
    let routing = thread.routing();
    // Remove it from the registry first, so that nobody can open the thread again.
    if !app.threads.remove(routing) {
        // Another request has removed it meanwhile, and erases its log.
        return Err(RejectionKind::ThreadForbidden.into());
    }
    erase_thread(&app.log, routing).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The data of a message. The grant, and not the message, says to which tenant and thread it belongs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    #[serde(rename = "text")]
    _text: String,
}

/// Checks the data of a message, over HTTP and over WebSocket.
fn checked(message: ClientMessage) -> Result<ClientMessage, Rejection> {
    let data = serde_json::from_str::<Message>(message.data());
    data.map(|_| message).map_err(|error| {
        Rejection::new(RejectionKind::MessageInvalid)
            .with_detail(format!("Send {{\"text\": \"...\", \"type\": \"message\"?}}: {error}."))
    })
}

/// Publishes a message as the caller. The routing does not come from the body.
async fn say(
    thread: Thread,
    State(log): State<MemoryLog>,
    JsonText(body): JsonText,
) -> Result<Response, Rejection> {
    let message = checked(thread.receive(&body, OnForeignMembers::Refuse)?)?;
    let stamped = thread.publish(&log, message).await?;
    let json = [(header::CONTENT_TYPE, "application/json")];
    Ok((StatusCode::CREATED, json, stamped.to_json()).into_response())
}

/// Streams the thread's events after the client's cursor.
async fn listen(
    thread: Thread,
    from: LastEventId,
    State(log): State<MemoryLog>,
) -> Result<impl IntoResponse, Rejection> {
    let grant = thread.into_grant();
    let events = grant.subscribe(&log, from).await?;
    Ok(grant.guard(events).into_sse())
}

/// Streams the same events over a WebSocket, and publishes the client's messages.
async fn talk(
    thread: Thread,
    from: LastEventId,
    State(log): State<MemoryLog>,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Rejection> {
    let grant = thread.into_grant();
    let publisher = grant.publisher(&log);
    let events = grant.subscribe(&log, from).await?;
    let session = grant.guard(events).into_ws();
    Ok(session.on_upgrade(upgrade, move |message| {
        let publisher = publisher.clone();
        async move { Ok::<_, Rejection>(publisher.publish_message(checked(message)?).await?) }
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TicketFor {
    thread_id: String,
    /// The cursor at which the ticket's stream starts. It must not be in a URL next to the ticket.
    last_event_id: Option<String>,
}

/// Issues a ticket for a thread of the caller. A browser opens a stream with it.
async fn ticket(
    scope: TenantScope,
    State(app): State<App>,
    JsonText(body): JsonText,
) -> Result<Response, Rejection> {
    let wanted: TicketFor = serde_json::from_str(&body).map_err(|error| {
        Rejection::new(RejectionKind::RequestInvalid).with_detail(format!(
            "Send {{\"thread_id\": \"...\", \"last_event_id\": \"...\"?}}: {error}."
        ))
    })?;
    let grant = verify_thread_access(&app.threads, &scope, &wanted.thread_id).await?;
    let from = LastEventId::parse(wanted.last_event_id.as_deref().unwrap_or_default())?;
    let ticket = app.tickets.issue(&grant, &app.log, from).await?;
    let nobody_stores_it = [(header::CACHE_CONTROL, "no-store")];
    Ok((StatusCode::CREATED, nobody_stores_it, Json(ticket)).into_response())
}

/// Says whether tokens can be verified. The server is ready if it has keys of each issuer, even if they are old.
async fn ready(State(Keys(sets)): State<Keys>) -> impl IntoResponse {
    let health: Vec<_> = sets.iter().map(|(issuer, keys)| (issuer, keys.health())).collect();
    let ready = health.iter().all(|(_, health)| health.keys > 0);
    let issuers = health.iter().map(|(issuer, health)| {
        // Do not show the error: it may name internal hosts. The log has it.
        serde_json::json!({
            "issuer": issuer,
            "keys": health.keys,
            "age_seconds": health.age.map(|age| age.as_secs()),
            "failing": health.error.is_some(),
        })
    });
    let issuers: Vec<_> = issuers.collect();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = Json(serde_json::json!({ "ready": ready, "issuers": issuers }));
    (status, [(header::CACHE_CONTROL, "no-store")], body)
}

async fn page() -> impl IntoResponse {
    let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                  connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
                  frame-ancestors 'none'";
    let headers = [
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy)),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, Html(include_str!("page.html")))
}

async fn session(State(demo): State<Demo>) -> impl IntoResponse {
    let identities = serde_json::json!({ "identities": (demo.0)() });
    ([(header::CACHE_CONTROL, "no-store")], Json(identities))
}
