//! A real Chromium: its own `EventSource`, and the demo page as a person uses it.
//!
//! Needs Chromium and ChromeDriver (Debian: `chromium`, `chromium-driver`); `scripts/test` installs
//! them.

use crate::{
    hosts::{App, serve_axum},
    layers::verifier,
    support::{Chat, chat_binary, token},
};
use axum::{
    Router,
    extract::{Path, Request, State},
    http::HeaderValue,
    middleware::{Next, from_fn},
    response::{Html, IntoResponse},
    routing::get,
};
use fantoccini::{Client, ClientBuilder, Locator};
use futures_util::{FutureExt as _, StreamExt as _};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    panic::{AssertUnwindSafe, resume_unwind},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tokio::{net::TcpListener, sync::broadcast};
use tower_tenancy::{
    LastEventId, MemoryLog, MemoryRegistry, Publisher, Rejection, RequireTenantScope, Routing,
    ThreadAccess, auth::TokenSources,
};

/// A running ChromeDriver. Ends with its owner.
struct Driver(Child);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Runs `test` in a browser of its own, and ends the browser whatever happens.
async fn in_browser<T: Future<Output = ()>>(test: impl FnOnce(Client) -> T) {
    let driver = Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).spawn();
    let mut driver = Driver(driver.expect("chromedriver is installed"));
    let lines = BufReader::new(driver.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    let port = lines
        .filter_map(|line| line.split_once("on port ").map(|(_, rest)| rest.to_owned()))
        .find_map(|rest| rest.trim_end_matches('.').parse::<u16>().ok().filter(|port| *port > 0))
        .expect("chromedriver says its port");
    let profile = std::env::temp_dir().join(format!("browser-{}", uuid::Uuid::new_v4()));
    let profile_arg = format!("--user-data-dir={}", profile.display());
    let arguments = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1280,900",
        &profile_arg,
    ];
    let capabilities = json!({"goog:chromeOptions": {"args": arguments}});
    let client = ClientBuilder::new(HttpConnector::new())
        .capabilities(capabilities.as_object().unwrap().clone())
        .connect(&format!("http://127.0.0.1:{port}"))
        .await
        .unwrap();
    let outcome = AssertUnwindSafe(test(client.clone())).catch_unwind().await;
    client.close().await.unwrap();
    drop(driver);
    drop(std::fs::remove_dir_all(profile));
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
}

/// Asks the page until its answer is what is wanted.
async fn until(client: &Client, script: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let answer = client.execute(script, vec![]).await.unwrap();
        if wanted(&answer) {
            return answer;
        }
        assert!(Instant::now() < deadline, "{script} is still {answer}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Ends each connection by itself after some items, as a server that restarts would.
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

/// Passes connections on to `server`, until told to break them all.
async fn breakable(server: SocketAddr, cuts: broadcast::Sender<()>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            let mut cut = cuts.subscribe();
            tokio::spawn(async move {
                let mut far = tokio::net::TcpStream::connect(server).await.unwrap();
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                    _ = cut.recv() => near.set_zero_linger().unwrap(),
                }
            });
        }
    });
    addr
}

