//! A client that reconnects with its last event id sees each event exactly once, or gets a gap notice.

use crate::support::Chat;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Reads in pieces while somebody publishes. The cuts differ from run to run.
async fn killed_and_resumed(by_query: bool) {
    let chat = Arc::new(Chat::start());
    let mut events = chat.listen("t_alpha", "th", None).await;
    assert!(events.next().await.unwrap().id.is_some(), "the client has a cursor before any event");
    let done = Arc::new(AtomicBool::new(false));
    let publisher = tokio::spawn({
        let (chat, done) = (chat.clone(), done.clone());
        async move {
            for i in 0..400 {
                chat.say("t_alpha", "th", &i.to_string()).await;
            }
            done.store(true, Ordering::Release);
        }
    });
    let mut seen = Vec::new();
    let mut connections = 1;
    while seen.len() < 400 {
        // A piece of random length. The connection is dropped at any point.
        let piece = u64::from(uuid::Uuid::new_v4().as_bytes()[0]) % 40;
        let cut = tokio::time::sleep(Duration::from_millis(piece));
        tokio::pin!(cut);
        loop {
            tokio::select! {
                () = &mut cut, if !done.load(Ordering::Acquire) => break,
                block = events.event() => {
                    let envelope = block.expect("the server does not end the stream").json();
                    seen.push(envelope["data"]["text"].as_str().unwrap().to_owned());
                    if seen.len() == 400 { break; }
                }
            }
        }
        let cursor = events.cursor.clone().expect("the client has a cursor");
        drop(events);
        connections += 1;
        events = if by_query {
            let path = format!("/sse/chat/th?last_event_id={cursor}");
            let response = chat.request("GET", &path, "t_alpha").send().await.unwrap();
            crate::support::Events::of(response)
        } else {
            chat.listen("t_alpha", "th", Some(&cursor)).await
        };
        events.cursor = Some(cursor);
    }
    publisher.await.unwrap();
    assert_eq!(
        seen,
        (0..400).map(|i| i.to_string()).collect::<Vec<_>>(),
        "{connections} connections"
    );
    assert!(connections > 3, "{connections} connections are too few cuts");
}

#[tokio::test]
async fn each_event_is_seen_once_across_cuts_by_header() {
    killed_and_resumed(false).await;
}

#[tokio::test]
async fn each_event_is_seen_once_across_cuts_by_query() {
    killed_and_resumed(true).await;
}

#[tokio::test]
async fn the_header_wins_over_the_query_that_a_browser_repeats() {
    let chat = Chat::start();
    let first = chat.say("t_alpha", "th", "one").await["id"].as_str().unwrap().to_owned();
    let second = chat.say("t_alpha", "th", "two").await["id"].as_str().unwrap().to_owned();
    chat.say("t_alpha", "th", "three").await;
    let path = format!("/sse/chat/th?last_event_id={first}");
    let request = chat.request("GET", &path, "t_alpha").header("last-event-id", &second);
    let mut events = crate::support::Events::of(request.send().await.unwrap());
    assert_eq!(events.next().await.unwrap().id, Some(second), "the accepted cursor, not the head");
    assert_eq!(events.event().await.unwrap().json()["data"]["text"], "three");
}

#[tokio::test]
async fn a_cursor_of_a_polyfill_is_read_and_never_ignored() {
    let chat = Chat::start();
    let first = chat.say("t_alpha", "th", "one").await["id"].as_str().unwrap().to_owned();
    chat.say("t_alpha", "th", "two").await;
    for name in ["lastEventId", "lastEventID", "Last-Event-ID"] {
        let path = format!("/sse/chat/th?{name}={first}");
        let response = chat.request("GET", &path, "t_alpha").send().await.unwrap();
        let mut events = crate::support::Events::of(response);
        assert_eq!(events.event().await.unwrap().json()["data"]["text"], "two", "{name}");
        // The request has a parameter of the page and one of a polyfill. The server cannot know which one to use.
        let both = format!("{path}&last_event_id=earliest");
        let refused = chat.request("GET", &both, "t_alpha").send().await.unwrap();
        assert_eq!(crate::support::refusal(refused).await.1, "cursor.invalid", "{name}");
    }
}

