//! The text of the frames.

use super::support::*;
use crate::{
    delivery::{Delivery, Gap, GapReason, Position},
    ending::Ending,
    event::{Cursor, Epoch, EventType, NewEvent},
    rejection::BoxError,
    testing::{
        ManualClock,
        fixtures::{grant, routing, scope},
    },
};
use eventsource_stream::EventStream;
use futures_channel::mpsc;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use proptest::{collection::vec, prop_assert_eq, proptest};
use std::{
    convert::Infallible,
    time::{Duration, UNIX_EPOCH},
};

#[tokio::test]
async fn a_stream_opens_at_once_and_its_first_position_comes_with_data() {
    let cursor = Cursor::new(Epoch::random(), 7);
    let source = stream::iter([Position::new(&routing("t_a", "th"), cursor).into()])
        .chain(stream::pending());
    let mut primed = Box::pin(body(source).retry(Duration::from_millis(1500)));
    let data = r#"data: {"code":"stream.open","meta":{"trace_id":"req-1"}}"#;
    let opening = format!("event: stream.open\nid: {cursor}\nretry: 1500\n{data}\n\n");
    assert_eq!(frames(&mut primed), [opening]);
    let mut silent = Box::pin(body(stream::pending::<Delivery>()));
    let opening = format!("event: stream.open\nretry: 3000\n{data}\n\n");
    assert_eq!(frames(&mut silent), [opening], "no position, no id");
}

