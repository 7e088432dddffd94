//! Tests the documented settings for reverse proxies in front of the `chat` example.

use crate::support::{Chat, Events, PATIENCE, Socket, claims, sign};
use serde_json::{Value, json};
use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// The first code block in this language on the page.
fn shown(language: &str) -> String {
    let page = include_str!("../../docs/reverse-proxies.md");
    let (_, block) = page.split_once(&format!("```{language}\n")).unwrap();
    block.split_once("\n```").unwrap().0.to_owned()
}

/// A proxy in front of `chat`, and its folder. Both end when this value is dropped.
struct Proxy {
    process: Child,
    folder: PathBuf,
    chat: Chat,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        drop(fs::remove_dir_all(&self.folder));
    }
}

impl Proxy {
    /// Starts the process that `command` makes from the folder and the settings. The settings are those of the page,
    /// except for the ports and the folder of the log.
    fn start(language: &str, command: impl FnOnce(&PathBuf, String) -> Command) -> Self {
        let mut chat = Chat::start();
        let folder = std::env::temp_dir().join(format!("proxy-{}", uuid::Uuid::new_v4()));
        fs::create_dir_all(&folder).unwrap();
        // This port is free now. It is unlikely that another process takes it.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = shown(language)
            .replace("127.0.0.1:3000", chat.base.trim_start_matches("http://"))
            .replace("8080", &port.to_string())
            .replace("/var/log/nginx", folder.to_str().unwrap())
            .replace("/var/log/caddy", folder.to_str().unwrap());
        let mut command = command(&folder, settings);
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let process = process.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        chat.base = format!("http://127.0.0.1:{port}");
        let proxy = Self { process, folder, chat };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "{language}: the proxy does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        proxy
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("chat.log")).unwrap_or_default()
    }
}

/// Checks that events arrive at once over each transport, that large tokens pass, and that no secret is logged.
async fn serves(proxy: &Proxy) {
    let chat = &proxy.chat;
    let stream = chat.request("GET", "/sse/chat/th", "t_alpha").send().await.unwrap();
    let mut events = Events::behind_proxy(stream);
    let mut socket = Socket::listen(&chat.base, "t_alpha", "th", None).await;
    let body = json!({ "thread_id": "th" });
    let asked = chat.request("POST", "/tickets", "t_alpha").json(&body).send().await.unwrap();
    let answer: Value = asked.json().await.unwrap();
    let ticket = answer["ticket"].as_str().unwrap();
    let by_ticket = chat.bare("GET", &format!("/sse/chat/th?ticket={ticket}"));
    let mut by_ticket = Events::behind_proxy(by_ticket.send().await.unwrap());
    // The streams do not end. If the proxy buffered an event, the test would time out.
    chat.say("t_alpha", "th", "hi").await;
    assert_eq!(events.event().await.unwrap().json()["data"]["text"], "hi");
    assert_eq!(by_ticket.event().await.unwrap().json()["data"]["text"], "hi");
    assert_eq!(socket.next().await.unwrap()["data"]["text"], "hi");
    socket.say(json!({"text": "hello"})).await;
    let said = events.event().await.unwrap().json();
    assert_eq!(said["data"]["text"], "hello");

    let mut claims = claims("t_alpha", "prod", "ada");
    let groups: Vec<_> =
        (0..200).map(|i| format!("0a1b2c3d-4e5f-6071-8293-a4b5c6{i:06}")).collect();
    claims["groups"] = json!(groups);
    let large = sign(&claims);
    assert!(large.len() > 10_000);
    let request = chat.bare("GET", "/sse/chat/th").header("x-tenant-id", "t_alpha");
    let answer = request.header("x-env", "prod").bearer_auth(&large).send().await.unwrap();
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    assert_eq!(answer.status(), 200, "{} bytes of token", large.len());
    drop((events, by_ticket, socket, answer));

    let deadline = Instant::now() + PATIENCE;
    while !proxy.log().contains(&id) {
        assert!(Instant::now() < deadline, "the request is not logged: {}", proxy.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let log = proxy.log();
    assert!(log.contains("/sse/chat/th") && !log.contains(ticket), "{log}");
}

#[tokio::test]
#[ignore = "needs nginx; `scripts/test` runs it"]
async fn nginx_passes_streams_with_the_settings_of_the_page() {
    let proxy = Proxy::start("nginx", |folder, settings| {
        // Use a single process, which ends when it is killed. Workers would outlive the master process.
        let whole = format!(
            "daemon off; master_process off; pid {0}/pid; error_log {0}/start.log; events {{}} http {{ {settings} }}",
            folder.display()
        );
        let file = folder.join("nginx.conf");
        fs::write(&file, whole).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-c").arg(file).arg("-p").arg(folder).arg("-e").arg(folder.join("start.log"));
        command
    });
    serves(&proxy).await;
}

#[tokio::test]
#[ignore = "needs Caddy; `scripts/test` runs it"]
async fn caddy_passes_streams_with_the_settings_of_the_page() {
    let proxy = Proxy::start("caddyfile", |folder, settings| {
        let file = folder.join("Caddyfile");
        fs::write(&file, format!("{{\n\tadmin off\n\tauto_https off\n}}\n{settings}\n")).unwrap();
        let mut command = Command::new("caddy");
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file);
        command.env("XDG_DATA_HOME", folder).env("XDG_CONFIG_HOME", folder).env("HOME", folder);
        command
    });
    serves(&proxy).await;
}