#[tokio::test]
async fn a_trimmed_cursor_gets_a_gap_notice_and_the_events_that_are_left() {
    let chat = Chat::start_with(&["--retain", "5"]);
    let first = chat.say("t_alpha", "th", "0").await["id"].as_str().unwrap().to_owned();
    for i in 1..12 {
        chat.say("t_alpha", "th", &i.to_string()).await;
    }
    let mut events = chat.listen("t_alpha", "th", Some(&first)).await;
    let opening = events.next().await.unwrap();
    assert!(opening.retry.is_some() && opening.id.is_none(), "no id before the gap notice");
    let gap = events.next().await.unwrap();
    assert_eq!(gap.event.as_deref(), Some("stream.gap"));
    let notice = gap.json();
    assert_eq!(notice["reason"], "trimmed");
    assert_eq!(notice["requested"], *first);
    assert_eq!(notice["resumes_at"], *gap.id.as_ref().unwrap(), "the notice moves the cursor");
    assert_eq!(notice["meta"], opening.json()["meta"]);
    for i in 7..12 {
        assert_eq!(events.event().await.unwrap().json()["data"]["text"], i.to_string());
    }
}

#[tokio::test]
async fn a_foreign_or_unknown_cursor_is_answered_with_a_gap_and_nothing_foreign() {
    let chat = Chat::start();
    let id = |envelope: serde_json::Value| envelope["id"].as_str().unwrap().to_owned();
    chat.say("t_alpha", "th", "mine").await;
    let of_beta = id(chat.say("t_beta", "th", "secret of beta").await);
    let put = chat.request("PUT", "/threads/other", "t_alpha").send().await.unwrap();
    assert_eq!(put.status(), 201);
    let of_other = id(chat.say("t_alpha", "other", "of another thread").await);
    let of_restart = id(Chat::start().say("t_alpha", "th", "before the restart").await);
    let mut notices = Vec::new();
    for cursor in [of_beta, of_other, of_restart, "0123456789abcdef-7".into()] {
        let mut events = chat.listen("t_alpha", "th", Some(&cursor)).await;
        let gap = events.event().await.unwrap();
        assert_eq!(gap.event.as_deref(), Some("stream.gap"));
        let mut notice = gap.json();
        assert_eq!(notice["reason"], "unknown");
        assert_eq!(notice["requested"], *cursor);
        for own in ["requested", "meta"] {
            notice.as_object_mut().unwrap().remove(own);
        }
        notices.push(notice);
        let next = events.event().await.unwrap().json();
        assert_eq!(next["data"]["text"], "mine");
        assert_eq!(next["routing"]["tenant_id"], "t_alpha");
    }
    assert!(
        notices.windows(2).all(|pair| pair[0] == pair[1]),
        "the notices for unknown and foreign cursors are the same"
    );
}

#[tokio::test]
async fn earliest_starts_at_the_oldest_event_and_no_cursor_starts_live() {
    let chat = Chat::start();
    for i in 0..3 {
        chat.say("t_alpha", "th", &i.to_string()).await;
    }
    let mut earliest = chat.listen("t_alpha", "th", Some("earliest")).await;
    let mut live = chat.listen("t_alpha", "th", None).await;
    chat.say("t_alpha", "th", "3").await;
    for i in 0..4 {
        assert_eq!(earliest.event().await.unwrap().json()["data"]["text"], i.to_string());
    }
    assert_eq!(live.event().await.unwrap().json()["data"]["text"], "3");
}

#[tokio::test]
async fn a_stalled_reader_does_not_delay_others_and_catches_up() {
    let chat = Chat::start_with(&["--retain", "100000"]);
    let mut stalled = chat.listen("t_alpha", "th", None).await;
    let mut brisk = chat.listen("t_alpha", "th", None).await;
    // The events are more than the buffers of the sockets hold, and less than the log keeps for a thread.
    let text = "x".repeat(4000);
    for _ in 0..200 {
        chat.say("t_alpha", "th", &text).await;
        assert!(brisk.event().await.is_some(), "the other reader gets the event meanwhile");
    }
    for seq in 1..=200 {
        let block = stalled.event().await.unwrap();
        assert_eq!(block.json()["meta"]["seq"], seq);
    }
}
