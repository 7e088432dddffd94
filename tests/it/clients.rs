//! Tests with third-party clients: Python's `websockets` and `grpcio`, Node's `ws`, and several readers of event
//! streams.
//!
//! `scripts/test` installs these clients into the target folder.

#[cfg(feature = "tonic")]
use crate::support::Example;
use crate::{
    hosts::serve_axum,
    layers::verifier,
    support::{Chat, SECRET, token},
};
use axum::{
    Router,
    extract::Path,
    response::{IntoResponse, Response},
    routing::get,
};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use std::{path::PathBuf, process::Command, time::Duration};
use tower_tenancy::{
    Cursor, Delivery, MemoryRegistry, RequireTenantScope, Routing, StreamEvent, ThreadAccess,
    delivery::{Gap, GapReason, Position},
};

fn installed(path: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("clients").join(path);
    assert!(path.exists(), "{} is missing: `scripts/test` installs it", path.display());
    path
}

fn script(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}

/// Copies a module of Node next to its packages, where it finds them.
fn module(name: &str) -> PathBuf {
    let copy = installed("node/node_modules").with_file_name(name);
    std::fs::copy(script(name), &copy).unwrap();
    copy
}

/// Runs a script, which prints the result of each of its checks.
fn passes(command: &mut Command) {
    let output = command.env("PYTHONDONTWRITEBYTECODE", "1").output().unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    assert!(out.lines().filter(|line| line.starts_with("ok ")).count() >= 10, "{out}");
}

const OPTIONS: [&str; 4] = ["--retain", "100000", "--leeway", "0"];

#[test]
#[ignore = "needs Python packages; `scripts/test` runs it"]
fn python_over_websocket() {
    let chat = Chat::start_with(&OPTIONS);
    let script = [script("websocket.py")];
    passes(Command::new(installed("python/bin/python")).args(script).args([&chat.base, SECRET]));
}

#[test]
#[ignore = "needs a Node package; `scripts/test` runs it"]
fn node_over_websocket() {
    let chat = Chat::start_with(&OPTIONS);
    passes(Command::new("node").arg(module("websocket.mjs")).args([&chat.base, SECRET]));
}

#[cfg(feature = "tonic")]
#[test]
#[ignore = "needs Python packages; `scripts/test` runs it"]
fn python_over_grpc() {
    let chat = Example::run("grpc_chat", &OPTIONS);
    let proto = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/grpc_chat/tenancy.v1.proto");
    let script = [script("grpc_chat.py")];
    let mut command = Command::new(installed("python/bin/python"));
    passes(command.args(script).args([&chat.base, SECRET, proto]));
}

/// Answers with a stream that has every kind of block, and pauses for heartbeats.
async fn says_everything(thread: ThreadAccess<Path<String>, MemoryRegistry>) -> Response {
    let grant = thread.into_grant();
    let routing = grant.routing().clone();
    let at = |seq: u64| -> Cursor { format!("0123456789abcdef-{seq}").parse().unwrap() };
    let event = |event_type, data| {
        Delivery::from(StreamEvent::new(routing.clone(), event_type, &data).unwrap())
    };
    let gap = Gap::new(&routing, GapReason::Trimmed, at(1), at(5), Some(at(7)));
    let all = [
        Position::new(&routing, at(1)).into(),
        event("message", "one"),
        event("x.token", "two"),
        gap.into(),
        event("message", "three"),
        Position::new(&routing, at(9)).into(),
        event("message", "four"),
    ];
    let slow = stream::iter(all).then(async |delivery| {
        tokio::time::sleep(Duration::from_millis(100)).await;
        delivery
    });
    grant.guard(Box::pin(slow)).into_sse().heartbeat(Duration::from_millis(10)).into_response()
}

/// Reads such a stream with `command`. Returns the type and the id of each event, as the reader shows them.
async fn read_by(mut command: Command) -> Vec<(String, String)> {
    let threads = MemoryRegistry::new();
    threads.register(&"t_alpha/prod/th".parse::<Routing>().unwrap());
    let router = Router::new()
        .route("/{thread}", get(says_everything))
        .route_layer(RequireTenantScope::new(verifier()))
        .with_state(threads);
    let url = format!("http://{}/th", serve_axum(router).await);
    let bearer = format!("Bearer {}", token("t_alpha", "prod", "ada"));
    let headers = json!({"x-tenant-id": "t_alpha", "x-env": "prod", "authorization": bearer});
    command.args([url, headers.to_string()]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    let events = out.lines().map(|line| {
        let event: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        let data = text("data");
        let data: Value = serde_json::from_str(&data).expect("each event has data");
        assert!(data["meta"]["trace_id"].is_string(), "{line}");
        (text("event"), text("id"))
    });
    events.collect()
}

/// Checks that each event arrives once, and nothing else. With `keeps_id`, the reader keeps the last id for events
/// without an id, as the standard requires. Other readers show only the id of the block itself.
fn everything(read: &[(String, String)], keeps_id: bool) {
    let id = |seq: u64, is_own: bool| match (seq, is_own || keeps_id) {
        (1.., true) => format!("0123456789abcdef-{seq}"),
        _ => String::new(),
    };
    let expected = [
        ("stream.open", String::new()),
        ("stream.open", id(1, true)),
        ("message", id(1, false)),
        ("x.token", id(1, false)),
        ("stream.gap", id(7, true)),
        ("message", id(7, false)),
        ("stream.open", id(9, true)),
        ("message", id(9, false)),
        ("stream.complete", id(9, false)),
    ];
    let expected: Vec<_> = expected.map(|(name, id)| (name.to_owned(), id)).into();
    assert_eq!(read, expected);
}

fn python_reader(name: &str) -> Command {
    let mut command = Command::new(installed("python/bin/python"));
    command.env("PYTHONDONTWRITEBYTECODE", "1").arg(script("sse.py")).arg(name);
    command
}

fn node_reader(name: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(module("sse.mjs")).arg(name);
    command
}

#[tokio::test]
#[ignore = "needs Python packages; `scripts/test` runs it"]
async fn python_readers_of_event_streams_return_no_event_without_data() {
    everything(&read_by(python_reader("httpx-sse")).await, true);
    everything(&read_by(python_reader("openai")).await, true);
}

#[tokio::test]
#[ignore = "needs Node packages; `scripts/test` runs it"]
async fn node_readers_of_event_streams_return_no_event_without_data() {
    everything(&read_by(node_reader("eventsource-parser")).await, false);
    everything(&read_by(node_reader("fetch-event-source")).await, false);
    everything(&read_by(node_reader("event-source-polyfill")).await, true);
}
