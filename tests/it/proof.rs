//! Tests over real sockets: streams and publishing end with the proof, even if the client does not read, or
//! sends its body late.

use crate::support::{Chat, claims, now, sign};
use axum::{
    Router,
    extract::{Path, State, WebSocketUpgrade},
    response::{IntoResponse, Response},
    routing::any,
};
use futures_util::{StreamExt as _, stream};
use serde_json::json;
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    sync::mpsc,
};
use tower_tenancy::{
    AuthContext, AuthRequest, MemoryRegistry, RequireTenantScope, Routing, StreamEvent, Subject,
    ThreadAccess, Verdict, auth::Revocation, clock::Clock as _, testing::ManualClock, ws,
};

const MIB: usize = 1 << 20;
/// The timeout of a test that hangs if the code is broken.
const HANG: Duration = Duration::from_secs(60);

#[derive(Clone, axum::extract::FromRef)]
struct App {
    threads: MemoryRegistry,
    /// Each stream holds a clone.
    open: mpsc::Sender<()>,
}

type Thread = ThreadAccess<Path<String>, MemoryRegistry>;

/// An endless stream of large events. It holds `open` until its drop.
fn events(
    thread: &Thread,
    open: mpsc::Sender<()>,
) -> impl stream::Stream<Item = StreamEvent> + use<> {
    let event = StreamEvent::new(thread.routing().clone(), "x", &"x".repeat(7 * MIB)).unwrap();
    stream::repeat(event).map(move |event| {
        let _open = &open;
        event
    })
}

async fn listen(thread: Thread, State(open): State<mpsc::Sender<()>>) -> impl IntoResponse {
    let events = events(&thread, open);
    thread.into_grant().guard(events).into_sse()
}

async fn talk(
    thread: Thread,
    State(open): State<mpsc::Sender<()>>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let events = events(&thread, open);
    thread.into_grant().guard(events).into_ws().on_upgrade(upgrade, ws::no_messages)
}

/// A server with small socket buffers, and the means to end its clients' proofs.
struct Server {
    addr: SocketAddr,
    clock: ManualClock,
    access: Revocation,
    /// Counts the open streams.
    streams: mpsc::Receiver<()>,
}

impl Server {
    async fn start() -> Self {
        let (clock, access) = (ManualClock::at(now()), Revocation::new());
        let (proof, soon) = (access.clone(), clock.now() + Duration::from_secs(600));
        let shared = clock.shared();
        let anybody = move |_: &AuthRequest<'_>| {
            let auth = AuthContext::new(Subject::new("ada").unwrap(), soon)
                .with_tenants(["t_alpha"])
                .with_envs(["prod"])
                .with_clock(shared.clone())
                .with_revocation(proof.clone());
            Verdict::Ready(Ok(auth))
        };
        let (open, streams) = mpsc::channel(1);
        let threads = MemoryRegistry::new();
        threads.register(&"t_alpha/prod/th".parse::<Routing>().unwrap());
        let router = Router::new()
            .route("/sse/{thread}", any(listen))
            .route("/ws/{thread}", any(talk))
            .with_state(App { threads, open })
            .layer(RequireTenantScope::new(anybody));
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_send_buffer_size(8 * 1024).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(16).unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { addr, clock, access, streams }
    }

    /// A client that has read the beginning of an event and then stops reading.
    async fn stalled(&self, path: &str) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(8 * 1024).unwrap();
        let mut tcp = socket.connect(self.addr).await.unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: x\r\nx-tenant-id: t_alpha\r\nx-env: prod\r\n\
             connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        );
        tcp.write_all(request.as_bytes()).await.unwrap();
        let mut beginning = vec![0; 256 * 1024];
        tcp.read_exact(&mut beginning).await.unwrap();
        tcp
    }
}

