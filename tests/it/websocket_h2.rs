//! WebSocket over HTTP/2 ([RFC 8441]): the same refusals and the same sessions as over HTTP/1.1.
//!
//! [RFC 8441]: https://www.rfc-editor.org/rfc/rfc8441

use crate::{
    hosts::{App, serve_axum},
    layers::verifier,
    support::token,
    websocket::{hyper_service, router},
};
use axum::{
    Router,
    extract::ws::{self, WebSocketUpgrade},
    routing::{any, post},
};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::{client::conn::http2, ext::Protocol, upgrade::Upgraded};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};
use tower::Layer as _;
use tower_tenancy::{
    CloseRefusedUpgrades, LastEventId, MemoryLog, MemoryRegistry, RedeemTicket, Rejection,
    RejectionKind, RequireTenantScope, TenantScope, TicketIssuer, auth::TokenSources,
    verify_thread_access,
};

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// A connection to a server that has announced the extended `CONNECT`.
struct Connection(http2::SendRequest<Empty<Bytes>>, SocketAddr);

impl Connection {
    async fn to(addr: SocketAddr) -> Self {
        let tcp = TokioIo::new(TcpStream::connect(addr).await.unwrap());
        let (send, connection) = http2::handshake(TokioExecutor::new(), tcp).await.unwrap();
        tokio::spawn(connection);
        let mut this = Self(send, addr);
        // The settings of the server arrive before its first response.
        let request = Request::get(format!("http://{addr}/nowhere")).body(Empty::new()).unwrap();
        this.0.send_request(request).await.unwrap();
        this
    }

    /// Asks for a WebSocket, or for another protocol.
    async fn ask(
        &mut self,
        protocol: &'static str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> http::Response<hyper::body::Incoming> {
        let mut request = Request::builder()
            .method(Method::CONNECT)
            .uri(format!("http://{}{path}", self.1))
            .extension(Protocol::from_static(protocol))
            .header("sec-websocket-version", "13");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.0.send_request(request.body(Empty::new()).unwrap()).await.unwrap()
    }

