//! The layers give the same answers with axum, with `ServiceBuilder` and with bare hyper.

use crate::{
    layers::{request, verifier},
    support::{Chat, Events, Example, refusal},
};
use axum::{
    Router,
    extract::{FromRef, Path, State},
    response::IntoResponse,
    routing::get,
};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use std::{collections::BTreeMap, convert::Infallible, net::SocketAddr};
use tokio::net::TcpListener;
use tower::{Service, ServiceBuilder, service_fn};
use tower_tenancy::{
    AuthContext, BoxError, CutOff, LastEventId, MemoryLog, MemoryRegistry, Publisher, Rejection,
    RequestContext, RequireAuth, RequireRequestContext, RequireTenantScope, Routing,
    TenantEnvGuard, TenantScope, ThreadAccess,
    rejection::{ByContentType, Dialect, RejectWith as _},
    verify_thread_access,
};

#[derive(Clone, FromRef)]
pub(crate) struct App {
    pub(crate) threads: MemoryRegistry,
    pub(crate) log: MemoryLog,
}

impl App {
    pub(crate) async fn new() -> Self {
        let app = Self { threads: MemoryRegistry::new(), log: MemoryLog::new() };
        let thread: Routing = "t_alpha/prod/th".parse().unwrap();
        app.threads.register(&thread);
        let publisher = Publisher::without_proof(app.log.clone(), thread);
        publisher.publish("message", "one").await.unwrap();
        app
    }
}

async fn events(
    thread: ThreadAccess<Path<String>, MemoryRegistry>,
    from: LastEventId,
    State(log): State<MemoryLog>,
) -> Result<impl IntoResponse, Rejection> {
    let grant = thread.into_grant();
    let events = grant.subscribe(&log, from).await?;
    Ok(grant.guard(events).into_sse())
}

fn axum_router(app: App) -> Router<()> {
    Router::new().route("/{thread}", get(events)).with_state(app)
}

pub(crate) async fn serve_axum(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    addr
}

/// A server without a framework: a service function, `ServiceBuilder`, and hyper's connection.
async fn serve_hyper(app: App) -> SocketAddr {
    type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, CutOff>;
    let handler = service_fn(move |request: Request<Incoming>| {
        let app = app.clone();
        async move {
            let answer = async {
                let scope = TenantScope::from_extensions(request.extensions())?;
                let thread = request.uri().path().trim_start_matches('/');
                let from = LastEventId::of(request.headers(), request.uri())?.unwrap_or_default();
                let grant = verify_thread_access(&app.threads, scope, thread).await?;
                let events = grant.subscribe(&app.log, from).await?;
                Ok(grant.guard(events).into_sse().into_http().map(|body| body.boxed_unsync()))
            };
            let answer: Result<Response<Body>, Rejection> = answer.await;
            Ok::<_, Infallible>(answer.unwrap_or_else(|rejection| {
                let body = |body: Full<_>| body.map_err(|never| match never {}).boxed_unsync();
                ByContentType.reject(&rejection, Dialect::Http).map(body)
            }))
        }
    });
    let service = ServiceBuilder::new()
        .layer(RequireTenantScope::new(verifier()).reject_with(tower_tenancy::rejection::WrapBody))
        .service(handler);
    accept(service).await
}

/// Serves `service` on hyper's connections, with upgrades.
pub(crate) async fn accept<S, B>(service: S) -> SocketAddr
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(tcp), service)
                    .with_upgrades()
                    .await
            });
        }
    });
    addr
}

/// The status, headers and body of a response, without the date and `Vary`. (Each layer adds only its own
/// headers to `Vary`. With three layers, the refusal of the outermost layer lacks those of the others.)
async fn answer(
    addr: SocketAddr,
    change: &(&str, &str, &str),
) -> (u16, BTreeMap<String, String>, String) {
    let (path, name, value) = change;
    let client = reqwest::Client::new();
    let mut asked = client.get(format!("http://{addr}{path}")).header("x-request-id", "same");
    for (header, good) in request().headers() {
        if header == name && value.is_empty() {
            continue;
        }
        asked = asked
            .header(header, if header == name { (*value).parse().unwrap() } else { good.clone() });
    }
    let response = asked.send().await.unwrap();
    let mut headers = BTreeMap::new();
    for (name, value) in response.headers() {
        if !["date", "transfer-encoding", "content-length", "vary"].contains(&name.as_str()) {
            headers.insert(name.to_string(), value.to_str().unwrap().to_owned());
        }
    }
    (response.status().as_u16(), headers, response.text().await.unwrap())
}

