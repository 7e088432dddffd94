//! A chat server for many tenants, on an in-memory log.
//!
//! ```sh
//! cargo run --example chat
//! cargo run --example chat -- token --tenant t_alpha --env prod --sub ada
//! ```

#![allow(clippy::print_stdout, reason = "a command-line program")]

mod api;
mod args;
mod token;

use api::{App, Demo, Identity};
use args::{Cli, Command, Serve, Trust};
use axum::serve::ListenerExt as _;
use clap::Parser as _;
use std::{io::IsTerminal as _, process::ExitCode, sync::Arc, time::Duration};
use token::{Bearer, DEVELOPMENT_SECRET, sign};
use tower_tenancy::{
    BoxError, Env, Envs, MemoryLog, MemoryRegistry, RequireTenantScope, Routing,
    auth::{Algorithm, JwtKey, JwtVerifier},
};
use tracing_subscriber::EnvFilter;

/// Tenant, subject and thread of the two demo identities.
const DEMO: [(&str, &str, &str); 2] = [("t_alpha", "ada", "welcome"), ("t_beta", "bob", "plans")];

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<(), BoxError> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
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
    let development = args.trust.hs256_secret.is_none() && args.public_keys.is_empty();
    if development {
        tracing::warn!(
            "tokens are signed with the built-in development secret, which everybody knows; \
             give --hs256-secret or --public-key before anybody else can reach this"
        );
    }
    let envs = if args.envs.is_empty() { Envs::default() } else { Envs::new(&args.envs)? };
    let tenancy = RequireTenantScope::new(verifier(&args, development)?).envs(envs);

    let threads = MemoryRegistry::new();
    for thread in &args.threads {
        if !args.envs.is_empty() && !args.envs.contains(thread.env()) {
            tracing::warn!(
                thread = thread.to_path(),
                "nobody can reach this thread: its env is not served"
            );
        }
        threads.register(thread);
    }
    let env = args.envs.first().map_or("prod", Env::as_str).to_owned();
    if development {
        for (tenant, _, thread) in DEMO {
            let thread: Routing = format!("{tenant}/{env}/{thread}").parse()?;
            threads.register(&thread);
        }
    }
    let log = MemoryLog::builder();
    let log = args.retain.map_or(log.clone(), |events| log.max_events(events.get())).build();
    let app = App { threads, log, demo: demo(&args, development, env.clone()) };

    let listener = tokio::net::TcpListener::bind(args.addr).await;
    let listener = listener.map_err(|error| format!("--addr {}: {error}", args.addr))?;
    let addr = listener.local_addr()?;
    // Without it, small events wait for the acknowledgement of earlier ones.
    let listener = listener.tap_io(|tcp| {
        if let Err(error) = tcp.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY");
        }
    });
    println!("listening on http://{addr}");
    let can_sign = development || args.trust.hs256_secret.is_some();
    for (tenant, sub, thread) in DEMO {
        let token = if can_sign {
            sign(&Bearer { tenant, env: &env, sub, roles: &[] }, 3600, &args.trust)?
        } else {
            format!("$TOKEN_OF_{}", tenant.to_uppercase())
        };
        print_curl(&format!("http://{addr}"), tenant, &env, thread, &token);
    }
    axum::serve(listener, api::router(tenancy, app)).await?;
    Ok(())
}

fn verifier(args: &Serve, development: bool) -> Result<JwtVerifier, BoxError> {
    let mut builder = JwtVerifier::builder().leeway(Duration::from_secs(args.leeway));
    let secret = args.trust.hs256_secret.as_deref();
    if let Some(secret) = secret.or(development.then_some(DEVELOPMENT_SECRET)) {
        let key = JwtKey::hmac(Algorithm::HS256, secret);
        builder = builder.key(key.map_err(|error| format!("--hs256-secret: {error}"))?);
    }
    for path in &args.public_keys {
        let pem = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let key = JwtKey::public_pem(pem);
        builder = builder.key(key.map_err(|error| format!("{}: {error}", path.display()))?);
    }
    if let Some(issuer) = &args.trust.issuer {
        builder = builder.issuer(issuer);
    }
    if let Some(audience) = &args.trust.audience {
        builder = builder.audience(audience);
    }
    Ok(builder.build()?)
}

/// Identities for the page: only with the development secret, and only on a loopback address.
fn demo(args: &Serve, development: bool, env: String) -> Demo {
    if !development || !args.addr.ip().is_loopback() {
        return Demo(Arc::new(Vec::new));
    }
    let trust: Trust = args.trust.clone();
    Demo(Arc::new(move || {
        let identity = |(tenant, subject, thread)| {
            let bearer = Bearer { tenant, env: &env, sub: subject, roles: &[] };
            let token = sign(&bearer, 3600, &trust).ok()?;
            Some(Identity { tenant, env: env.clone(), subject, thread, token })
        };
        DEMO.into_iter().filter_map(identity).collect()
    }))
}

fn print_curl(base: &str, tenant: &str, env: &str, thread: &str, token: &str) {
    let context = format!("-H 'X-Tenant-Id: {tenant}' -H 'X-Env: {env}'");
    let auth = format!("-H \"Authorization: Bearer {token}\"");
    println!("\n# {tenant}: make the thread, listen from its start, and (elsewhere) say something");
    println!("curl -sS -X PUT {base}/threads/{thread} {context} {auth}");
    println!("curl -sSN {base}/sse/chat/{thread} -H 'Last-Event-ID: earliest' {context} {auth}");
    println!("curl -sS {base}/chat/{thread}/messages -d '{{\"text\":\"hi\"}}' {context} {auth}");
}
