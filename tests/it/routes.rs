//! Each route of each example must refuse a request without a proof, except for the open routes that these
//! tests list. The tests read the routes from the sources of the examples, so they fail for a new open route
//! that is not listed.

use crate::support::{Example, token};
use http::{HeaderMap, Method, StatusCode};
use reqwest::Client;
use std::{collections::BTreeSet, process::Command};

const METHODS: [Method; 7] = [
    Method::GET,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::HEAD,
    Method::OPTIONS,
];

/// The kinds of requests without a proof.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Shows {
    Nothing,
    /// A token without a context.
    Token,
    /// Tenant and env without a token.
    Context,
    /// Neither, in a WebSocket upgrade.
    Upgrade,
}

const SHOWS: [Shows; 4] = [Shows::Nothing, Shows::Token, Shows::Context, Shows::Upgrade];

impl Shows {
    fn headers(self) -> Vec<(&'static str, String)> {
        let own = |headers: &[(&'static str, &str)]| {
            headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
        };
        match self {
            Self::Nothing => Vec::new(),
            Self::Token => {
                vec![("authorization", format!("Bearer {}", token("t_alpha", "prod", "ada")))]
            }
            Self::Context => own(&[("x-tenant-id", "t_alpha"), ("x-env", "prod")]),
            Self::Upgrade => own(&[
                ("connection", "upgrade"),
                ("upgrade", "websocket"),
                ("sec-websocket-version", "13"),
                ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ]),
        }
    }
}

/// The path of each `.route("...", ...)` in a source, with values for its parameters.
fn routes(source: &str) -> Vec<String> {
    // The test cannot read other ways to serve a path.
    for other in ["nest", "fallback", "route_service", "Redirect", "ServeDir", "pass_preflight"] {
        assert!(!source.contains(other), "`{other}` is new: teach this test to find its routes");
    }
    let mut found = Vec::new();
    for rest in source.split(".route(").skip(1) {
        let path = rest.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next());
        found.push(path.expect("a path in quotes").to_owned());
    }
    assert!(!found.is_empty());
    found.into_iter().map(|path| with_thread(path.split('/'))).collect()
}

/// The path with an existing thread as the value of each parameter.
fn with_thread<'a>(parts: impl Iterator<Item = &'a str>) -> String {
    let parts: Vec<_> = parts.map(|part| if part.starts_with('{') { "th" } else { part }).collect();
    parts.join("/")
}

/// The methods and paths that do not refuse some request without a proof.
async fn open(base: &str, paths: &[String]) -> BTreeSet<String> {
    let http = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let mut open = BTreeSet::new();
    for path in paths {
        let mut refused_for_context = false;
        for (method, shows) in METHODS.iter().flat_map(|method| SHOWS.map(|shows| (method, shows)))
        {
            let mut request = http.request(method.clone(), format!("{base}{path}"));
            for (name, value) in shows.headers() {
                request = request.header(name, value);
            }
            let response = request.send().await.unwrap();
            let (status, headers) = (response.status(), response.headers().clone());
            if status == StatusCode::METHOD_NOT_ALLOWED {
                assert_eq!(response.bytes().await.unwrap(), "", "{method} {path}");
            } else if is_refusal(status, &headers, shows) {
                refused_for_context |= shows == Shows::Nothing;
            } else {
                open.insert(format!("{method} {path}"));
            }
        }
        let is_open = METHODS.iter().any(|method| open.contains(&format!("{method} {path}")));
        assert!(refused_for_context || is_open, "{path} refuses all methods: is it a route?");
    }
    open
}

/// Whether the layer refused the request: because of the token if it has a context, otherwise because of the
/// context.
fn is_refusal(status: StatusCode, headers: &HeaderMap, shows: Shows) -> bool {
    let wanted = match shows {
        Shows::Context => StatusCode::UNAUTHORIZED,
        Shows::Nothing | Shows::Token | Shows::Upgrade => StatusCode::BAD_REQUEST,
    };
    status == wanted
        && headers.get("content-type").is_some_and(|kind| kind == "application/problem+json")
        && headers.contains_key("x-request-id")
}

fn listed(open: &[&str]) -> BTreeSet<String> {
    let by = |path: &&str| [format!("GET {path}"), format!("HEAD {path}")];
    open.iter().flat_map(by).collect()
}

