//! When the crate refuses access to a thread, the log line names the reason, but the client does not see it.

use crate::layers::verifier;
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use serde_json::json;
use std::{
    collections::BTreeMap,
    convert::Infallible,
    fmt, io,
    sync::{Arc, Mutex},
};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_tenancy::{
    BoxError, Env, LastEventId, Member, MemoryLog, MemoryRegistry, RedeemTicket,
    RequireTenantScope, Routing, TenantId, TenantScope, ThreadId, ThreadRecord, ThreadRegistry,
    TicketIssuer,
    rejection::{ByContentType, Dialect, RejectWith as _},
    verify_thread_access,
};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

/// The level and the fields of one log line.
#[derive(Clone, Debug)]
struct Line {
    level: Level,
    fields: BTreeMap<&'static str, String>,
}

impl Line {
    /// A field, without the quotes that it may have.
    fn get(&self, name: &str) -> Option<&str> {
        let text = self.fields.get(name)?.as_str();
        Some(text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text))
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }
}

/// Keeps the log lines of this crate.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<Line>>>);

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target().starts_with("tower_tenancy") {
            let mut line = Line { level: *event.metadata().level(), fields: BTreeMap::new() };
            event.record(&mut line);
            self.0.lock().unwrap().push(line);
        }
    }
}

/// A registry that finds threads of all tenants by their id alone. It fails for the id `down`.
#[derive(Clone)]
struct Global;

