//! The rails, with clients of other makers: Python's `websockets` and `grpcio`, Node's `ws`.
//!
//! `scripts/test` installs what they need into the target folder.

#[cfg(feature = "tonic")]
use crate::support::Example;
use crate::support::{Chat, SECRET};
use std::{path::PathBuf, process::Command};

fn installed(path: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("clients").join(path);
    assert!(path.exists(), "{} is missing: `scripts/test` installs it", path.display());
    path
}

fn script(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}

/// Runs a script of checks, which prints what it shows.
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
    // A module finds its packages next to itself.
    let copy = installed("node/node_modules").with_file_name("websocket.mjs");
    std::fs::copy(script("websocket.mjs"), &copy).unwrap();
    passes(Command::new("node").arg(copy).args([&chat.base, SECRET]));
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
