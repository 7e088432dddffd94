//! What a ticket opens, for whom, and how often.

use super::support::{INVALID, get_sse, refused, sse, ticket};
use crate::support::{Chat, Events, Socket, token, with_short_token};
use serde_json::{Value, json};
use std::sync::Arc;

fn ws_path(ticket: &str) -> String {
    format!("/ws/chat/th?ticket={ticket}")
}

#[tokio::test]
async fn a_ticket_opens_one_web_socket_of_its_thread_as_its_caller() {
    let chat = Chat::start();
    let mine = ticket(&chat, "t_alpha", "th", None).await;
    let mut socket = Socket::connect(&chat.base, &ws_path(&mine), &[]).await.unwrap();
    assert_eq!(socket.next().await.unwrap()["type"], "open");
    socket.say(json!({"text": "hi"})).await;
    let event = socket.next().await.unwrap();
    assert_eq!(event["routing"]["tenant_id"], "t_alpha");
    assert_eq!(event["routing"]["actor_id"], "ada");
    let again = Socket::connect(&chat.base, &ws_path(&mine), &[]).await.err();
    assert_eq!(again, Some((401, "auth.invalid".to_owned())));
    let id = event["id"].as_str().unwrap();
    let as_stream = get_sse(&chat, &sse(&mine), &[("last-event-id", id)]).await;
    assert_eq!(
        refused(as_stream).await.0,
        401,
        "a used ticket of a WebSocket does not re-open a stream"
    );
}

