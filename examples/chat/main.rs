//! A chat server for many tenants over server-sent events and WebSocket, on an in-memory log.
//!
//! ```sh
//! cargo run --example chat
//! cargo run --example chat -- token --tenant t_alpha --env prod --sub ada
//! ```

#![allow(clippy::print_stdout, reason = "a command-line program")]

mod api;
mod args;
#[path = "../common/mod.rs"]
mod common;

use api::{App, Demo, Identity, Keys};
use args::{Cli, Command, Serve};
use axum::{extract::Request, serve::ListenerExt as _};
use clap::Parser as _;
use common::{Bearer, DEMO, Setup, sign};
use std::{process::ExitCode, sync::Arc};
use tower::Layer as _;
use tower_tenancy::{BoxError, RedeemTicket, RequireTenantScope, TicketIssuer, auth::TokenSources};

#[tokio::main]
async fn main() -> ExitCode {
    common::outcome(run(Cli::parse()).await)
}

async fn run(cli: Cli) -> Result<(), BoxError> {
    common::log_to_stderr();
    match cli.command {
        Some(Command::Token(args)) => {
            let bearer =
                Bearer { tenant: &args.tenant, env: &args.env, sub: &args.sub, roles: &args.roles };
            println!("{}", sign(&bearer, args.ttl, &args.trust)?);
            Ok(())
        }
        None => serve(cli.serve).await,
    }
}

async fn serve(args: Serve) -> Result<(), BoxError> {
    let Serve { addr, options, close_refused_upgrades } = args;
    let Setup { verifier, keys, envs, threads, log } = options.set_up()?;
    let tenancy = RequireTenantScope::new(verifier)
        .envs(envs)
        // For browsers, whose WebSocket cannot set headers.
        .or_query()
        .token_sources(TokenSources::header().or_subprotocol());
    let tickets = TicketIssuer::in_memory();

    let mut curls = String::new();
    for demo in &DEMO {
        curls += &curl(demo, options.demo_env(), &options.demo_token(demo)?);
    }
    // The page gets tokens only with the development secret, and only on a loopback address.
    let identities = options.development() && addr.ip().is_loopback();
    let demo = Demo(Arc::new(move || {
        let identity = |demo: &common::Demo| {
            let token = options.demo_token(demo).ok()?;
            let &common::Demo { tenant, subject, thread } = demo;
            Some(Identity { tenant, env: options.demo_env().to_owned(), subject, thread, token })
        };
        if identities { DEMO.iter().filter_map(identity).collect() } else { Vec::new() }
    }));
    let app = App { threads, log, tickets: tickets.clone(), keys: Keys(Arc::new(keys)), demo };
    let router = api::router(&tenancy, app, close_refused_upgrades);
    // The outermost layer, so that nothing inside sees a ticket.
    let service = RedeemTicket::new(tickets).layer(router);

    let listener = tokio::net::TcpListener::bind(addr).await;
    let listener = listener.map_err(|error| format!("--addr {addr}: {error}"))?;
    let addr = listener.local_addr()?;
    // Without TCP_NODELAY, small events wait for the acknowledgement of earlier ones.
    let listener = listener.tap_io(|tcp| {
        if let Err(error) = tcp.set_nodelay(true) {
            tracing::debug!(error = error.to_string(), "TCP_NODELAY");
        }
    });
    println!("listening on http://{addr}");
    println!("{}", curls.replace("$BASE", &format!("http://{addr}")));
    let service = axum::ServiceExt::<Request>::into_make_service(service);
    Ok(axum::serve(listener, service).await?)
}

/// The commands to copy, with `$BASE` for the server's address.
fn curl(demo: &common::Demo, env: &str, token: &str) -> String {
    let common::Demo { tenant, thread, .. } = demo;
    let who = format!(
        "-H 'X-Tenant-Id: {tenant}' -H 'X-Env: {env}' -H \"Authorization: Bearer {token}\""
    );
    let json = "-H 'Content-Type: application/json'";
    format!(
        "
# {tenant}: register the thread, read it from the start, and publish a message (in another terminal)
curl -sS -X PUT $BASE/threads/{thread} {who}
curl -sSN $BASE/sse/chat/{thread} -H 'Last-Event-ID: earliest' {who}
curl -sS $BASE/chat/{thread}/messages {json} -d '{{\"text\":\"hi\"}}' {who}
# a ticket for a browser: new EventSource('/sse/chat/{thread}?ticket=...'), or new WebSocket('/ws/chat/{thread}?ticket=...')
curl -sS $BASE/tickets {json} -d '{{\"thread_id\":\"{thread}\"}}' {who}
"
    )
}
