//! Tests of a log that tenants share: no tenant loses events because of another tenant, and no client can
//! read an erased thread.

use crate::support::{Chat, Events, Socket, claims, refusal, sign};
use serde_json::json;

/// The limit of the log of these servers.
const BUDGET: usize = 2 << 20;

fn id(envelope: &serde_json::Value) -> String {
    envelope["id"].as_str().unwrap().to_owned()
}

/// Waits for the event. Any other event fails the test.
async fn hears(events: &mut Events, text: &str) {
    let block = events.event().await.expect("the server must not end the stream");
    assert_eq!(block.event, None, "a gap or the end of the stream: {block:?}");
    assert_eq!(block.json()["data"]["text"], text);
}

#[tokio::test]
async fn a_tenant_that_posts_ten_times_the_limit_evicts_no_events_of_another_tenant() {
    let chat = Chat::start_with(&["--log-bytes", &BUDGET.to_string()]);
    let mut idle = Vec::new();
    let mut live = Vec::new();
    for i in 0..100 {
        let thread = format!("b-{i}");
        let put = chat.request("PUT", &format!("/threads/{thread}"), "t_beta").send().await;
        assert_eq!(put.unwrap().status(), 201);
        let first = id(&chat.say("t_beta", &thread, "first").await);
        chat.say("t_beta", &thread, "second").await;
        if i % 5 == 0 {
            let mut events = chat.listen("t_beta", &thread, Some(&first)).await;
            hears(&mut events, "second").await;
            live.push((thread, first, events));
        } else {
            idle.push((thread, first));
        }
    }
    // The thread of the large posts has a reader.
    let mut own = chat.listen("t_alpha", "th", None).await;
    let text = "x".repeat(60_000);
    for i in 0..10 * BUDGET / text.len() {
        chat.say("t_alpha", "th", &text).await;
        if i % 50 == 0 {
            for (thread, _, events) in &mut live {
                let text = format!("{i}");
                chat.say("t_beta", thread, &text).await;
                hears(events, &text).await;
            }
        }
    }
    for (thread, _, events) in &mut live {
        chat.say("t_beta", thread, "last").await;
        hears(events, "last").await;
    }
    for (thread, first) in &idle {
        let mut events = chat.listen("t_beta", thread, Some(first)).await;
        hears(&mut events, "second").await;
    }
    for (thread, first, _) in &live {
        let mut events = chat.listen("t_beta", thread, Some(first)).await;
        hears(&mut events, "second").await;
        hears(&mut events, "0").await;
    }
    // The tenant with the large posts must have lost events. Otherwise the limit did not work.
    let mut seqs = Vec::new();
    let last = id(&chat.say("t_alpha", "th", "last").await);
    let mut earliest = chat.listen("t_alpha", "th", Some("earliest")).await;
    while earliest.cursor.as_ref() != Some(&last) {
        seqs.push(earliest.event().await.unwrap().json()["meta"]["seq"].as_u64().unwrap());
    }
    assert!(seqs[0] > 300, "{seqs:?}");
    assert!(own.event().await.is_some());
}

impl Chat {
    async fn remove(&self, tenant: &str, thread: &str, roles: &[&str]) -> reqwest::Response {
        let mut claims = claims(tenant, "prod", "root");
        claims["roles"] = json!(roles);
        let request = self.bare("DELETE", &format!("/threads/{thread}"));
        let request = request.header("x-tenant-id", tenant).header("x-env", "prod");
        request.bearer_auth(sign(&claims)).send().await.unwrap()
    }

    async fn is_forbidden(&self, tenant: &str, thread: &str, from: Option<&str>) {
        let mut request = self.request("GET", &format!("/sse/chat/{thread}"), tenant);
        if let Some(cursor) = from {
            request = request.header("last-event-id", cursor);
        }
        let refused = refusal(request.send().await.unwrap()).await;
        assert_eq!(refused, (403, "thread.forbidden".to_owned()));
    }
}

#[tokio::test]
async fn a_removed_thread_ends_its_streams_and_its_next_owner_sees_none_of_its_events() {
    let chat = Chat::start();
    let old = id(&chat.say("t_alpha", "th", "secret").await);
    let foreign = id(&chat.say("t_beta", "th", "of beta").await);
    let mut sse = chat.listen("t_alpha", "th", Some("earliest")).await;
    hears(&mut sse, "secret").await;
    let mut beta = chat.listen("t_beta", "th", None).await;
    let mut socket = Socket::listen(&chat.base, "t_alpha", "th", None).await;
    let ticket = chat.request("POST", "/tickets", "t_alpha");
    let ticket = ticket.json(&json!({"thread_id": "th", "last_event_id": old}));
    let ticket: serde_json::Value = ticket.send().await.unwrap().json().await.unwrap();
    let by_ticket = format!("/sse/chat/th?ticket={}", ticket["ticket"].as_str().unwrap());
    let opened = Events::of(chat.bare("GET", &by_ticket).send().await.unwrap());

    let no_admin = refusal(chat.remove("t_alpha", "th", &["ops"]).await).await;
    assert_eq!(no_admin, (403, "auth.insufficient_scope".to_owned()));
    for elsewhere in ["only-beta", "nowhere"] {
        let refused = refusal(chat.remove("t_alpha", elsewhere, &["admin"]).await).await;
        assert_eq!(refused, (403, "thread.forbidden".to_owned()), "{elsewhere}");
    }
    assert_eq!(chat.remove("t_alpha", "th", &["admin"]).await.status(), 204);

    // The server sends a notice to the waiting reader, and ends its stream.
    let end = sse.event().await.unwrap();
    assert_eq!(end.event.as_deref(), Some("access.revoked"), "{end:?}");
    assert_eq!(sse.next().await, None);
    drop(opened);
    let close = loop {
        match socket.next().await {
            Ok(message) => assert_eq!(message["type"], "access.revoked"),
            Err((code, _)) => break code,
        }
    };
    assert_eq!(close, 4403);
    chat.is_forbidden("t_alpha", "th", Some(&old)).await;
    let again = refusal(chat.remove("t_alpha", "th", &["admin"]).await).await;
    assert_eq!(again, (403, "thread.forbidden".to_owned()));

    // Another thread gets the same id.
    assert_eq!(chat.request("PUT", "/threads/th", "t_alpha").send().await.unwrap().status(), 201);
    let reopened = chat.bare("GET", &by_ticket).header("last-event-id", &old).send().await.unwrap();
    assert_eq!(refusal(reopened).await, (401, "auth.invalid".to_owned()), "a used ticket");
    let mut events = chat.listen("t_alpha", "th", Some(&old)).await;
    let gap = events.event().await.unwrap();
    assert_eq!(gap.json()["reason"], "unknown", "{gap:?}");
    let new = chat.say("t_alpha", "th", "mine").await;
    assert_eq!(new["meta"]["seq"], 1);
    hears(&mut events, "mine").await;
    let mut earliest = chat.listen("t_alpha", "th", Some("earliest")).await;
    hears(&mut earliest, "mine").await;

    // The thread with the same id in the other tenant has not changed.
    chat.say("t_beta", "th", "still here").await;
    hears(&mut beta, "still here").await;
    let mut resumed = chat.listen("t_beta", "th", Some(&foreign)).await;
    hears(&mut resumed, "still here").await;
}