#[tokio::test]
async fn a_ticket_only_opens_a_stream_of_its_own_thread_and_allows_no_other_claim() {
    let chat = Chat::start();
    let bearer = format!("Bearer {}", token("t_alpha", "prod", "ada"));
    // A thread of another tenant, and a thread that does not exist.
    for (path, status, code) in [
        ("/sse/chat/only-beta", 403, "thread.forbidden"),
        ("/sse/chat/nowhere", 403, "thread.forbidden"),
    ] {
        let mine = ticket(&chat, "t_alpha", "th", None).await;
        let response = get_sse(&chat, &format!("{path}?ticket={mine}"), &[]).await;
        assert_eq!(refused(response).await, (status, code.to_owned()));
    }
    let put = chat.request("PUT", "/threads/second", "t_alpha").send().await.unwrap();
    assert_eq!(put.status(), 201);
    let mine = ticket(&chat, "t_alpha", "th", None).await;
    let own_but_other = get_sse(&chat, &format!("/sse/chat/second?ticket={mine}"), &[]).await;
    assert_eq!(
        refused(own_but_other).await.1,
        "thread.forbidden",
        "the ticket is for another thread"
    );

    for (headers, query, status, code) in [
        (vec![("x-tenant-id", "t_beta")], "", 400, "context.invalid"),
        (vec![("x-env", "dev")], "", 400, "context.invalid"),
        (vec![], "&tenant=t_beta", 400, "context.invalid"),
        (vec![("authorization", bearer.as_str())], "", 400, "context.invalid"),
        (vec![], "&ticket=another", 400, "context.invalid"),
    ] {
        let mine = ticket(&chat, "t_alpha", "th", None).await;
        let response = get_sse(&chat, &format!("{}{query}", sse(&mine)), &headers).await;
        assert_eq!(refused(response).await, (status, code.to_owned()), "{headers:?} {query}");
    }
    for unknown in ["", "x", &"0".repeat(64)] {
        let (status, code) = refused(get_sse(&chat, &sse(unknown), &[]).await).await;
        assert_eq!((status, code.as_str()), INVALID, "{unknown}");
    }
    // A ticket opens a stream and does nothing else, even if the request has the headers of an upgrade.
    for (method, path) in
        [("POST", "/chat/th/messages"), ("PUT", "/threads/new"), ("POST", "/tickets")]
    {
        for upgrade in [false, true] {
            let mine = ticket(&chat, "t_alpha", "th", None).await;
            let mut request = chat.bare(method, &format!("{path}?ticket={mine}"));
            if upgrade {
                request = request.header("upgrade", "websocket").header("connection", "upgrade");
            }
            let answer = request.body(r#"{"text":"x","thread_id":"th"}"#).send().await.unwrap();
            assert_eq!(refused(answer).await.0, 401, "{method} {path} {upgrade}");
        }
    }
    let foreign = chat.post("/tickets", "t_alpha", r#"{"thread_id":"only-beta"}"#);
    assert_eq!(refused(foreign.send().await.unwrap()).await.1, "thread.forbidden");
    let bad = chat.post("/tickets", "t_alpha", r#"{"thread":"th"}"#);
    assert_eq!(refused(bad.send().await.unwrap()).await, (400, "request.invalid".to_owned()));
    // A page of another site can send this without a preflight.
    for form in
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
    {
        let form = chat.request("POST", "/tickets", "t_alpha").header("content-type", form);
        let form = form.body(r#"{"thread_id":"th"}"#).send().await.unwrap();
        assert_eq!(refused(form).await, (415, "request.unsupported_media_type".to_owned()));
    }
}

#[tokio::test]
async fn a_page_of_another_origin_cannot_use_a_ticket() {
    let chat = Chat::start();
    let page = "https://app.test";
    for (headers, passes) in [
        (vec![("origin", page)], true),
        (vec![("origin", "https://APP.test:443")], true),
        (vec![], true),
        (vec![("sec-fetch-site", "same-origin")], true),
        (vec![("origin", "https://evil.test")], false),
        (vec![("origin", "null")], false),
        (vec![("sec-fetch-site", "cross-site")], false),
    ] {
        let mine = ticket(&chat, "t_alpha", "th", Some(page)).await;
        let response = get_sse(&chat, &sse(&mine), &headers).await;
        assert_eq!(response.status() == 200, passes, "{headers:?}");
    }
    for (headers, passes) in [
        (vec![("origin", page)], true),
        (vec![], false),
        (vec![("origin", "https://evil.test")], false),
    ] {
        let mine = ticket(&chat, "t_alpha", "th", Some(page)).await;
        let socket = Socket::connect(&chat.base, &ws_path(&mine), &headers).await;
        assert_eq!(socket.is_ok(), passes, "{headers:?}");
    }
    // The server cannot distinguish pages with an opaque origin, so a ticket would be valid for all of them.
    for opaque in ["null", "file://", "https://app.test/page"] {
        let request = chat.request("POST", "/tickets", "t_alpha").header("origin", opaque);
        let response = request.json(&json!({ "thread_id": "th" })).send().await.unwrap();
        assert_eq!(refused(response).await, (400, "context.invalid".to_owned()), "{opaque}");
    }
}

#[tokio::test]
async fn a_ticket_may_come_with_a_password_of_a_gateway_but_not_with_a_token() {
    let chat = Chat::start();
    let bearer = format!("Bearer {}", crate::support::token("t_alpha", "prod", "ada"));
    for (authorization, status) in [
        (vec!["Basic YTpi"], 200),
        (vec!["Digest username=\"a\", uri=\"/\""], 200),
        (vec!["ApiKey k"], 400),
        (vec![&bearer], 400),
        (vec!["Basic YTpi", &bearer], 400),
        (vec!["Basic YTpi", "Basic YTpi"], 400),
    ] {
        let mine = ticket(&chat, "t_alpha", "th", None).await;
        let headers: Vec<_> = authorization.iter().map(|value| ("authorization", *value)).collect();
        let response = get_sse(&chat, &sse(&mine), &headers).await;
        assert_eq!(response.status(), status, "{authorization:?}");
    }
}

#[tokio::test]
async fn of_many_clients_that_use_a_ticket_at_once_one_succeeds() {
    let chat = Arc::new(Chat::start());
    for web_socket in [true, false] {
        let mine = ticket(&chat, "t_alpha", "th", None).await;
        let tries = (0..32).map(|_| {
            let (chat, mine) = (chat.clone(), mine.clone());
            tokio::spawn(async move {
                if web_socket {
                    Socket::connect(&chat.base, &ws_path(&mine), &[]).await.map(drop).is_ok()
                } else {
                    get_sse(&chat, &sse(&mine), &[]).await.status() == 200
                }
            })
        });
        let mut winners = 0;
        for attempt in tries.collect::<Vec<_>>() {
            winners += usize::from(attempt.await.unwrap());
        }
        assert_eq!(winners, 1, "WebSocket: {web_socket}");
    }
}

#[tokio::test]
async fn an_event_source_re_opens_its_stream_only_with_a_cursor() {
    let chat = Chat::start();
    let mine = ticket(&chat, "t_alpha", "th", None).await;
    let mut first = Events::of(get_sse(&chat, &sse(&mine), &[]).await);
    let primed = first.next().await.unwrap().id.unwrap();
    let event = chat.say("t_alpha", "th", "one").await["id"].as_str().unwrap().to_owned();
    let of_beta = chat.say("t_beta", "th", "of beta").await["id"].as_str().unwrap().to_owned();
    assert_eq!(first.event().await.unwrap().json()["data"]["text"], "one");

    let by_query = format!("{}&last_event_id={event}", sse(&mine));
    let by_polyfill = format!("{}&lastEventId={event}", sse(&mine));
    for (path, headers) in [
        (sse(&mine), vec![]),
        (sse(&mine), vec![("last-event-id", "")]),
        (sse(&mine), vec![("last-event-id", "earliest")]),
        (sse(&mine), vec![("last-event-id", of_beta.as_str())]),
        (sse(&mine), vec![("last-event-id", "0123456789abcdef-1")]),
        (sse(&mine), vec![("last-event-id", &event), ("last-event-id", &primed)]),
        (by_query, vec![]),
        (by_polyfill, vec![]),
    ] {
        let (status, code) = refused(get_sse(&chat, &path, &headers).await).await;
        assert_eq!((status, code.as_str()), INVALID, "{path} {headers:?}");
    }
    // The refused requests did not disturb the open stream.
    chat.say("t_alpha", "th", "two").await;
    assert_eq!(first.event().await.unwrap().json()["data"]["text"], "two");

    // The browser reconnects. The id of the opening notice is enough, and so is the id of any event. A gateway
    // may send the header twice.
    let doubled = [("last-event-id", primed.as_str()), ("last-event-id", &primed)];
    let mut second = Events::of(get_sse(&chat, &sse(&mine), &doubled).await);
    for text in ["one", "two"] {
        assert_eq!(second.event().await.unwrap().json()["data"]["text"], text);
    }
    let displaced = first.event().await.unwrap();
    assert_eq!(displaced.event.as_deref(), Some("access.revoked"), "one connection at a time");
    assert_eq!(first.next().await, None);
    let mut third = Events::of(get_sse(&chat, &sse(&mine), &[("last-event-id", &event)]).await);
    assert_eq!(third.event().await.unwrap().json()["data"]["text"], "two");
    assert_eq!(second.event().await.unwrap().event.as_deref(), Some("access.revoked"));
    let socket = Socket::connect(&chat.base, &ws_path(&mine), &[("last-event-id", &event)]).await;
    assert_eq!(socket.err(), Some((401, "auth.invalid".to_owned())), "not as a WebSocket");
}

#[tokio::test]
async fn a_ticket_expires_with_the_token_that_it_was_issued_for() {
    let chat = Chat::start_with(&["--leeway", "0"]);
    let ((answer, stream), over_at) = with_short_token(async |token| {
        let request = chat.bare("POST", "/tickets").header("x-tenant-id", "t_alpha");
        let request = request.header("x-env", "prod").bearer_auth(token);
        let response = request.json(&json!({ "thread_id": "th" })).send().await.unwrap();
        let answer: Value = response.error_for_status().ok()?.json().await.unwrap();
        let stream = get_sse(&chat, &sse(answer["ticket"].as_str().unwrap()), &[]).await;
        Some((answer, stream.error_for_status().ok()?))
    })
    .await;
    assert!(
        answer["expires_at"].as_u64().unwrap() <= over_at,
        "the ticket does not expire after the token"
    );
    let mine = answer["ticket"].as_str().unwrap();
    let mut events = Events::of(stream);
    let primed = events.next().await.unwrap().id.unwrap();
    assert_eq!(events.event().await.unwrap().event.as_deref(), Some("auth.expired"));
    let (status, code) =
        refused(get_sse(&chat, &sse(mine), &[("last-event-id", &primed)]).await).await;
    assert_eq!((status, code.as_str()), INVALID);
}
