//! Chat events over server-sent events, on bare hyper: the same checks without a framework.
//!
//! ```sh
//! cargo run --example hyper_sse [-- --addr ADDR ...]
//! ```

#![allow(clippy::print_stdout, reason = "a command-line program")]

#[path = "common/mod.rs"]
mod common;

use bytes::Bytes;
use clap::Parser;
use common::{DEMO, Options, Setup};
use futures_util::TryFutureExt as _;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{borrow::Cow, convert::Infallible, net::SocketAddr, process::ExitCode};
use tokio::net::TcpListener;
use tower::{ServiceBuilder, service_fn};
use tower_tenancy::{
    BoxError, CutOff, LastEventId, MemoryLog, MemoryRegistry, OnForeignMembers, Rejection,
    RejectionKind, RequestHead, RequireTenantScope, TenantScope,
    rejection::{ByContentType, Dialect, RejectWith as _, WrapBody, require_json},
    verify_thread_access,
};

/// Chat events for many tenants, on bare hyper.
#[derive(Parser)]
struct Cli {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:3002")]
    addr: SocketAddr,
    #[command(flatten)]
    options: Options,
}

type Body = UnsyncBoxBody<Bytes, CutOff>;

#[derive(Clone)]
struct App {
    threads: MemoryRegistry,
    log: MemoryLog,
}

impl App {
    /// `GET /sse/chat/{thread}` reads a thread, `POST /chat/{thread}/messages` publishes to it.
    async fn answer(self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let head = RequestHead::of(&request);
        // `segment` decodes: a client may write `a:b` as `a%3Ab`.
        let parts = [0, 1, 2, 3].map(|at| head.segment(at).map(Cow::into_owned));
        let answer = match (request.method(), parts.each_ref().map(Option::as_deref)) {
            (&Method::GET, [Some("sse"), Some("chat"), Some(thread), None]) => {
                self.listen(&request, thread).await
            }
            (&Method::POST, [Some("chat"), Some(thread), Some("messages"), None]) => {
                self.say(request, thread).await
            }
            _ => Err(RejectionKind::NotFound.into()),
        };
        // The outer layer changes the response to the dialect of the request.
        let refuse = |rejection| ByContentType.reject(&rejection, Dialect::Http).map(whole);
        Ok(answer.unwrap_or_else(refuse))
    }

    async fn listen(
        &self,
        request: &Request<Incoming>,
        thread: &str,
    ) -> Result<Response<Body>, Rejection> {
        let scope = TenantScope::from_extensions(request.extensions())?;
        let from = LastEventId::of(request.headers(), request.uri())?.unwrap_or_default();
        let grant = verify_thread_access(&self.threads, scope, thread).await?;
        let events = grant.subscribe(&self.log, from).await?;
        Ok(grant.guard(events).into_sse().into_http().map(|body| body.boxed_unsync()))
    }

    async fn say(
        &self,
        request: Request<Incoming>,
        thread: &str,
    ) -> Result<Response<Body>, Rejection> {
        let scope = TenantScope::from_extensions(request.extensions())?;
        let grant = verify_thread_access(&self.threads, scope, thread).await?;
        require_json(request.headers())?;
        let limited = Limited::new(request.into_body(), 64 * 1024).collect().await;
        let body = limited.map_err(|error| {
            let too_large = error.is::<LengthLimitError>();
            let kind =
                if too_large { RejectionKind::TooLarge } else { RejectionKind::RequestInvalid };
            Rejection::new(kind).with_source(error)
        })?;
        let body = body.to_bytes();
        let body = std::str::from_utf8(&body)
            .map_err(|error| Rejection::new(RejectionKind::RequestInvalid).with_source(error))?;
        grant.publish(&self.log, grant.receive(body, OnForeignMembers::Refuse)?).await?;
        let mut response = Response::new(whole(Full::from("published")));
        *response.status_mut() = StatusCode::CREATED;
        let text = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, text);
        Ok(response)
    }
}

/// A body that is never cut off.
fn whole(body: Full<Bytes>) -> Body {
    body.map_err(|never| match never {}).boxed_unsync()
}

#[tokio::main]
async fn main() -> ExitCode {
    common::outcome(serve(Cli::parse()).await)
}

async fn serve(Cli { addr, options }: Cli) -> Result<(), BoxError> {
    common::log_to_stderr();
    let Setup { verifier, envs, threads, log, .. } = options.set_up()?;
    let app = App { threads, log };
    let service = ServiceBuilder::new()
        // A layer cannot make hyper's bodies from bytes, so `WrapBody` makes the bodies of refusals.
        .layer(RequireTenantScope::new(verifier).envs(envs).opens_streams().reject_with(WrapBody))
        .service(service_fn(move |request| app.clone().answer(request)));

    let listener = TcpListener::bind(addr).await;
    let listener = listener.map_err(|error| format!("--addr {addr}: {error}"))?;
    let addr = listener.local_addr()?;
    println!("listening on http://{addr}");
    for demo in &DEMO {
        let (tenant, thread, env) = (demo.tenant, demo.thread, options.demo_env());
        let token = options.demo_token(demo)?;
        let who = format!(
            "-H 'X-Tenant-Id: {tenant}' -H 'X-Env: {env}' -H \"Authorization: Bearer {token}\""
        );
        let json = "-H 'Content-Type: application/json'";
        println!("\n# {tenant}: read from the start, and publish a message (in another terminal)");
        println!("curl -sSN http://{addr}/sse/chat/{thread} -H 'Last-Event-ID: earliest' {who}");
        println!(
            "curl -sS http://{addr}/chat/{thread}/messages {json} -d '{{\"text\":\"hi\"}}' {who}"
        );
    }
    loop {
        let tcp = match listener.accept().await {
            Ok((tcp, _)) => tcp,
            Err(error) => {
                // For example, the process has no file descriptor left. Wait until other connections end.
                tracing::warn!(error = error.to_string(), "could not accept a connection");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        if let Err(error) = tcp.set_nodelay(true) {
            tracing::debug!(error = error.to_string(), "TCP_NODELAY");
        }
        let service = TowerToHyperService::new(service.clone());
        // Serve only HTTP/1, and spawn the connection itself. This takes half the memory of a server that also
        // accepts HTTP/2 on the same port.
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(tcp), service);
        tokio::spawn(
            connection.inspect_err(|error| {
                tracing::debug!(error = error.to_string(), "a connection broke")
            }),
        );
    }
}
