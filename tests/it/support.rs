//! Tokens, the example servers as processes, and readers of event streams and WebSockets.

use crate::minter::Minter;
use futures_util::{SinkExt as _, StreamExt as _};
use http::HeaderName;
use jsonwebtoken::{Algorithm, EncodingKey, crypto::aws_lc::DEFAULT_PROVIDER};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use std::{
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{self, Message, client::IntoClientRequest as _},
};

pub(crate) const SECRET: &str = "a secret of more than thirty-two bytes, for tests";

/// The timeout for things that must happen. It is long enough for a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub(crate) fn claims(tenant: &str, env: &str, sub: &str) -> Value {
    json!({"sub": sub, "tenant_id": tenant, "env": env, "exp": now() + 600})
}

pub(crate) fn sign(claims: &Value) -> String {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    Minter::new(&DEFAULT_PROVIDER, Algorithm::HS256, key).sign(r#"{"alg":"HS256"}"#, claims)
}

pub(crate) fn token(tenant: &str, env: &str, sub: &str) -> String {
    sign(&claims(tenant, env, sub))
}

/// Calls `open` with a token of `t_alpha` that expires after a few seconds. Returns its result and the time of
/// expiry. On a busy machine the token may expire too soon. Then `open` returns `None`, and this calls it
/// again with a longer lifetime.
pub(crate) async fn with_short_token<T>(open: impl AsyncFn(String) -> Option<T>) -> (T, u64) {
    for lifetime in [2, 8, 32] {
        let mut short = claims("t_alpha", "prod", "ada");
        let over_at = now() + lifetime;
        short["exp"] = json!(over_at);
        if let Some(opened) = open(sign(&short)).await {
            return (opened, over_at);
        }
    }
    panic!("each token expired too soon");
}

/// The path of an example. Builds the example if it is missing.
pub(crate) fn example(name: &str) -> PathBuf {
    static BUILDING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.push("examples");
    path.push(name);
    if !path.exists() {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let build = ["build", "--all-features", "--example", name];
        let status = Command::new(cargo).args(build).status();
        assert!(status.unwrap().success());
    }
    path
}

pub(crate) fn chat_binary() -> PathBuf {
    example("chat")
}

/// A running example server. It stops at its drop.
pub(crate) struct Example {
    process: Child,
    pub(crate) base: String,
}

impl Example {
    /// Starts an example that trusts [`SECRET`] and knows thread `th` of `t_alpha` and of `t_beta`, and
    /// `only-beta`.
    pub(crate) fn run(name: &str, args: &[&str]) -> Self {
        let threads =
            ["t_alpha/prod/th", "t_alpha/dev/th", "t_beta/prod/th", "t_beta/prod/only-beta"];
        let mut command = Command::new(example(name));
        command.args(["--addr", "127.0.0.1:0", "--hs256-secret", SECRET]).args(args);
        command.args(threads.iter().flat_map(|thread| ["--thread", thread]));
        Self::of(&mut command)
    }

    pub(crate) fn of(command: &mut Command) -> Self {
        let mut process =
            command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let first = lines.next().expect("a first line").unwrap();
        let base = first.strip_prefix("listening on ").expect(&first).to_owned();
        // Read the rest of the output. Otherwise the process would block on a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, base }
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// A running `chat`, or an example that has the same routes.
pub(crate) struct Chat {
    pub(crate) base: String,
    pub(crate) http: Client,
    _server: Example,
}

impl Chat {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(crate) fn start_with(args: &[&str]) -> Self {
        Self::at(Example::run("chat", args))
    }

    pub(crate) fn run(command: &mut Command) -> Self {
        Self::at(Example::of(command))
    }

    pub(crate) fn at(server: Example) -> Self {
        Self { base: server.base.clone(), http: Client::new(), _server: server }
    }

    /// A request with the context and the token of `tenant` in prod.
    pub(crate) fn request(&self, method: &str, path: &str, tenant: &str) -> RequestBuilder {
        self.bare(method, path)
            .header("x-tenant-id", tenant)
            .header("x-env", "prod")
            .bearer_auth(token(tenant, "prod", "ada"))
    }

    /// A `POST` with this JSON as its body.
    pub(crate) fn post(&self, path: &str, tenant: &str, body: impl Into<String>) -> RequestBuilder {
        let request = self.request("POST", path, tenant);
        request.header("content-type", "application/json").body(body.into())
    }

    /// A request without context and token.
    pub(crate) fn bare(&self, method: &str, path: &str) -> RequestBuilder {
        let method = method.parse().unwrap();
        self.http.request(method, format!("{}{path}", self.base)).timeout(PATIENCE)
    }

    pub(crate) async fn say(&self, tenant: &str, thread: &str, text: &str) -> Value {
        let path = format!("/chat/{thread}/messages");
        let response = self.request("POST", &path, tenant).json(&json!({"text": text})).send();
        let response = response.await.unwrap();
        assert_eq!(response.status(), 201);
        response.json().await.unwrap()
    }

    pub(crate) async fn listen(&self, tenant: &str, thread: &str, from: Option<&str>) -> Events {
        let mut request = self.request("GET", &format!("/sse/chat/{thread}"), tenant);
        if let Some(cursor) = from {
            request = request.header("last-event-id", cursor);
        }
        Events::of(request.send().await.unwrap())
    }
}

/// The status and the code of a refusal. Also checks the form of the response.
pub(crate) async fn refusal(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert!(response.headers().contains_key("x-request-id"), "a refusal must have the request id");
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["status"], status);
    assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
    (status, problem["code"].as_str().unwrap().to_owned())
}

/// One block of an event stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Block {
    pub(crate) id: Option<String>,
    pub(crate) event: Option<String>,
    pub(crate) data: Option<String>,
    pub(crate) retry: Option<String>,
}

impl Block {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(self.data.as_deref().unwrap_or("null")).unwrap()
    }
}