#[tokio::test]
async fn every_host_gives_the_same_refusals_and_the_same_stream() {
    let app = App::new().await;
    let three = || {
        ServiceBuilder::new()
            .layer(RequireRequestContext::new())
            .layer(RequireAuth::new(verifier()))
            .layer(TenantEnvGuard::new())
    };
    let one = || RequireTenantScope::new(verifier());
    let hosts = [
        ("axum layer", serve_axum(axum_router(app.clone()).layer(one())).await),
        ("axum route_layer", serve_axum(axum_router(app.clone()).route_layer(one())).await),
        (
            "axum, three by ServiceBuilder",
            serve_axum(axum_router(app.clone()).layer(three())).await,
        ),
        (
            "axum, three by three calls",
            serve_axum(
                axum_router(app.clone())
                    .layer(TenantEnvGuard::new())
                    .layer(RequireAuth::new(verifier()))
                    .layer(RequireRequestContext::new()),
            )
            .await,
        ),
        ("hyper", serve_hyper(app.clone()).await),
    ];
    for change in [
        ("/th", "x-env", ""),
        ("/th", "x-tenant-id", "t_unknown"),
        ("/th", "authorization", ""),
        ("/th", "authorization", "Bearer a.b.c"),
        ("/th", "x-tenant-id", "t_beta"),
        ("/th", "x-env", "dev"),
        ("/other", "", ""),
        ("/th?last_event_id=x", "", ""),
    ] {
        let expected = answer(hosts[0].1, &change).await;
        assert!(expected.0 >= 400, "{change:?}: {expected:?}");
        for (host, addr) in &hosts[1..] {
            assert_eq!(answer(*addr, &change).await, expected, "{host}: {change:?}");
        }
    }
    for (host, addr) in hosts {
        let mut asked = reqwest::Client::new().get(format!("http://{addr}/th"));
        for (name, value) in request().headers() {
            asked = asked.header(name, value);
        }
        let asked = asked.header("last-event-id", "earliest").header("x-request-id", "conn");
        let mut stream = Events::of(asked.send().await.unwrap());
        let envelope = stream.event().await.unwrap().json();
        assert_eq!(envelope["data"], "one", "{host}");
        assert_eq!(envelope["meta"]["trace_id"], "conn", "{host}");
    }
}

#[tokio::test]
async fn a_route_whose_layer_was_forgotten_refuses_every_request() {
    async fn wants_scope(_: TenantScope) {}
    async fn wants_context(_: RequestContext) {}
    async fn wants_auth(_: AuthContext) {}
    async fn wants_optional_auth(_: Option<AuthContext>) {}
    let forgotten = Router::new()
        .route("/scope", get(wants_scope))
        .route("/context", get(wants_context))
        .route("/auth", get(wants_auth))
        .route("/optional", get(wants_optional_auth));
    let threads = axum_router(App::new().await);
    let addr = serve_axum(forgotten.merge(threads)).await;
    for path in ["/scope", "/context", "/auth", "/optional", "/th"] {
        let (status, headers, body) = answer(addr, &(path, "", "")).await;
        assert_eq!(status, 500, "{path}");
        assert_eq!(headers["content-type"], "application/problem+json");
        assert!(body.contains("server.misconfigured"), "{body}");
    }
}

#[tokio::test]
async fn option_extractors_give_none_for_an_absent_token_and_an_absent_cursor() {
    async fn who(auth: Option<AuthContext>, from: Option<LastEventId>) -> String {
        format!("{:?} {:?}", auth.map(|auth| auth.subject().to_string()), from)
    }
    let layer = RequireAuth::new(verifier()).optional();
    let addr = serve_axum(Router::new().route("/", get(who)).layer(layer)).await;
    assert_eq!(answer(addr, &("/", "authorization", "")).await.2, "None None");
    let some = answer(addr, &("/?last_event_id=earliest", "", "")).await.2;
    assert_eq!(some, r#"Some("ada") Some(Earliest)"#);
}

#[tokio::test]
async fn the_hyper_example_gives_the_same_answers_as_the_axum_example() {
    let hyper = Chat::at(Example::run("hyper_sse", &[]));
    let chat = Chat::start();
    for (thread, header, value) in [
        ("th", "x-tenant-id", "t_unknown"),
        ("th", "x-env", "dev"),
        ("only-beta", "x-other", ""),
        ("th", "last-event-id", "42"),
    ] {
        let mut answers = Vec::new();
        for host in [&hyper, &chat] {
            let request = host.request("GET", &format!("/sse/chat/{thread}"), "t_alpha");
            let mut request = request.build().unwrap();
            request.headers_mut().insert(header, value.parse().unwrap());
            answers.push(refusal(host.http.execute(request).await.unwrap()).await);
        }
        assert_eq!(answers[0], answers[1], "{thread} {header}");
    }
    let mut events = hyper.listen("t_alpha", "th", None).await;
    let say = hyper.post("/chat/th/messages", "t_alpha", r#"{"text":"hi"}"#);
    assert_eq!(say.send().await.unwrap().status(), 201);
    assert_eq!(events.event().await.unwrap().json()["data"]["text"], "hi");
    // The applications' own refusals are the same, too.
    let plain =
        |host: &Chat| host.request("POST", "/chat/th/messages", "t_alpha").body(r#"{"text":"hi"}"#);
    let spoof = r#"{"text":"hi","actor_id":"bob"}"#;
    for host in [&hyper, &chat] {
        let post = |body: String| host.post("/chat/th/messages", "t_alpha", body);
        for (request, status, code) in [
            (post(spoof.to_owned()), 400, "message.invalid"),
            (post("x".repeat(65 * 1024)), 413, "request.too_large"),
            (plain(host), 415, "request.unsupported_media_type"),
            (
                plain(host).header("content-type", "text/plain"),
                415,
                "request.unsupported_media_type",
            ),
        ] {
            let response = request.send().await.unwrap();
            assert_eq!(response.headers()["x-content-type-options"], "nosniff");
            assert_eq!(refusal(response).await, (status, code.to_owned()));
        }
        let latin1 = host.request("POST", "/chat/th/messages", "t_alpha");
        let latin1 =
            latin1.header("content-type", "application/json").body(&b"{\"text\":\"\xe4\"}"[..]);
        assert_eq!(refusal(latin1.send().await.unwrap()).await.1, "request.invalid");
    }
    let nowhere = hyper.request("GET", "/nowhere", "t_alpha").send().await.unwrap();
    assert_eq!(refusal(nowhere).await, (404, "resource.not_found".to_owned()));
}