#[test]
fn events_have_id_type_and_the_envelope_on_one_line() {
    let cursor = Cursor::new(Epoch::random(), 1);
    let text = all(stream::iter([message(cursor)]));
    let (_, event) = text.split_once("\n\n").unwrap();
    let lines: Vec<_> = event.lines().collect();
    assert_eq!(lines[0], format!("id: {cursor}"));
    assert!(lines[1].starts_with(r#"data: {"v":1,"id":""#), "no event line for `message`");
    assert!(lines[1].contains(r#""trace_id":"req-1""#));
    let own = all(stream::iter([own()]));
    assert!(own.contains("\n\nevent: x.y\ndata: {") && !own.contains("\nid:"), "{own}");
}

proptest! {
    #[test]
    fn any_event_arrives_whole_at_an_independent_parser(
        texts in vec("(\r|\n|\"|\\\\|:|data|\u{0}|\u{feff}|\u{2028}|\\PC){0,20}", 1..8),
        types in vec("[A-Za-z0-9._:/~-]{1,12}", 8),
        chunk in 1..64_usize,
    ) {
        let epoch = Epoch::random();
        let named = texts.iter().zip(&types).zip(1..).filter_map(|((text, name), seq)| {
            let draft = NewEvent::new(routing("t_a", "th"), EventType::new(name).ok()?, text, None);
            Some(draft.unwrap().seal(Cursor::new(epoch, seq), UNIX_EPOCH))
        });
        let sent: Vec<_> = named.collect();
        let text = all(stream::iter(sent.clone().into_iter().map(Delivery::from)));
        let chunks = text.as_bytes().chunks(chunk).map(Ok::<_, Infallible>);
        let parsed = EventStream::new(stream::iter(chunks)).map(Result::unwrap);
        let mut parsed: Vec<_> = parsed.collect::<Vec<_>>().now_or_never().expect("ready");
        prop_assert_eq!(parsed.pop().unwrap().event, "stream.complete");
        prop_assert_eq!(parsed.remove(0).event, "stream.open");
        prop_assert_eq!(parsed.len(), sent.len());
        for (event, parsed) in sent.iter().zip(parsed) {
            let envelope: serde_json::Value = serde_json::from_str(&parsed.data).unwrap();
            prop_assert_eq!(&parsed.event, event.event_type().as_str());
            prop_assert_eq!(&parsed.id, &event.cursor().unwrap().to_string());
            prop_assert_eq!(&envelope["type"], &parsed.event);
            let seq = envelope["meta"]["seq"].as_u64().unwrap() as usize;
            prop_assert_eq!(&envelope["data"], &serde_json::json!(texts[seq - 1]));
        }
    }
}

#[test]
fn a_gap_notice_has_the_position_where_reading_continues() {
    let epoch = Epoch::random();
    let at = |seq| Cursor::new(epoch, seq);
    let gap = |resumes_at| -> Delivery {
        Gap::new(&routing("t_a", "th"), GapReason::Trimmed, at(1), at(5), resumes_at).into()
    };
    let text = all(stream::iter([gap(Some(at(5)))]));
    let (_, notice) = text.split_once("\n\n").unwrap();
    let (notice, rest) = notice.split_once("\n\n").unwrap();
    let resumed = format!("event: stream.gap\nid: {}\ndata: {{", at(5));
    assert!(notice.starts_with(&resumed) && notice.contains(r#""reason":"trimmed""#), "{notice}");
    assert!(rest.starts_with("event: stream.complete\ndata: {"), "{rest}");

    let source = stream::iter([gap(None), message(at(6))]);
    let closed = all(source);
    assert_eq!(closed.matches("event: ").count(), 2, "the opening and one notice: {closed}");
    assert!(!closed.contains("\nid: "), "no position to continue from: {closed}");
    assert!(closed.contains("stream.gap") && closed.contains(r#""resumes_at":null"#));
}

#[test]
fn each_ending_of_a_source_has_one_notice() {
    for ending in Ending::ALL {
        for items in [vec![(*ending).into()], vec![own(), (*ending).into(), own()]] {
            let text = all(stream::iter(items));
            let notice = format!("event: {}\n", ending.code());
            assert_eq!(text.matches(&notice).count(), 1, "{text}");
            assert!(text.contains(&format!(r#""code":"{}""#, ending.code())), "{text}");
        }
    }
}

#[test]
fn a_stream_reports_why_it_ends() {
    let complete = all(stream::iter([]));
    assert!(complete.contains("event: stream.complete\ndata: {"), "{complete}");
    let failed = stream::iter([Err::<Delivery, BoxError>("boom".into())]);
    let mut failed = Box::pin(grant(scope("t_a"), "th").guard(failed).into_sse());
    let text = frames(&mut failed).concat();
    assert_eq!(text.matches("retry: ").count(), 2, "the ending has its own jittered delay: {text}");
    assert!(text.contains("event: stream.source_failed\n") && !text.contains("boom"));
    assert!(http_body::Body::is_end_stream(&*failed));
}

/// Every block has data. Firefox and Safari drop a block without data, and simple parsers take it as an
/// event without data.
#[test]
fn every_block_has_data_and_every_notice_names_its_request() {
    let clock = ManualClock::at(1000);
    let (send, receive) = mpsc::unbounded();
    let mut body = beating(&clock, receive);
    let mut text = frames(&mut body).concat();
    let (thread, cursor) = (routing("t_a", "th"), |seq| Cursor::new(Epoch::random(), seq));
    let gap = Gap::new(&thread, GapReason::Unknown, cursor(1), cursor(2), Some(cursor(3)));
    let position = || Position::new(&thread, cursor(4));
    for delivery in [position().into(), own(), gap.into(), message(cursor(5)), position().into()] {
        clock.advance(Duration::from_secs(10));
        text.extend(frames(&mut body));
        send.unbounded_send(delivery).unwrap();
        text.extend(frames(&mut body));
    }
    drop(send);
    text.extend(frames(&mut body));
    assert_eq!(text.matches(":\n").count(), 5, "heartbeats: {text}");
    let blocks: Vec<_> = text.split_terminator("\n\n").collect();
    assert_eq!(blocks.len(), 7, "{text}");
    for block in &blocks {
        let data = block.lines().find_map(|line| line.strip_prefix("data: ")).expect(block);
        let data: serde_json::Value = serde_json::from_str(data).unwrap();
        assert_eq!(data["meta"]["trace_id"], "req-1", "{block}");
    }
    let ids = blocks.iter().filter(|block| block.contains("\nid: ") || block.starts_with("id: "));
    assert_eq!(ids.count(), 4, "positions, the gap and the event of a log: {text}");
}
