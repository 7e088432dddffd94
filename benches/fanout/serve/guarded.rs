//! A server with this crate under axum, as in the README, with all checks and the log.

use super::crowd::{self, Grants};
use crate::token::{self, SECRET};
use axum::{
    Router,
    body::Bytes,
    extract::{FromRef, Path, State},
    http::{Request, Response, StatusCode},
    response::IntoResponse,
    routing::get,
};
use futures_util::FutureExt as _;
use http_body_util::Full;
use std::{convert::Infallible, future::ready};
use tower::{Layer as _, Service as _, service_fn};
use tower_tenancy::{
    BoxError, LastEventId, MemoryLog, MemoryRegistry, Rejection, RequireTenantScope, Routing,
    TenantScope, ThreadAccess,
    auth::{Algorithm, JwtKey, JwtVerifier, TokenCache},
    verify_thread_access,
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

fn tenancy() -> Result<RequireTenantScope, BoxError> {
    let key = JwtKey::hmac(Algorithm::HS256, SECRET)?;
    let cache = TokenCache::new(1024);
    Ok(RequireTenantScope::new(JwtVerifier::builder().key(key).cache(cache).build()?))
}

/// Sends one request through the layers, and makes grants in its scope.
pub(crate) fn grants() -> Result<Grants, BoxError> {
    let request = Request::builder()
        .header("x-tenant-id", "t_alpha")
        .header("x-env", "prod")
        .header("authorization", format!("Bearer {}", token::mint()))
        .body(())?;
    let inner = service_fn(|request: Request<()>| {
        let scope = TenantScope::from_extensions(request.extensions()).ok().cloned();
        let mut response = Response::new(Full::<Bytes>::default());
        if let Some(scope) = scope {
            response.extensions_mut().insert(scope);
        }
        ready(Ok::<_, Infallible>(response))
    });
    let response = tenancy()?.layer(inner).call(request).now_or_never();
    let response = response.ok_or("a fixed key must not wait")??;
    let scope = response.extensions().get::<TenantScope>().cloned().ok_or("refused")?;
    let registry = MemoryRegistry::new();
    Ok(Box::new(move |thread| {
        let thread: Routing = format!("t_alpha/prod/{thread}").parse()?;
        registry.register(&thread);
        let grant = verify_thread_access(&registry, &scope, thread.thread()).now_or_never();
        Ok(grant.ok_or("the registry in memory must not wait")??)
    }))
}

/// Serves the measured thread, next to `others`.
pub(crate) async fn router(others: usize) -> Result<Router, BoxError> {
    let log = if others == 0 {
        MemoryLog::new()
    } else {
        // These limits are large enough for many threads.
        MemoryLog::builder().max_threads(1 << 20).max_total_bytes(1 << 32).build()
    };
    let app = App { threads: MemoryRegistry::new(), log };
    let thread: Routing = "t_alpha/prod/th".parse()?;
    app.threads.register(&thread);
    crowd::gather(&app.log, &grants()?, others).await?;
    Ok(Router::new()
        .route("/threads/{thread}/events", get(events).post(publish))
        .route_layer(tenancy()?)
        .with_state(app))
}
