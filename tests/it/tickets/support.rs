//! Tickets, and the requests that use them.

use crate::support::{Chat, now, refusal};
use serde_json::{Value, json};
use std::{
    convert::Infallible,
    time::{Duration, SystemTime},
};
use tower::{Layer as _, ServiceExt as _};
use tower_tenancy::{
    AuthContext, LastEventId, MemoryLog, MemoryRegistry, RequireTenantScope, Routing, TenantScope,
    TicketIssuer,
    auth::{AuthRequest, Verdict},
    verify_thread_access,
};

/// A ticket for `thread`. If an origin is given, a page of this origin requests it.
pub(super) async fn ticket(
    chat: &Chat,
    tenant: &str,
    thread: &str,
    origin: Option<&str>,
) -> String {
    let mut request = chat.request("POST", "/tickets", tenant);
    if let Some(origin) = origin {
        request = request.header("origin", origin);
    }
    let response = request.json(&json!({ "thread_id": thread })).send().await.unwrap();
    assert_eq!(response.status(), 201);
    let answer: Value = response.json().await.unwrap();
    let left = answer["expires_at"].as_u64().unwrap().saturating_sub(now());
    assert!((28..=30).contains(&left), "{left} seconds to open it");
    answer["ticket"].as_str().unwrap().to_owned()
}

pub(super) fn sse(ticket: &str) -> String {
    format!("/sse/chat/th?ticket={ticket}")
}

pub(super) async fn get_sse(
    chat: &Chat,
    path: &str,
    headers: &[(&str, &str)],
) -> reqwest::Response {
    let mut request = chat.bare("GET", path).header("accept", "text/event-stream");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

pub(super) const INVALID: (u16, &str) = (401, "auth.invalid");

pub(super) async fn refused(response: reqwest::Response) -> (u16, String) {
    refusal(response).await
}

pub(super) type Plain = http::Response<http_body_util::Full<bytes::Bytes>>;

/// A ticket for the thread `th` and the proof `auth`.
pub(super) async fn ticket_of(issuer: &TicketIssuer, auth: &AuthContext) -> String {
    let (tickets, auth) = (issuer.clone(), auth.clone());
    let threads = MemoryRegistry::new();
    threads.register(&"t_alpha/prod/th".parse::<Routing>().unwrap());
    let issue = tower::service_fn(move |request: http::Request<()>| {
        let (tickets, threads) = (tickets.clone(), threads.clone());
        async move {
            let scope = TenantScope::from_extensions(request.extensions()).unwrap();
            let grant = verify_thread_access(&threads, scope, "th").await.unwrap();
            let ticket = tickets.issue(&grant, &MemoryLog::new(), LastEventId::Live).await.unwrap();
            let body = ticket.secret().to_owned().into();
            Ok::<_, Infallible>(Plain::new(body))
        }
    });
    let authenticator = move |_: &AuthRequest<'_>| Verdict::Ready(Ok(auth.clone()));
    let issue = RequireTenantScope::new(authenticator).layer(issue);
    let answer = issue.oneshot(crate::layers::request()).await.unwrap();
    let secret = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
    String::from_utf8(secret.to_vec()).unwrap()
}

pub(super) fn ada() -> AuthContext {
    let soon = SystemTime::now() + Duration::from_secs(600);
    AuthContext::new("ada".parse().unwrap(), soon).with_tenants(["t_alpha"]).with_envs(["prod"])
}

pub(super) fn with_ticket(secret: &str) -> http::Request<()> {
    http::Request::builder().uri(format!("/th?ticket={secret}")).body(()).unwrap()
}

pub(super) fn without_ticket() -> http::Request<()> {
    http::Request::builder().uri("/th").body(()).unwrap()
}