/// Reads an event stream block by block. Each block must have data, because some clients drop a block
/// without data.
pub(crate) struct Events {
    body: futures_util::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    buffer: String,
    /// The value that a browser would send as `Last-Event-ID`.
    pub(crate) cursor: Option<String>,
}

impl Events {
    pub(crate) fn of(response: Response) -> Self {
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store, no-transform");
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        Self::behind_proxy(response)
    }

    /// For a response from a proxy that drops headers.
    pub(crate) fn behind_proxy(response: Response) -> Self {
        assert_eq!(response.status(), 200);
        Self { body: response.bytes_stream().boxed(), buffer: String::new(), cursor: None }
    }

    /// The next block, or `None` at the end of the stream. Skips comments.
    pub(crate) async fn next(&mut self) -> Option<Block> {
        loop {
            if let Some((text, rest)) = self.buffer.split_once("\n\n") {
                let mut block = Block::default();
                for line in text.lines() {
                    let (name, value) = line.split_once(": ").unwrap_or((line, ""));
                    let value = Some(value.to_owned());
                    match name {
                        "id" => block.id = value,
                        "event" => block.event = value,
                        "data" => {
                            assert_eq!(block.data, None, "data must be on one line");
                            block.data = value;
                        }
                        "retry" => block.retry = value,
                        comment => assert!(comment.starts_with(':'), "{line}"),
                    }
                }
                assert!(block.data.is_some(), "a block without data: {text:?}");
                self.buffer = rest.to_owned();
                if let Some(id) = &block.id {
                    self.cursor = Some(id.clone());
                }
                return Some(block);
            }
            let chunk = tokio::time::timeout(PATIENCE, self.body.next()).await;
            let chunk = chunk.expect("the stream stays silent")?;
            self.buffer += std::str::from_utf8(&chunk.ok()?).unwrap();
        }
    }

    /// The next block, without the opening.
    pub(crate) async fn event(&mut self) -> Option<Block> {
        loop {
            let block = self.next().await?;
            if block.event.as_deref() != Some("stream.open") {
                return Some(block);
            }
        }
    }
}

/// A WebSocket client.
pub(crate) struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// The headers of the answer to the handshake.
    pub(crate) response: http::Response<Option<Vec<u8>>>,
    /// The last `id` that moved the cursor.
    pub(crate) cursor: Option<String>,
}

impl Socket {
    /// Connects, or returns the status and the code of the refusal.
    pub(crate) async fn connect(
        base: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Self, (u16, String)> {
        let uri = format!("{}{path}", base.replace("http://", "ws://"));
        let mut request = uri.into_client_request().unwrap();
        for (name, value) in headers {
            request
                .headers_mut()
                .append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        let answered = tokio::time::timeout(PATIENCE, tokio_tungstenite::connect_async(request));
        match answered.await.expect("the server does not answer the upgrade") {
            Ok((stream, response)) => Ok(Self { stream, response, cursor: None }),
            Err(tungstenite::Error::Http(refused)) => {
                let body = refused.body().as_deref().unwrap_or_default();
                let problem: Value = serde_json::from_slice(body).unwrap_or_default();
                let code = problem["code"].as_str().unwrap_or_default().to_owned();
                Err((refused.status().as_u16(), code))
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Connects as `tenant` in prod, from this cursor if there is one.
    pub(crate) async fn listen(base: &str, tenant: &str, thread: &str, from: Option<&str>) -> Self {
        let bearer = format!("Bearer {}", token(tenant, "prod", "ada"));
        let mut headers = vec![("x-tenant-id", tenant), ("x-env", "prod")];
        headers.push(("authorization", &bearer));
        headers.extend(from.map(|cursor| ("last-event-id", cursor)));
        let mut socket =
            Self::connect(base, &format!("/ws/chat/{thread}"), &headers).await.unwrap();
        let open = socket.next().await.unwrap();
        assert_eq!(open["type"], "open");
        socket
    }

    pub(crate) async fn say(&mut self, message: impl ToString) {
        self.send(Message::text(message.to_string())).await;
    }

    pub(crate) async fn send(&mut self, message: Message) {
        self.stream.send(message).await.unwrap();
    }

    /// The next message, or the close code and its reason. Updates the cursor.
    pub(crate) async fn next(&mut self) -> Result<Value, (u16, String)> {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.stream.next()).await;
            match next.expect("the session stays silent") {
                Some(Ok(Message::Text(text))) => {
                    let message: Value = serde_json::from_str(&text).unwrap();
                    if let Some(id) = message["id"].as_str() {
                        self.cursor = Some(id.to_owned());
                    }
                    return Ok(message);
                }
                Some(Ok(Message::Close(Some(close)))) => {
                    return Err((close.code.into(), close.reason.to_string()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err((1006, String::new())),
            }
        }
    }
}
