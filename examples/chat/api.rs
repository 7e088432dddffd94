//! The routes.

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, FromRef, Path, State, rejection::BytesRejection},
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::{get, post, put},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tower_tenancy::{
    LastEventId, MemoryLog, MemoryRegistry, Rejection, RejectionKind, RequireTenantScope,
    TenantScope, ThreadAccess, ThreadId, ThreadRecord,
    log::{LogError, PublishError},
};

/// The thread named in the path, checked against the registry.
type Thread = ThreadAccess<Path<String>, MemoryRegistry>;

#[derive(Clone, FromRef)]
pub(crate) struct App {
    pub(crate) threads: MemoryRegistry,
    pub(crate) log: MemoryLog,
    pub(crate) demo: Demo,
}

/// Makes the identities that the page is handed out; none unless this is a demo.
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

pub(crate) fn router(tenancy: RequireTenantScope, app: App) -> Router {
    let guarded = Router::new()
        .route("/threads/{thread_id}", put(create))
        .route("/chat/{thread_id}/messages", post(say))
        .route("/sse/chat/{thread_id}", get(listen))
        .route_layer(tenancy)
        .layer(DefaultBodyLimit::max(64 * 1024));
    let open = Router::new()
        .route("/healthz", get(async || "ok"))
        .route("/", get(page))
        .route("/demo/session", get(session));
    guarded.merge(open).with_state(app)
}

/// Registers a thread in the caller's own tenant and env, whoever else has one of that name.
async fn create(
    scope: TenantScope,
    Path(thread): Path<String>,
    State(threads): State<MemoryRegistry>,
) -> Result<Response, Rejection> {
    let thread = ThreadId::new(thread).map_err(|why| {
        Rejection::new(RejectionKind::ContextInvalid).with_detail(format!("The thread id {why}."))
    })?;
    let body = serde_json::json!({
        "tenant_id": scope.tenant(), "env": scope.env(), "thread_id": thread,
    });
    let new =
        threads.register(ThreadRecord::new(scope.tenant().clone(), scope.env().clone(), thread));
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(body)).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    text: String,
    r#type: Option<String>,
}

/// Publishes a message as the caller. Nothing of the routing comes from the body.
async fn say(
    thread: Thread,
    State(log): State<MemoryLog>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(error) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            return problem(error.status(), "The body must be at most 64 KiB.");
        }
        Err(error) => return problem(error.status(), &error.body_text()),
    };
    let message: Message = match serde_json::from_slice(&body) {
        Ok(message) => message,
        Err(error) => {
            let detail = format!("Send {{\"text\": \"...\", \"type\": \"message\"?}}: {error}.");
            return problem(StatusCode::BAD_REQUEST, &detail);
        }
    };
    let event_type = message.r#type.as_deref().unwrap_or("message");
    let data = serde_json::json!({ "text": message.text });
    let event = match thread.publisher(&log).publish(event_type, &data).await {
        Ok(event) => event,
        Err(PublishError::Invalid(why)) => {
            return problem(StatusCode::BAD_REQUEST, &format!("Not published: {why}."));
        }
        Err(PublishError::Log(why @ LogError::TooLarge { .. })) => {
            return problem(StatusCode::PAYLOAD_TOO_LARGE, &format!("Not published: {why}."));
        }
        Err(why) => {
            let unavailable = Rejection::new(RejectionKind::LogUnavailable);
            return unavailable.with_source(why).into_response();
        }
    };
    match thread.stamp(event) {
        Ok(stamped) => {
            let json = [(header::CONTENT_TYPE, "application/json")];
            (StatusCode::CREATED, json, stamped.to_json()).into_response()
        }
        Err(_) => Rejection::new(RejectionKind::ThreadForbidden).into_response(),
    }
}

/// The thread's events, after the client's cursor.
async fn listen(
    thread: Thread,
    from: LastEventId,
    State(log): State<MemoryLog>,
) -> Result<impl IntoResponse, Rejection> {
    let grant = thread.into_grant();
    let events = grant.subscribe(&log, from).await?;
    Ok(grant.guard(events).into_sse())
}

/// Bad input that is the application's own matter, told like the rest.
fn problem(status: StatusCode, detail: &str) -> Response {
    let title = status.canonical_reason();
    let body = serde_json::json!({ "title": title, "status": status.as_u16(), "detail": detail });
    let json = [(header::CONTENT_TYPE, "application/problem+json")];
    (status, json, body.to_string()).into_response()
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
