//! Chat threads over gRPC, with the same layers, grant and log as the `chat` example.
//!
//! ```sh
//! cargo run --example grpc_chat
//! ```
//!
//! The service is `tenancy.v1.Chat` in `examples/grpc_chat/tenancy.v1.proto`. Tenant, env and token are
//! in metadata, under the names of the HTTP headers. `grpc.health.v1.Health` is for probes, which send
//! none of them.

#![allow(clippy::print_stdout, reason = "a command-line program")]

#[path = "../common/mod.rs"]
mod common;
mod service;

use clap::Parser;
use common::{DEMO, Options, Setup};
use service::{Threads, pb::chat_server::ChatServer};
use std::{net::SocketAddr, process::ExitCode};
use tonic::transport::{Server, server::TcpIncoming};
use tower::Layer as _;
use tower_tenancy::{BoxError, RequireTenantScope, rejection::GrpcStatus};

/// A chat server for many tenants over gRPC, on an in-memory log.
#[derive(Parser)]
struct Cli {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:50051")]
    addr: SocketAddr,
    #[command(flatten)]
    options: Options,
}

#[tokio::main]
async fn main() -> ExitCode {
    common::outcome(serve(Cli::parse()).await)
}

async fn serve(Cli { addr, options }: Cli) -> Result<(), BoxError> {
    common::log_to_stderr();
    let Setup { verifier, envs, threads, log, .. } = options.set_up()?;
    let tenancy = RequireTenantScope::new(verifier).envs(envs).reject_with(GrpcStatus);
    let incoming = TcpIncoming::bind(addr).map_err(|error| format!("--addr {addr}: {error}"))?;
    let incoming = incoming.with_nodelay(Some(true));
    println!("listening on http://{}", incoming.local_addr()?);
    println!("call tenancy.v1.Chat (examples/grpc_chat/tenancy.v1.proto) with metadata such as:");
    for demo in &DEMO {
        let (tenant, env, token) = (demo.tenant, options.demo_env(), options.demo_token(demo)?);
        println!("\nx-tenant-id: {tenant}\nx-env: {env}\nauthorization: Bearer {token}");
        println!("# thread_id: {}", demo.thread);
    }
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<ChatServer<Threads>>().await;
    // Put the layer around this service and not around the server, because a probe names no tenant.
    let chat = tenancy.layer(service::chat(threads, log));
    let server = Server::builder().add_service(health).add_service(chat);
    Ok(server.serve_with_incoming(incoming).await?)
}