    /// Opens a WebSocket, or returns the refusal.
    async fn open(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<(Socket, HeaderMap), (u16, String)> {
        let response = self.ask("websocket", path, headers).await;
        let (status, headers) = (response.status(), response.headers().clone());
        if status == StatusCode::OK {
            let io = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
            return Ok((WebSocketStream::from_raw_socket(io, Role::Client, None).await, headers));
        }
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
        Err((status.as_u16(), problem["code"].as_str().unwrap_or_default().to_owned()))
    }
}

/// The next message, or the close code and its reason.
async fn next(socket: &mut Socket) -> Result<Value, (u16, String)> {
    loop {
        let message = socket.next().await.unwrap().unwrap();
        if let Message::Text(text) = &message {
            return Ok(serde_json::from_str(text).unwrap());
        }
        if let Message::Close(Some(close)) = message {
            return Err((close.code.into(), close.reason.to_string()));
        }
    }
}

/// Reads the first notice, and checks that the client's message comes back.
async fn talks(socket: &mut Socket) {
    assert_eq!(next(socket).await.unwrap()["type"], "open");
    socket.send(Message::text(r#"{"text":"hi"}"#)).await.unwrap();
    assert_eq!(next(socket).await.unwrap()["data"], json!({"text": "hi"}));
}

/// Accepts everything that a browser may send: cookie, protocol, query and ticket.
async fn site() -> (SocketAddr, String) {
    let app = App::new().await;
    let tickets = TicketIssuer::in_memory();
    let sources = TokenSources::header().or_cookie("session").or_subprotocol();
    let tenancy = RequireTenantScope::new(verifier()).or_query().token_sources(sources);
    let issuer = (app.threads.clone(), app.log.clone(), tickets.clone());
    let issue = async move |scope: TenantScope| {
        let (threads, log, tickets): (MemoryRegistry, MemoryLog, TicketIssuer) = issuer.clone();
        let grant = verify_thread_access(&threads, &scope, "th").await?;
        let ticket = tickets.issue(&grant, &log, LastEventId::Live).await?;
        Ok::<_, Rejection>(ticket.secret().to_owned())
    };
    let issuing = Router::new().route("/tickets", post(issue)).layer(tenancy.clone());
    let talking = router(app, tenancy.or_ticket());
    let site = RedeemTicket::new(tickets).layer(issuing.merge(talking));
    let addr = serve_axum(Router::new().fallback_service(site)).await;
    let bearer = token("t_alpha", "prod", "ada");
    let request = reqwest::Client::new().post(format!("http://{addr}/tickets"));
    let request = request.header("x-tenant-id", "t_alpha").header("x-env", "prod");
    let ticket = request.bearer_auth(bearer).send().await.unwrap().text().await.unwrap();
    (addr, ticket)
}

#[tokio::test]
async fn a_token_may_come_in_a_header_a_cookie_a_protocol_or_a_ticket() {
    let (addr, ticket) = site().await;
    let mut connection = Connection::to(addr).await;
    let jwt = token("t_alpha", "prod", "ada");
    let (bearer, cookie) = (format!("Bearer {jwt}"), format!("theme=dark; session={jwt}"));
    let (offer, origin) = (format!("chat.v1, bearer.{jwt}"), format!("http://{addr}"));
    let (tenant, env) = (("x-tenant-id", "t_alpha"), ("x-env", "prod"));
    let by_query = "/th?tenant=t_alpha&env=prod";
    for (path, headers) in [
        ("/th", vec![tenant, env, ("authorization", bearer.as_str())]),
        (by_query, vec![("cookie", cookie.as_str()), ("origin", &origin)]),
        (by_query, vec![("sec-websocket-protocol", offer.as_str()), ("origin", &origin)]),
        (&format!("/th?ticket={ticket}"), vec![("origin", origin.as_str())]),
    ] {
        let (mut socket, answer) = connection.open(path, &headers).await.expect(path);
        talks(&mut socket).await;
        let offered = headers.iter().any(|(name, _)| *name == "sec-websocket-protocol");
        let chosen = answer.get("sec-websocket-protocol").map(|name| name.to_str().unwrap());
        assert_eq!(chosen, offered.then_some("chat.v1"), "{headers:?}");
    }
    let used = format!("/th?ticket={ticket}");
    for (path, headers, status, code) in [
        ("/th", vec![], 400, "context.missing"),
        ("/th", vec![tenant, env], 401, "auth.missing"),
        (by_query, vec![("cookie", cookie.as_str())], 401, "auth.invalid"),
        (by_query, vec![("cookie", &cookie), ("origin", "https://evil.test")], 401, "auth.invalid"),
        (by_query, vec![("sec-websocket-protocol", "chat.v1")], 401, "auth.missing"),
        (&used, vec![("origin", &origin)], 401, "auth.invalid"),
        (
            "/th",
            vec![("x-tenant-id", "t_beta"), env, ("authorization", &bearer)],
            403,
            "tenant.mismatch",
        ),
        ("/other", vec![tenant, env, ("authorization", &bearer)], 403, "thread.forbidden"),
    ] {
        let refused = connection.open(path, &headers).await.err();
        assert_eq!(refused, Some((status, code.to_owned())), "{path} {headers:?}");
    }
}

#[tokio::test]
async fn the_layer_closes_a_refused_upgrade_with_its_code() {
    let tenancy = RequireTenantScope::new(verifier());
    let app = router(App::new().await, tenancy).layer(CloseRefusedUpgrades);
    let mut connection = Connection::to(serve_axum(app).await).await;
    let bearer = format!("Bearer {}", token("t_alpha", "prod", "ada"));
    let (tenant, env) = (("x-tenant-id", "t_alpha"), ("x-env", "prod"));
    let auth = ("authorization", bearer.as_str());
    for (headers, path, code, reason) in [
        (vec![env], "/th", 4400, "context.missing"),
        (vec![tenant, env], "/th", 4401, "auth.missing"),
        (vec![tenant, ("x-env", "dev"), auth], "/th", 4403, "env.mismatch"),
        (vec![tenant, env, auth], "/other", 4403, "thread.forbidden"),
    ] {
        let (mut socket, answer) = connection.open(path, &headers).await.unwrap();
        assert!(answer.contains_key("x-request-id") && answer["cache-control"] == "no-store");
        assert_eq!(next(&mut socket).await, Err((code, reason.to_owned())), "{headers:?}");
    }
    let (mut good, _) = connection.open("/th", &[tenant, env, auth]).await.unwrap();
    talks(&mut good).await;
    // A request that is not a WebSocket does not change.
    let other = connection.ask("connect-udp", "/th", &[env]).await;
    assert_eq!(other.status(), 400);
}

#[tokio::test]
async fn an_accepted_upgrade_stays_open_even_with_a_rejection_in_its_extensions() {
    // A handler may put a rejection into its response for other reasons.
    let handler = async |upgrade: WebSocketUpgrade| {
        let mut accepted = upgrade.on_upgrade(async |mut socket: ws::WebSocket| {
            let _sent = socket.send(ws::Message::text(r#"{"type":"accepted"}"#)).await;
        });
        accepted.headers_mut().insert("x-handler", HeaderValue::from_static("kept"));
        accepted.extensions_mut().insert(Rejection::new(RejectionKind::StreamLimit));
        accepted
    };
    let app = Router::new().route("/th", any(handler)).layer(CloseRefusedUpgrades);
    let mut connection = Connection::to(serve_axum(app).await).await;
    let (mut socket, answer) = connection.open("/th", &[]).await.unwrap();
    assert_eq!(answer["x-handler"], "kept", "the response of the handler");
    assert_eq!(next(&mut socket).await.unwrap()["type"], "accepted");
}

#[tokio::test]
async fn bare_hyper_refuses_a_protocol_that_is_not_a_web_socket() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let service = TowerToHyperService::new(hyper_service(App::new().await));
    tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http2().enable_connect_protocol();
        builder.serve_connection_with_upgrades(TokioIo::new(tcp), service).await
    });
    let mut connection = Connection::to(addr).await;
    let bearer = format!("Bearer {}", token("t_alpha", "prod", "ada"));
    let headers =
        [("x-tenant-id", "t_alpha"), ("x-env", "prod"), ("authorization", bearer.as_str())];
    let (mut socket, _) = connection.open("/th", &headers).await.unwrap();
    talks(&mut socket).await;
    let other = connection.ask("connect-udp", "/th", &headers).await;
    assert_eq!(other.status(), 400);
}