#[tokio::test]
async fn the_server_drops_a_client_that_does_not_read_when_its_proof_ends() {
    let ends: [fn(&Server); 2] =
        [|server| server.access.revoke(), |server| server.clock.advance(Duration::from_secs(600))];
    for path in ["/sse/th", "/ws/th"] {
        for end in ends {
            let mut server = Server::start().await;
            let kept_by_the_router = server.streams.sender_strong_count();
            let mut client = server.stalled(path).await;
            assert!(server.streams.sender_strong_count() > kept_by_the_router);
            end(&server);
            // With the connection, the server drops the stream and its sender.
            let dropped = async {
                while server.streams.sender_strong_count() > kept_by_the_router {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            let dropped = tokio::time::timeout(HANG, dropped).await;
            assert!(dropped.is_ok(), "{path}: the server must drop the connection");
            // Only the bytes in the socket buffers still arrive: far less than the event.
            let mut rest = Vec::new();
            let _broken = tokio::time::timeout(HANG, client.read_to_end(&mut rest)).await.unwrap();
            assert!(rest.len() < MIB, "{path}: {} bytes", rest.len());
            assert!(
                !rest.ends_with(b"0\r\n\r\n"),
                "the body must not end regularly inside an event"
            );
            server.streams.close();
        }
    }
}

/// Over HTTP/2, the server does not poll a stream while the client gives no flow-control window. So the server
/// resets the stream when the client reads again. Until then, it sends only a limited number of buffered bytes.
#[tokio::test]
async fn over_http2_a_stream_is_reset_within_64_kib_of_the_end_of_its_proof() {
    let server = Server::start().await;
    let tcp = TcpStream::connect(server.addr).await.unwrap();
    let (mut client, connection) = h2::client::handshake(tcp).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::get("http://localhost/sse/th")
        .header("x-tenant-id", "t_alpha")
        .header("x-env", "prod");
    let (response, _) = client.send_request(request.body(()).unwrap(), true).unwrap();
    let mut body = response.await.unwrap().into_body();
    // The initial flow-control window (RFC 9113 section 6.9.2).
    let mut before = 0;
    while before < 65_535 {
        before += body.data().await.unwrap().unwrap().len();
    }
    server.access.revoke();
    body.flow_control().release_capacity(before).unwrap();
    let mut after = 0;
    let end = loop {
        match tokio::time::timeout(HANG, body.data()).await.unwrap() {
            Some(Ok(data)) => {
                after += data.len();
                body.flow_control().release_capacity(data.len()).unwrap();
            }
            end => break end,
        }
    };
    assert!(after <= 64 * 1024, "{after} bytes");
    assert!(
        matches!(end, Some(Err(_))),
        "the stream must not end regularly inside an event: {end:?}"
    );
}

#[tokio::test]
async fn a_message_whose_body_ends_after_the_token_expires_is_not_published() {
    let chat = Chat::start_with(&["--leeway", "0"]);
    let addr = chat.base.strip_prefix("http://").unwrap();
    // On a busy machine, the token may expire before the request reaches the handler.
    for lifetime in [2, 8, 32] {
        let mut short = claims("t_alpha", "prod", "ada");
        short["exp"] = json!(now() + lifetime);
        let mut tcp = TcpStream::connect(addr).await.unwrap();
        let head = format!(
            "POST /chat/th/messages HTTP/1.1\r\nhost: x\r\nx-tenant-id: t_alpha\r\nx-env: prod\r\n\
             content-type: application/json\r\nauthorization: Bearer {}\r\ncontent-length: 13\r\n\
             expect: 100-continue\r\nconnection: close\r\n\r\n",
            sign(&short)
        );
        tcp.write_all(head.as_bytes()).await.unwrap();
        let mut answer = vec![0; 12];
        tcp.read_exact(&mut answer).await.unwrap();
        // The handler has its grant and reads the body.
        if answer != b"HTTP/1.1 100" {
            continue;
        }
        tcp.write_all(b"{\"text\":").await.unwrap();
        while now() < short["exp"].as_u64().unwrap() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        tcp.write_all(b"\"hi\"}").await.unwrap();
        let mut answer = String::new();
        tcp.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains("HTTP/1.1 401 "), "{answer}");
        assert!(answer.contains("auth.expired"), "{answer}");
        let mut events = chat.listen("t_alpha", "th", Some("earliest")).await;
        chat.say("t_alpha", "th", "the first one").await;
        let first = events.event().await.unwrap().json();
        assert_eq!(first["data"]["text"], "the first one");
        return;
    }
    panic!("each token expired before the request reached the handler");
}
