//! Tests in real browsers, with the native `EventSource` and `WebSocket`, and with the demo page as a person uses it.

use crate::{
    browsers::{Firefox, Page, in_chromium},
    hosts::{App, serve_axum},
    layers::verifier,
    support::{Chat, chat_binary, token},
};
use axum::{
    Json, Router,
    extract::{FromRef, Path, Request, State},
    http::HeaderValue,
    middleware::{Next, from_fn},
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
use fantoccini::Locator;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{broadcast, watch},
};
use tower::Layer as _;
use tower_tenancy::{
    LastEventId, MemoryLog, MemoryRegistry, OnGap, Publisher, RedeemTicket, Rejection,
    RequireTenantScope, Routing, TenantScope, ThreadAccess, TicketIssuer, auth::TokenSources,
    verify_thread_access,
};

/// Ends each connection after some items, like a server that restarts.
async fn events(
    thread: ThreadAccess<Path<String>, MemoryRegistry>,
    from: LastEventId,
    State(log): State<MemoryLog>,
) -> Result<impl IntoResponse, Rejection> {
    let grant = thread.into_grant();
    let events = grant.subscribe(&log, from).await?.take(40);
    Ok(grant.guard(events).into_sse().retry(Duration::from_millis(50)))
}

const PAGE: &str = "<!doctype html><script>
    window.seen = []; window.gaps = 0; window.opens = 0;
    const source = new EventSource('/events/th?last_event_id=earliest');
    source.onopen = () => opens++;
    source.onmessage = message => seen.push(JSON.parse(message.data).meta.seq);
    source.addEventListener('stream.gap', () => gaps++);
</script>";

/// Adds the headers that a session cookie would stand for, because the page cannot set headers.
async fn session(mut request: Request, next: Next) -> Response {
    let bearer = format!("Bearer {}", token("t_alpha", "prod", "ada"));
    let values = [("x-tenant-id", "t_alpha"), ("x-env", "prod"), ("authorization", &bearer)];
    for (name, value) in values {
        request.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
    }
    next.run(request).await
}

/// An armed link breaks the connection when the server writes this text.
const SCISSORS: &str = "cut here";

/// A TCP proxy in front of a server. The test can break its connections.
#[derive(Clone)]
struct Link {
    addr: SocketAddr,
    server: SocketAddr,
    cuts: broadcast::Sender<()>,
    is_up: watch::Sender<bool>,
    armed: Arc<AtomicBool>,
}

impl Link {
    async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (cuts, is_up) = (broadcast::Sender::new(1), watch::Sender::new(true));
        let link = Self { addr, server, cuts, is_up, armed: Arc::default() };
        let accepting = link.clone();
        tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                let (link, cut) = (accepting.clone(), accepting.cuts.subscribe());
                tokio::spawn(async move { link.pass(near, cut).await });
            }
        });
        link
    }

    /// Breaks all connections.
    fn cut(&self) {
        // There may be no connection at this moment.
        drop(self.cuts.send(()));
    }

    /// Makes new connections wait, or lets the waiting ones through.
    fn set_up(&self, is_up: bool) {
        self.is_up.send_replace(is_up);
    }

    /// Ends the next connection on which the server writes [`SCISSORS`], in the middle of this text.
    fn arm(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }

    async fn pass(&self, mut near: TcpStream, mut cut: broadcast::Receiver<()>) {
        self.is_up.subscribe().wait_for(|is_up| *is_up).await.unwrap();
        let mut far = TcpStream::connect(self.server).await.unwrap();
        let passing = async {
            let (mut up, mut down) = (vec![0; 65_536], vec![0; 65_536]);
            loop {
                tokio::select! {
                    read = near.read(&mut up) => match read {
                        Ok(read @ 1..) => far.write_all(&up[..read]).await?,
                        _ => return Ok(()),
                    },
                    read = far.read(&mut down) => {
                        let read @ 1.. = read? else { return Ok(()) };
                        let text = &down[..read];
                        let word = SCISSORS.as_bytes();
                        let at = text.windows(word.len()).position(|window| window == word);
                        match at.filter(|_| self.armed.swap(false, Ordering::SeqCst)) {
                            Some(at) => return near.write_all(&text[..at + 3]).await,
                            None => near.write_all(text).await?,
                        }
                    }
                }
            }
        };
        let is_cut = tokio::select! {
            _ = passing => false,
            _ = cut.recv() => true,
        };
        if is_cut {
            near.set_zero_linger().unwrap();
        }
    }
}

