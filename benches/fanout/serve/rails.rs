//! This crate under axum, as the README shows it, with its checks and its log.

use crate::token::SECRET;
use axum::{
    Router,
    extract::{FromRef, Path, State},
    http::StatusCode,
    response::IntoResponse,
    routing::get,
};
use tower_tenancy::{
    BoxError, LastEventId, MemoryLog, MemoryRegistry, Rejection, RequireTenantScope, Routing,
    ThreadAccess,
    auth::{Algorithm, JwtKey, JwtVerifier, TokenCache},
};

type Thread = ThreadAccess<Path<String>, MemoryRegistry>;

#[derive(Clone, FromRef)]
struct App {
    threads: MemoryRegistry,
    log: MemoryLog,
}

async fn events(
    thread: Thread,
    from: LastEventId,
    State(log): State<MemoryLog>,
) -> Result<impl IntoResponse, Rejection> {
    let grant = thread.into_grant();
    let events = grant.subscribe(&log, from).await?;
    Ok(grant.guard(events).into_sse())
}

async fn publish(
    thread: Thread,
    State(log): State<MemoryLog>,
    text: String,
) -> Result<StatusCode, Rejection> {
    thread.into_grant().publisher(&log).publish("message", &text).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) fn tenancy() -> Result<RequireTenantScope, BoxError> {
    let key = JwtKey::hmac(Algorithm::HS256, SECRET)?;
    let cache = TokenCache::new(1024);
    Ok(RequireTenantScope::new(JwtVerifier::builder().key(key).cache(cache).build()?))
}

pub(crate) fn router() -> Result<Router, BoxError> {
    let app = App { threads: MemoryRegistry::new(), log: MemoryLog::new() };
    let thread: Routing = "t_alpha/prod/th".parse()?;
    app.threads.register(&thread);
    Ok(Router::new()
        .route("/threads/{thread}/events", get(events).post(publish))
        .route_layer(tenancy()?)
        .with_state(app))
}