#[tokio::test]
async fn chat_has_four_open_routes() {
    let chat = Example::run("chat", &[]);
    let source = include_str!("../../examples/chat/api.rs");
    // The other files of the example must not have routes.
    for other in
        [include_str!("../../examples/chat/main.rs"), include_str!("../../examples/common/mod.rs")]
    {
        assert!(!other.contains("route("));
    }
    let open = open(&chat.base, &routes(source)).await;
    assert_eq!(open, listed(&["/", "/demo/session", "/healthz", "/readyz"]));
}

#[tokio::test]
async fn agent_has_no_open_route() {
    let mut agent = Command::new(crate::support::example("agent"));
    let agent = Example::of(agent.arg("127.0.0.1:0"));
    let open = open(&agent.base, &routes(include_str!("../../examples/agent.rs"))).await;
    assert_eq!(open, BTreeSet::new());
}

#[tokio::test]
async fn hyper_sse_has_no_open_route() {
    let hyper = Example::run("hyper_sse", &[]);
    let source = include_str!("../../examples/hyper_sse.rs");
    // `(&Method::GET, ["sse", "chat", thread]) => ..`
    let mut paths = Vec::new();
    for arm in source.split("(&Method::").skip(1) {
        let parts = arm.split_once('[').unwrap().1.split_once(']').unwrap().0;
        let parts = parts.split(", ").map(|part| match part.strip_prefix('"') {
            Some(name) => name.trim_end_matches('"'),
            None => "{}",
        });
        paths.push(format!("/{}", with_thread(parts)));
    }
    assert_eq!(
        paths.len(),
        source.matches("Method::").count(),
        "the test must read each match arm"
    );
    // In this example, the layer also protects paths that are not routes.
    paths.extend(["/".to_owned(), "/nowhere".to_owned()]);
    assert_eq!(open(&hyper.base, &paths).await, BTreeSet::new());
}

#[cfg(feature = "tonic")]
#[tokio::test]
async fn grpc_chat_has_no_open_call() {
    let grpc = Example::run("grpc_chat", &[]);
    let proto = include_str!("../../examples/grpc_chat/tenancy.v1.proto");
    let word = |line: &str, keyword: &str| -> Option<String> {
        let rest = line.trim().strip_prefix(keyword)?;
        Some(rest.split(|c: char| !c.is_alphanumeric() && c != '.').next()?.to_owned())
    };
    let find = |keyword: &str| proto.lines().filter_map(|line| word(line, keyword)).collect();
    let (packages, services, calls): (Vec<_>, Vec<_>, Vec<_>) =
        (find("package "), find("service "), find("rpc "));
    assert_eq!((packages.len(), services.len()), (1, 1), "all calls must belong to one service");
    let main = include_str!("../../examples/grpc_chat/main.rs");
    let served = ["add_service(", "add_service(health)", "add_service(chat)"];
    let served = served.map(|call| main.matches(call).count());
    assert_eq!(served, [2, 1, 1], "the server must have only this service and the health service");
    assert!(!main.contains("add_routes") && !main.contains("add_optional_service"));
    assert!(calls.len() >= 2, "{calls:?}");
    let service = format!("/{}.{}", packages[0], services[0]);
    let mut paths: Vec<_> = calls.iter().map(|call| format!("{service}/{call}")).collect();
    paths.push(format!("{service}/Nothing"));

    let address = grpc.base.trim_start_matches("http://");
    let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
    let (client, connection) = h2::client::handshake(tcp).await.unwrap();
    tokio::spawn(connection);
    for path in &paths {
        for (method, shows) in METHODS.iter().flat_map(|method| SHOWS.map(|shows| (method, shows)))
        {
            if shows == Shows::Upgrade {
                continue; // HTTP/2 has no upgrade
            }
            let mut request = http::Request::builder()
                .method(method)
                .uri(format!("{}{path}", grpc.base))
                .header("content-type", "application/grpc");
            for (name, value) in shows.headers() {
                request = request.header(name, value);
            }
            let mut client = client.clone().ready().await.unwrap();
            let (response, _) = client.send_request(request.body(()).unwrap(), true).unwrap();
            let response = response.await.unwrap();
            let code = response.headers().get("grpc-status").map(|code| code.to_str().unwrap());
            // INVALID_ARGUMENT for the context, UNAUTHENTICATED for the token.
            let wanted = if shows == Shows::Context { "16" } else { "3" };
            assert_eq!(code, Some(wanted), "{method} {path} {shows:?}: {response:?}");
            assert!(response.body().is_end_stream(), "{method} {path}: a refusal has no body");
        }
    }
}