#[tokio::test]
#[ignore = "needs Chromium; `scripts/test` runs it"]
async fn a_native_event_source_gets_each_event_once_across_cuts() {
    let thread: Routing = "t_alpha/prod/th".parse().unwrap();
    let app = App { threads: MemoryRegistry::new(), log: MemoryLog::new() };
    app.threads.register(&thread);
    let publisher = Publisher::without_proof(app.log.clone(), thread);
    let guarded = Router::new()
        .route("/events/{thread}", get(events))
        .route_layer(RequireTenantScope::new(verifier()))
        .route_layer(from_fn(session))
        .with_state(app);
    let server = serve_axum(guarded.route("/", get(async || Html(PAGE)))).await;
    let link = Link::to(server).await;
    let addr = link.addr;

    in_chromium(async move |client| {
        client.goto(&format!("http://{addr}/")).await.unwrap();
        client.until("return opens", |opens| opens == 1).await;
        for i in 1..=300 {
            publisher.publish("message", &i).await.unwrap();
            if i % 70 == 0 {
                // The browser sees a reset connection.
                link.cut();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let seen = client.until("return seen", |seen| seen.as_array().unwrap().len() >= 300).await;
        assert_eq!(seen, json!((1..=300).collect::<Vec<_>>()), "each event once, in order");
        let opens = client.execute("return opens", vec![]).await.unwrap();
        assert!(opens.as_u64().unwrap() >= 8, "{opens} connections");
        assert_eq!(client.execute("return gaps", vec![]).await.unwrap(), 0);
    })
    .await;
}

/// Opens streams with tickets, like a page that has a token but cannot send it with a stream.
const BY_TICKETS: &str = "
    const who = {
        'Authorization': 'Bearer ' + token, 'X-Tenant-Id': 't_alpha', 'X-Env': 'prod',
        'Content-Type': 'application/json',
    };
    window.ticket = async () => {
        const body = JSON.stringify({ thread_id: 'th' });
        // The connection may be cut at this moment.
        for (;;) {
            const answer = await fetch('/tickets', { method: 'POST', headers: who, body }).catch(() => null);
            if (answer) return (await answer.json()).ticket;
        }
    };
    window.sse = { seen: [], opens: 0, errors: 0, state: () => sse.source.readyState };
    window.ws = { seen: [], opens: 0, cursor: '' };
    sse.source = new EventSource(`/sse/chat/th?ticket=${await ticket()}`);
    sse.source.onopen = () => sse.opens++;
    sse.source.onerror = () => sse.errors++;
    sse.source.onmessage = message => sse.seen.push(JSON.parse(message.data).data.text);
    (window.connect = async () => {
        const url = `/ws/chat/th?ticket=${await ticket()}&last_event_id=${ws.cursor}`;
        ws.socket = new WebSocket(url.replace(/^/, location.origin.replace('http', 'ws')));
        ws.socket.onmessage = ({ data }) => {
            const message = JSON.parse(data);
            if (message.id) ws.cursor = message.id;
            if (message.type === 'open') ws.opens++;
            if (message.routing) ws.seen.push(message.data.text);
        };
        ws.socket.onclose = () => setTimeout(connect, 20);
    })();
";

#[tokio::test]
#[ignore = "needs Chromium; `scripts/test` runs it"]
async fn a_browser_with_tickets_gets_each_event_once_across_cuts() {
    let chat = Chat::start();
    let server: SocketAddr = chat.base.trim_start_matches("http://").parse().unwrap();
    let link = Link::to(server).await;
    let base = format!("http://{}", link.addr);
    in_chromium(async move |client| {
        client.goto(&format!("{base}/healthz")).await.unwrap();
        let jwt = token("t_alpha", "prod", "ada");
        client.run(&format!("const token = '{jwt}'; {BY_TICKETS}")).await.unwrap();
        client.until("return sse.opens + ws.opens", |opens| opens == 2).await;
        for i in 1..=200 {
            chat.say("t_alpha", "th", &i.to_string()).await;
            if i % 60 == 0 {
                link.cut();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let all = json!((1..=200).map(|i| i.to_string()).collect::<Vec<_>>());
        for stream in ["sse", "ws"] {
            let count = |seen: &Value| seen.as_array().is_some_and(|seen| seen.len() >= 200);
            let seen = client.until(&format!("return {stream}.seen"), count).await;
            assert_eq!(seen, all, "{stream}: each event once, in order");
            let opens = client.execute(&format!("return {stream}.opens"), vec![]).await.unwrap();
            assert!(opens.as_u64().unwrap() >= 2, "{stream}: {opens} connections");
        }
        // One `EventSource` did this with one ticket, and is still open.
        assert_eq!(client.execute("return sse.state()", vec![]).await.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
#[ignore = "needs Chromium; `scripts/test` runs it"]
async fn a_browsers_web_socket_can_send_a_token_and_learns_why_it_is_refused() {
    let chat = Chat::start_with(&["--close-refused-upgrades"]);
    let base = chat.base.clone();
    in_chromium(async move |client| {
        client.goto(&format!("{base}/healthz")).await.unwrap();
        let ws = base.replace("http://", "ws://");
        let jwt = token("t_alpha", "prod", "ada");
        let beta = token("t_beta", "prod", "bob");
        let query = "tenant=t_alpha&env=prod";
        let open = "window.ended = null; window.messages = [];
             window.socket = new WebSocket(arguments[0], arguments[1]);
             socket.onmessage = ({ data }) => messages.push(JSON.parse(data));
             socket.onclose = ({ code, reason }) => ended = [code, reason];";
        let connect = async |path: &str, protocols: Value| {
            client.execute(open, vec![json!(format!("{ws}{path}")), protocols]).await.unwrap();
        };
        let th = format!("/ws/chat/th?{query}");
        connect(&th, json!(["chat.v1", format!("bearer.{jwt}")])).await;
        client.until("return messages.map(m => m.type)", |types| *types == json!(["open"])).await;
        assert_eq!(client.execute("return socket.protocol", vec![]).await.unwrap(), "chat.v1");
        let say = "socket.send(JSON.stringify({ type: 'message', text: 'hi' }));
                   socket.send(JSON.stringify({ text: 'hi', routing: { tenant_id: 't_beta' } }));";
        client.execute(say, vec![]).await.unwrap();
        let types = json!(["error", "message", "open"]);
        client.until("return messages.map(m => m.type).sort()", |got| *got == types).await;
        let actor = client.execute("return messages.find(m => m.routing).routing", vec![]).await;
        let actor = actor.unwrap();
        assert_eq!((&actor["actor_id"], &actor["tenant_id"]), (&json!("ada"), &json!("t_alpha")));

        for (path, protocols, closed) in [
            (th.as_str(), json!(["chat.v1"]), json!([4401, "auth.missing"])),
            (&th, json!(["chat.v1", format!("bearer.{beta}")]), json!([4403, "tenant.mismatch"])),
            (
                "/ws/chat/th",
                json!(["chat.v1", format!("bearer.{jwt}")]),
                json!([4400, "context.missing"]),
            ),
            ("/ws/chat/th?ticket=used", json!([]), json!([4401, "auth.invalid"])),
        ] {
            connect(path, protocols).await;
            let told = client.until("return ended", |ended| !ended.is_null()).await;
            assert_eq!(told, closed, "{path}");
            assert_eq!(client.execute("return messages.length", vec![]).await.unwrap(), 0);
        }
    })
    .await;
}

#[tokio::test]
#[ignore = "needs Chromium; `scripts/test` runs it"]
async fn a_page_of_another_site_cannot_open_a_web_socket_with_the_cookie() {
    let sources = TokenSources::header().or_cookie("session");
    let tenancy = RequireTenantScope::new(verifier()).or_query().token_sources(sources);
    let app = crate::websocket::router(App::new().await, tenancy);
    let jwt = token("t_alpha", "prod", "ada");
    let login = move || {
        let cookie = format!("session={jwt}; Path=/; HttpOnly; SameSite=Lax");
        std::future::ready(([("set-cookie", cookie)], "logged in"))
    };
    let service = serve_axum(app.route("/login", get(login))).await;
    // Another port is another origin, but the same site: the browser still sends the cookie.
    let evil = serve_axum(Router::new().route("/", get(async || "a page"))).await;
    in_chromium(async move |client| {
        client.goto(&format!("http://{service}/login")).await.unwrap();
        for (page, path, told) in [(service, "login", "open"), (evil, "", "refused")] {
            client.goto(&format!("http://{page}/{path}")).await.unwrap();
            let script = format!(
                "window.told = null;
                 const socket = new WebSocket('ws://{service}/th?tenant=t_alpha&env=prod');
                 socket.onmessage = ({{ data }}) => told ??= JSON.parse(data).type;
                 socket.onerror = () => told ??= 'refused';"
            );
            client.execute(&script, vec![]).await.unwrap();
            let answer = client.until("return told", |told| !told.is_null()).await;
            assert_eq!(answer, told, "from a page of {page}");
        }
    })
    .await;
}

#[tokio::test]
#[ignore = "needs Chromium; `scripts/test` runs it"]
async fn the_demo_page_keeps_two_tenants_apart_and_resumes() {
    let chat = Chat::run(Command::new(chat_binary()).args(["--addr", "127.0.0.1:0"]));
    let base = chat.base.clone();
    in_chromium(async move |client| {
        client.goto(&base).await.unwrap();
        let click = async |panel: &str, action: &str| {
            let button = format!("[data-panel={panel}] [data-action={action}]");
            client.find(Locator::Css(&button)).await.unwrap().click().await.unwrap();
        };
        let say = async |panel: &str, text: &str| {
            let field = format!("[data-panel={panel}] [data-field=text]");
            client.find(Locator::Css(&field)).await.unwrap().send_keys(text).await.unwrap();
            click(panel, "send").await;
            // The page clears the field when it has sent the message.
            let value = format!("return document.querySelector('{field}').value");
            client.until(&value, |value| *value == "").await;
        };
        let text_is = async |panel: &str, role: &str, wanted: &str| {
            let script = format!(
                "return document.querySelector('[data-panel={panel}] {role}').textContent"
            );
            client.until(&script, |text| text.as_str().unwrap().contains(wanted)).await;
        };
        // Checks both streams of the panel.
        let status_is = async |panel: &str, wanted: &str| {
            for transport in ["sse", "ws"] {
                let status = format!("[data-transport={transport}] [data-role=status]");
                text_is(panel, &status, wanted).await;
            }
        };
        let texts_are = async |panel: &str, wanted: &[&str]| {
            for transport in ["sse", "ws"] {
                let script = format!(
                    "return [...document.querySelectorAll('[data-panel={panel}] [data-transport={transport}] [data-role=events] .text')].map(e => e.textContent)"
                );
                client.until(&script, |texts| *texts == json!(wanted)).await;
            }
        };

        client.until("return document.querySelector('[data-panel=b] [data-field=token]').value", |token| {
            token.as_str().is_some_and(|token| token.contains('.'))
        })
        .await;
        for panel in ["a", "b"] {
            click(panel, "connect").await;
            status_is(panel, "open").await;
        }
        say("a", "hello from alpha").await;
        say("b", "hello from beta").await;
        texts_are("a", &["hello from alpha"]).await;
        texts_are("b", &["hello from beta"]).await;

        click("a", "cut").await;
        status_is("a", "cut").await;
        say("a", "while away 1").await;
        say("a", "while away 2").await;
        click("a", "resume").await;
        texts_are("a", &["hello from alpha", "while away 1", "while away 2"]).await;

        let refusal = "[data-role=refusal]";
        for (attempt, refused) in [
            ("foreign", "403 thread.forbidden"),
            ("impersonate", "403 tenant.mismatch"),
            ("borrow", "403 thread.forbidden"),
            ("spoof", "message.invalid"),
        ] {
            click("a", attempt).await;
            text_is("a", refusal, refused).await;
        }
        let shot = client.screenshot().await.unwrap();
        std::fs::write(concat!(env!("CARGO_TARGET_TMPDIR"), "/demo.png"), shot).unwrap();
        texts_are("b", &["hello from beta"]).await;
        let bad = client.execute("return document.querySelectorAll('.tag.bad').length", vec![]);
        assert_eq!(bad.await.unwrap(), 0, "no repeated and no foreign event");
    })
    .await;
}

#[derive(Clone, FromRef)]
struct Site {
    threads: MemoryRegistry,
    log: MemoryLog,
    tickets: TicketIssuer,
}

/// Continues live after a gap, so that no event follows the notice.
async fn quiet(
    thread: ThreadAccess<Path<String>, MemoryRegistry>,
    from: LastEventId,
    State(log): State<MemoryLog>,
) -> Result<impl IntoResponse, Rejection> {
    let grant = thread.into_grant();
    let events = grant.subscribe(&log, from).await?.on_gap(OnGap::Live);
    Ok(grant.guard(events).into_sse().retry(Duration::from_millis(50)))
}

async fn ticket(
    scope: TenantScope,
    State(site): State<Site>,
    from: String,
) -> Result<impl IntoResponse, Rejection> {
    let grant = verify_thread_access(&site.threads, &scope, "th").await?;
    let from = LastEventId::parse(&from)?;
    Ok(Json(site.tickets.issue(&grant, &site.log, from).await?))
}

/// The script of a page whose stream is quiet. It opens the stream with a session cookie or with a ticket.
const QUIET: &str = "
    window.seen = []; window.opens = 0; window.gaps = 0; window.broken = 0;
    const ticket = async () => {
        const answer = await fetch('/tickets', { method: 'POST', body: from });
        return (await answer.json()).ticket;
    };
    const url = by === 'ticket'
        ? `/by-ticket/th?ticket=${await ticket()}` : `/by-session/th?last_event_id=${from}`;
    window.source = new EventSource(url);
    source.onerror = () => broken++;
    source.onmessage = ({ data }) => seen.push(JSON.parse(data).data);
    source.addEventListener('stream.open', () => opens++);
    source.addEventListener('stream.gap', () => gaps++);
";

/// Cuts a stream before its first event, right after a gap, and in the middle of an event.
async fn cut_where_it_hurts(page: impl Page) {
    let thread: Routing = "t_alpha/prod/th".parse().unwrap();
    let site = Site {
        threads: MemoryRegistry::new(),
        log: MemoryLog::new(),
        tickets: TicketIssuer::in_memory(),
    };
    site.threads.register(&thread);
    let publisher = Publisher::without_proof(site.log.clone(), thread);
    let tenancy = RequireTenantScope::new(verifier());
    let by_session = Router::new()
        .route("/by-session/{thread}", get(quiet))
        .route("/tickets", post(ticket))
        .route_layer(tenancy.clone())
        .route_layer(from_fn(session));
    let by_ticket = Router::new()
        .route("/by-ticket/{thread}", get(quiet))
        .route_layer(tenancy.or_ticket().opens_streams());
    let router = by_session
        .merge(by_ticket)
        .with_state(site.clone())
        .route("/", get(async || Html("<!doctype html><title>quiet</title>")));
    let tickets = RedeemTicket::new(site.tickets.clone());
    let server = serve_axum(Router::new().fallback_service(tickets.layer(router))).await;
    let link = Link::to(server).await;

    let wait = async |script: &str, wanted: Value| {
        page.until(script, |answer| *answer == wanted).await;
    };
    for by in ["session", "ticket"] {
        for (from, gaps) in [("", 0), ("0123456789abcdef-7", 1)] {
            page.open(&format!("http://{}/", link.addr)).await;
            let script = format!("const by = '{by}', from = '{from}'; {QUIET}");
            page.run(&script).await.unwrap();
            wait("return [opens, gaps]", json!([1, gaps])).await;
            // Cut the quiet stream before its first event.
            link.set_up(false);
            link.cut();
            page.until("return broken", |broken| broken.as_u64() >= Some(1)).await;
            for i in 1..=3 {
                publisher.publish("message", &i).await.unwrap();
            }
            link.set_up(true);
            wait("return [seen, gaps]", json!([[1, 2, 3], gaps])).await;
            // Cut the stream in the middle of an event, after its id.
            let whole = format!("{SCISSORS} ").repeat(50);
            link.arm();
            publisher.publish("message", &whole).await.unwrap();
            publisher.publish("message", "next").await.unwrap();
            wait("return seen", json!([1, 2, 3, whole, "next"])).await;
            assert_eq!(page.run("return [opens, gaps]").await.unwrap(), json!([3, gaps]));
            page.run("source.close()").await.unwrap();
        }
    }
}

#[tokio::test]
#[ignore = "needs Chromium; `scripts/test` runs it"]
async fn a_quiet_stream_that_is_cut_loses_nothing_in_chromium() {
    in_chromium(cut_where_it_hurts).await;
}

#[tokio::test]
#[ignore = "needs Firefox; `scripts/test` runs it"]
async fn a_quiet_stream_that_is_cut_loses_nothing_in_firefox() {
    cut_where_it_hurts(Firefox::start().await).await;
}