impl ThreadRegistry for Global {
    async fn find(
        &self,
        tenant: &TenantId,
        env: &Env,
        thread: &ThreadId,
    ) -> Result<Option<ThreadRecord>, BoxError> {
        let record = |name: &str| ThreadRecord::from(&name.parse::<Routing>().unwrap());
        match thread.as_str() {
            "own" => Ok(Some(ThreadRecord::new(tenant.clone(), env.clone(), thread.clone()))),
            "foreign" => Ok(Some(record("t_beta/prod/foreign"))),
            "elsewhere" => Ok(Some(record("t_alpha/dev/elsewhere"))),
            "other-id" => Ok(Some(record("t_alpha/prod/another"))),
            "closed" => {
                let ops = [Member::role("ops".to_owned())];
                Ok(Some(record("t_alpha/prod/closed").with_members(ops)))
            }
            "down" => Err(Box::new(Down(io::Error::other("connection reset")))),
            _ => Ok(None),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the database does not answer")]
struct Down(#[source] io::Error);

/// The response to a client.
#[derive(Debug, PartialEq)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// Asks for a thread (with a ticket, if there is one). Returns the response and the log lines.
fn ask(
    thread: &str,
    request_id: &str,
    ticket: Option<(&TicketIssuer, &str)>,
) -> (Answer, Vec<Line>) {
    let handler = service_fn(async |request: Request<()>| {
        let scope = TenantScope::from_extensions(request.extensions()).unwrap();
        // The decoded path parameter.
        let thread = request.extensions().get::<String>().unwrap();
        let granted = verify_thread_access(&Global, scope, thread).await;
        Ok::<_, Infallible>(match granted {
            Ok(_) => Response::new(Full::<Bytes>::from("granted")),
            Err(rejection) => ByContentType.reject(&rejection, Dialect::of(&request)),
        })
    });
    let mut request = crate::layers::request();
    request.headers_mut().insert("x-request-id", request_id.parse().unwrap());
    request.extensions_mut().insert(thread.to_owned());
    let tenancy = RequireTenantScope::new(verifier()).or_ticket();
    let issuer = ticket.map_or_else(TicketIssuer::in_memory, |(issuer, _)| issuer.clone());
    if let Some((_, secret)) = ticket {
        for name in ["x-tenant-id", "x-env", "authorization"] {
            request.headers_mut().remove(name);
        }
        *request.uri_mut() = format!("/?ticket={secret}").parse().unwrap();
    }
    let lines = Lines::default();
    let subscriber = tracing_subscriber::registry().with(lines.clone());
    let response = tracing::subscriber::with_default(subscriber, || {
        let service = RedeemTicket::new(issuer).layer(tenancy.layer(handler));
        service.oneshot(request).now_or_never().unwrap().unwrap()
    });
    assert_eq!(response.headers()["x-request-id"], request_id);
    let (mut head, body) = response.into_parts();
    head.headers.remove("x-request-id");
    let body = body.collect().now_or_never().unwrap().unwrap().to_bytes();
    let answer = Answer { status: head.status, headers: head.headers, body };
    let lines = lines.0.lock().unwrap().clone();
    (answer, lines)
}

/// The response, and the only log line about the refusal.
fn line(thread: &str, request_id: &str) -> (Answer, Line) {
    let (answer, lines) = ask(thread, request_id, None);
    assert_eq!(lines.len(), 1, "there must be exactly one line: {lines:?}");
    (answer, lines[0].clone())
}

#[test]
fn the_log_names_the_reason_for_a_refused_thread_but_the_client_does_not_see_it() {
    let own = ask("own", "r-own", None);
    assert_eq!((own.0.status, own.1.len()), (StatusCode::OK, 0));
    let mut answers = Vec::new();
    for (thread, reason, owner) in [
        ("nowhere", "the thread is unknown", None),
        ("foreign", "the registry returned another thread", Some("t_beta/prod/foreign")),
        ("elsewhere", "the registry returned another thread", Some("t_alpha/dev/elsewhere")),
        ("other-id", "the registry returned another thread", Some("t_alpha/prod/another")),
        ("closed", "the caller is not a member", None),
        ("mal formed\n", "the thread id is malformed", None),
        ("", "the thread id is malformed", None),
    ] {
        let id = format!("r-{}", answers.len());
        let (answer, line) = line(thread, &id);
        assert_eq!(line.level, Level::WARN, "{line:?}");
        for (field, value) in [
            ("message", Some("request refused")),
            ("code", Some("thread.forbidden")),
            ("reason", Some(reason)),
            ("owner", owner),
            ("tenant", Some("t_alpha")),
            ("env", Some("prod")),
            ("subject", Some("ada")),
            ("request_id", Some(id.as_str())),
        ] {
            assert_eq!(line.get(field), value, "{field} of {line:?}");
        }
        if !reason.contains("malformed") {
            assert_eq!(line.get("thread"), Some(thread));
        }
        answers.push(answer);
    }
    assert_eq!(answers[0].status, StatusCode::FORBIDDEN);
    let problem: serde_json::Value = serde_json::from_slice(&answers[0].body).unwrap();
    assert_eq!(problem["code"], "thread.forbidden");
    for answer in &answers {
        assert_eq!(
            *answer, answers[0],
            "all refusals must have the same headers and the same body"
        );
    }
}

#[test]
fn an_error_of_the_registry_is_a_503_and_only_the_log_has_its_cause() {
    let (answer, line) = line("down", "r-1");
    assert_eq!(line.level, Level::ERROR, "{line:?}");
    for (field, value) in [
        ("message", "the thread registry failed"),
        ("tenant", "t_alpha"),
        ("env", "prod"),
        ("thread", "down"),
        ("request_id", "r-1"),
    ] {
        assert_eq!(line.get(field), Some(value), "{field} of {line:?}");
    }
    let error = line.get("error").unwrap();
    assert!(error.contains("the database does not answer"), "{error}");
    assert!(error.contains("connection reset"), "the line must have the source: {error}");
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers.contains_key("retry-after"));
    let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(problem["code"], "registry.unavailable");
    let body = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(!body.contains("database") && !body.contains("connection"), "{body}");
}

#[test]
fn a_ticket_for_another_thread_is_refused_like_an_unknown_thread() {
    let tickets = TicketIssuer::in_memory();
    let threads = MemoryRegistry::new();
    threads.register(&"t_alpha/prod/own".parse::<Routing>().unwrap());
    let issuer = tickets.clone();
    let issue = service_fn(move |request: Request<()>| {
        let (issuer, threads) = (issuer.clone(), threads.clone());
        async move {
            let scope = TenantScope::from_extensions(request.extensions()).unwrap();
            let grant = verify_thread_access(&threads, scope, "own").await.unwrap();
            let ticket = issuer.issue(&grant, &MemoryLog::new(), LastEventId::Live).await;
            let json = json!(ticket.unwrap()).to_string();
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(json)))
        }
    });
    let issue = RequireTenantScope::new(verifier()).layer(issue);
    let mint = || {
        let answer = issue.clone().oneshot(crate::layers::request()).now_or_never().unwrap();
        let body = answer.unwrap().into_body().collect().now_or_never().unwrap().unwrap();
        let ticket: serde_json::Value = serde_json::from_slice(&body.to_bytes()).unwrap();
        ticket["ticket"].as_str().unwrap().to_owned()
    };
    let (answer, lines) = ask("own", "r-1", Some((&tickets, &mint())));
    assert_eq!((answer.status, lines.len()), (StatusCode::OK, 0));
    let (answer, lines) = ask("closed", "r-2", Some((&tickets, &mint())));
    assert_eq!(lines.len(), 1, "{lines:?}");
    let line = &lines[0];
    assert_eq!(line.level, Level::WARN);
    for (field, value) in [
        ("code", Some("thread.forbidden")),
        ("reason", Some("the ticket is for another thread")),
        ("owner", None),
        ("tenant", Some("t_alpha")),
        ("env", Some("prod")),
        ("thread", Some("closed")),
        ("subject", Some("ada")),
        ("request_id", Some("r-2")),
    ] {
        assert_eq!(line.get(field), value, "{field} of {line:?}");
    }
    let (unknown, _) = ask("nowhere", "r-3", None);
    assert_eq!(answer, unknown);
}
