//! Streams an agent's words directly to the client: a guarded stream without a log.
//!
//! ```sh
//! cargo run --example agent [ADDR]
//! curl -N http://127.0.0.1:3001/agents/welcome -H 'X-Tenant-Id: t_alpha' \
//!   -H "Authorization: Bearer $(cargo run -q --example chat -- token --tenant t_alpha --env prod --sub ada)"
//! ```
//!
//! Such a stream has no cursors. A page that uses `EventSource` must close it on `stream.complete`.
//! Otherwise the browser reconnects, and the agent starts again.

#![allow(clippy::print_stdout, reason = "a command-line program")]

use axum::{
    Router,
    extract::{FromRef, Path, State},
    response::IntoResponse,
    routing::get,
    serve::ListenerExt as _,
};
use futures_util::{Stream, StreamExt as _, stream};
use std::{sync::Arc, time::Duration};
use tower_tenancy::{
    ActorType, BoxError, Envs, MemoryRegistry, RequireTenantScope, Routing, StreamEvent, Subject,
    ThreadAccess,
    auth::{Algorithm, JwtKey, JwtVerifier},
};

/// An agent's answer, word by word. The agent knows nothing about tenants.
fn think() -> impl Stream<Item = String> {
    stream::iter("Each of these words was checked again before it was written.".split(' ')).then(
        |word| async move {
            tokio::time::sleep(Duration::from_millis(120)).await;
            format!("{word} ")
        },
    )
}

async fn answer(
    thread: ThreadAccess<Path<String>, MemoryRegistry>,
    State(agent): State<Agent>,
) -> impl IntoResponse {
    let grant = thread.into_grant();
    let routing = Routing::clone(grant.routing()).with_actor(agent.id, agent.kind);
    let routing = Arc::new(routing);
    let tokens = think().map(move |text| StreamEvent::new(routing.clone(), "agent.token", &text));
    grant.guard(tokens).into_sse()
}

/// The actor of the events. The application sets it, not the caller.
#[derive(Clone)]
struct Agent {
    id: Subject,
    kind: ActorType,
}

#[derive(Clone, FromRef)]
struct App {
    threads: MemoryRegistry,
    agent: Agent,
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    tracing_subscriber::fmt().init();
    let secret = "development-secret-that-everybody-knows";
    let verifier = JwtVerifier::builder().key(JwtKey::hmac(Algorithm::HS256, secret)?).build()?;
    let threads = MemoryRegistry::new();
    threads.register(&"t_alpha/prod/welcome".parse::<Routing>()?);
    let agent = Agent { id: Subject::new("assistant")?, kind: ActorType::new("agent")? };
    let app = Router::new()
        .route("/agents/{thread}", get(answer))
        .route_layer(RequireTenantScope::new(verifier).envs(Envs::only("prod")?))
        .with_state(App { threads, agent });
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3001".to_owned());
    let listener = tokio::net::TcpListener::bind(addr).await?;
    let addr = listener.local_addr()?;
    println!("listening on http://{addr}");
    println!("curl -N http://{addr}/agents/welcome -H 'X-Tenant-Id: t_alpha' \\");
    println!(
        "  -H \"Authorization: Bearer $(cargo run -q --example chat -- token --tenant t_alpha --env prod --sub ada)\""
    );
    axum::serve(listener.tap_io(|tcp| drop(tcp.set_nodelay(true))), app).await?;
    Ok(())
}