#[tokio::test]
#[ignore = "needs Chromium; `scripts/test` runs it"]
async fn a_native_event_source_survives_cuts_without_loss_or_double() {
    let thread: Routing = "t_alpha/prod/th".parse().unwrap();
    let app = App { threads: MemoryRegistry::new(), log: MemoryLog::new() };
    app.threads.register(&thread);
    let publisher = Publisher::without_proof(app.log.clone(), thread);
    // What a session cookie would do: the page cannot set headers.
    let session = from_fn(async |mut request: Request, next: Next| {
        let bearer = format!("Bearer {}", token("t_alpha", "prod", "ada"));
        let values = [("x-tenant-id", "t_alpha"), ("x-env", "prod"), ("authorization", &bearer)];
        for (name, value) in values {
            request.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
        }
        next.run(request).await
    });
    let guarded = Router::new()
        .route("/events/{thread}", get(events))
        .route_layer(RequireTenantScope::new(verifier()))
        .route_layer(session)
        .with_state(app);
    let router = guarded.route("/", get(async || Html(PAGE)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let cuts = broadcast::Sender::new(1);
    let addr = breakable(server, cuts.clone()).await;

    in_browser(async move |client| {
        client.goto(&format!("http://{addr}/")).await.unwrap();
        until(&client, "return opens", |opens| opens == 1).await;
        for i in 1..=300 {
            publisher.publish("message", &i).await.unwrap();
            if i % 70 == 0 {
                // In the middle of things: the browser sees a reset connection.
                // Nobody may be connected just then.
                drop(cuts.send(()));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let seen =
            until(&client, "return seen", |seen| seen.as_array().unwrap().len() >= 300).await;
        assert_eq!(seen, json!((1..=300).collect::<Vec<_>>()), "each once, in order");
        let opens = client.execute("return opens", vec![]).await.unwrap();
        assert!(opens.as_u64().unwrap() >= 8, "{opens} connections");
        assert_eq!(client.execute("return gaps", vec![]).await.unwrap(), 0);
    })
    .await;
}

/// Opens streams as a page does that has a token and no way to send it: by tickets.
const BY_TICKETS: &str = "
    const who = { 'Authorization': 'Bearer ' + token, 'X-Tenant-Id': 't_alpha', 'X-Env': 'prod' };
    window.ticket = async () => {
        const body = JSON.stringify({ thread_id: 'th' });
        // The connection may be cut just now.
        for (;;) {
            const answer = await fetch('/tickets', { method: 'POST', headers: who, body }).catch(() => null);
            if (answer) return (await answer.json()).ticket;
        }
    };
    window.sse = { seen: [], opens: 0, errors: 0, state: () => sse.source.readyState };
    sse.source = new EventSource(`/sse/chat/th?ticket=${await ticket()}`);
    sse.source.onopen = () => sse.opens++;
    sse.source.onerror = () => sse.errors++;
    sse.source.onmessage = message => sse.seen.push(JSON.parse(message.data).data.text);
    window.ws = { seen: [], opens: 0, cursor: '' };
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
async fn by_tickets_a_browser_survives_cuts_without_loss_or_double() {
    let chat = Chat::start();
    let server: SocketAddr = chat.base.trim_start_matches("http://").parse().unwrap();
    let cuts = broadcast::Sender::new(1);
    let base = format!("http://{}", breakable(server, cuts.clone()).await);
    in_browser(async move |client| {
        client.goto(&format!("{base}/healthz")).await.unwrap();
        let jwt = token("t_alpha", "prod", "ada");
        let script = format!("(async () => {{ const token = '{jwt}'; {BY_TICKETS} }})()");
        client.execute(&script, vec![]).await.unwrap();
        until(&client, "return sse.opens + ws.opens", |opens| opens == 2).await;
        for i in 1..=200 {
            chat.say("t_alpha", "th", &i.to_string()).await;
            if i % 60 == 0 {
                drop(cuts.send(()));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let all = json!((1..=200).map(|i| i.to_string()).collect::<Vec<_>>());
        for stream in ["sse", "ws"] {
            let count = |seen: &Value| seen.as_array().is_some_and(|seen| seen.len() >= 200);
            let seen = until(&client, &format!("return {stream}.seen"), count).await;
            assert_eq!(seen, all, "{stream}: each once, in order");
            let opens = client.execute(&format!("return {stream}.opens"), vec![]).await.unwrap();
            assert!(opens.as_u64().unwrap() >= 2, "{stream}: {opens} connections");
        }
        // The one `EventSource` did all that by itself, with one ticket.
        assert_eq!(client.execute("return sse.state()", vec![]).await.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
#[ignore = "needs Chromium; `scripts/test` runs it"]
async fn a_browsers_web_socket_bears_a_token_and_is_told_why_it_is_refused() {
    let chat = Chat::start_with(&["--close-refused-upgrades"]);
    let base = chat.base.clone();
    in_browser(async move |client| {
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
        until(&client, "return messages.map(m => m.type)", |types| *types == json!(["open"])).await;
        assert_eq!(client.execute("return socket.protocol", vec![]).await.unwrap(), "chat.v1");
        let say = "socket.send(JSON.stringify({ type: 'message', text: 'hi' }));
                   socket.send(JSON.stringify({ text: 'hi', routing: { tenant_id: 't_beta' } }));";
        client.execute(say, vec![]).await.unwrap();
        let types = json!(["error", "message", "open"]);
        until(&client, "return messages.map(m => m.type).sort()", |got| *got == types).await;
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
            let told = until(&client, "return ended", |ended| !ended.is_null()).await;
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
    // Another port is another origin, of the same host: the browser sends the cookie along.
    let evil = serve_axum(Router::new().route("/", get(async || "a page"))).await;
    in_browser(async move |client| {
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
            let answer = until(&client, "return told", |told| !told.is_null()).await;
            assert_eq!(answer, told, "from a page of {page}");
        }
    })
    .await;
}

#[tokio::test]
#[ignore = "needs Chromium; `scripts/test` runs it"]
async fn the_demo_page_shows_two_tenants_apart_and_resumes() {
    let chat = Chat::run(Command::new(chat_binary()).args(["--addr", "127.0.0.1:0"]));
    let base = chat.base.clone();
    in_browser(async move |client| {
        client.goto(&base).await.unwrap();
        let click = async |panel: &str, action: &str| {
            let button = format!("[data-panel={panel}] [data-action={action}]");
            client.find(Locator::Css(&button)).await.unwrap().click().await.unwrap();
        };
        let say = async |panel: &str, text: &str| {
            let field = format!("[data-panel={panel}] [data-field=text]");
            client.find(Locator::Css(&field)).await.unwrap().send_keys(text).await.unwrap();
            click(panel, "send").await;
            // The field is empty again once the message is on its way.
            let value = format!("return document.querySelector('{field}').value");
            until(&client, &value, |value| *value == "").await;
        };
        let text_is = async |panel: &str, role: &str, wanted: &str| {
            let script = format!(
                "return document.querySelector('[data-panel={panel}] {role}').textContent"
            );
            until(&client, &script, |text| text.as_str().unwrap().contains(wanted)).await;
        };
        // In both streams of the panel.
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
                until(&client, &script, |texts| *texts == json!(wanted)).await;
            }
        };

        until(&client, "return document.querySelector('[data-panel=b] [data-field=token]').value", |token| {
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
        assert_eq!(bad.await.unwrap(), 0, "nothing doubled, nothing foreign");
    })
    .await;
}
