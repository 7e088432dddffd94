//! Tests of events, of their types and routings, and of their envelope.

use super::{Cursor, Epoch, EventType, InvalidEvent, NewEvent, Routing, StampedEvent, StreamEvent};
use crate::{
    clock::from_unix,
    id::{ActorType, RequestId, Subject},
    testing::fixtures::routing,
};
use proptest::{prop_assert_eq, proptest};
use serde_json::{json, value::RawValue};

#[test]
fn a_routing_is_parsed_from_three_ids_with_slashes() {
    use super::InvalidRouting as Invalid;
    for (text, wrong) in [
        ("a/b", "is not written as tenant/env/thread"),
        ("a/b/c/d", "is not written as tenant/env/thread"),
        ("/b/c", "the tenant is empty"),
        ("a/b c/d", "the env must be [A-Za-z0-9._:@~-]{1,128}, and not only dots"),
        ("a/../c", "the env must be [A-Za-z0-9._:@~-]{1,128}, and not only dots"),
        ("a/b/undefined", "the thread is a placeholder: send the real id"),
        ("a/b/t_unknown", "the thread is a placeholder: send the real id"),
    ] {
        let parsed: Result<Routing, Invalid> = text.parse();
        assert_eq!(parsed.unwrap_err().to_string(), wrong, "{text}");
    }
}

fn parsed(event: StreamEvent) -> serde_json::Value {
    let stamped = StampedEvent::new(event, RequestId::new("r-1").unwrap());
    serde_json::from_str(&stamped.to_json()).unwrap()
}

#[test]
fn a_sealed_event_has_all_members_of_the_envelope() {
    let actor = Subject::new("auth0|\"1\"").unwrap();
    let routing =
        (*routing("t_a", "th")).clone().with_actor(actor, ActorType::new("human").unwrap());
    let origin = RequestId::new("r-0").unwrap();
    let draft = NewEvent::new(
        routing,
        EventType::new("message").unwrap(),
        &json!({"text": "hi"}),
        Some(origin),
    );
    let cursor = Cursor::new(Epoch::random(), 42);
    let event = draft.unwrap().seal(cursor, from_unix(1_795_348_800));
    assert_eq!(
        parsed(event),
        json!({
            "v": 1, "id": cursor.to_string(), "type": "message", "ts": "2026-11-22T12:00:00.000Z",
            "routing": {
                "tenant_id": "t_a", "env": "prod", "thread_id": "th",
                "actor_id": "auth0|\"1\"", "actor_type": "human",
            },
            "meta": {"trace_id": "r-1", "origin_trace_id": "r-0", "seq": 42},
            "data": {"text": "hi"},
        })
    );
}

#[test]
fn an_event_outside_a_log_has_neither_id_nor_seq() {
    let event = StreamEvent::new(routing("t_a", "th"), "x", "y").unwrap();
    assert_eq!(event.cursor(), None);
    let json = parsed(event);
    assert!(json.get("id").is_none() && json["meta"].get("seq").is_none());
}

#[test]
fn raw_data_with_line_ends_are_written_on_one_line_as_the_same_json() {
    let raw = RawValue::from_string("{\r\n  \"a\": \"x\\ny\",\n  \"b\": 1\r}".into()).unwrap();
    let event = StreamEvent::new(routing("t_a", "th"), "x", &raw).unwrap();
    let (head, tail) = event.envelope();
    assert!(![head, tail].concat().contains(['\r', '\n']));
    assert_eq!(parsed(event)["data"], json!({"a": "x\ny", "b": 1}));
}

#[test]
fn data_of_the_application_with_reserved_names_does_not_break_the_envelope() {
    /// An envelope, as a client parses it into its own types.
    #[derive(serde::Deserialize)]
    struct Envelope<'a> {
        routing: serde_json::Value,
        #[serde(borrow)]
        data: &'a RawValue,
    }

    for name in ["RawValue", "Number"] {
        let name = format!("$serde_json::private::{name}");
        let value = r#"1},"routing":{"tenant_id":"t_b"},"x":{"y":"#;
        let data = serde_json::Map::from_iter([(name, json!(value))]);
        for data in [json!(data), json!([{"a": data}])] {
            let written = data.to_string();
            let event = StreamEvent::new(routing("t_a", "th"), "x", &data).unwrap();
            assert_eq!(event.data(), written);
            let stamped = StampedEvent::new(event, RequestId::new("r-1").unwrap()).to_json();
            let envelope: Envelope<'_> = serde_json::from_str(&stamped).unwrap();
            assert_eq!(envelope.routing["tenant_id"], "t_a");
            assert_eq!(envelope.data.get(), written);
        }
    }
}

#[test]
fn reserved_and_malformed_types_are_errors() {
    for reserved in ["stream.gap", "Stream.x", "auth.expired", "access.", "error", "open", "OPEN"] {
        assert!(matches!(EventType::new(reserved), Err(InvalidEvent::Reserved)), "{reserved}");
    }
    for bad in ["", "a b", "a\nb", "a\rb", "a\0b", "ä", &"x".repeat(65)] {
        assert!(matches!(EventType::new(bad), Err(InvalidEvent::Type)), "{bad:?}");
    }
    for good in ["message", "stream", "streams.x", "errors", "open.door", "a:b/c~d", "authx.y"] {
        assert!(EventType::new(good).is_ok(), "{good}");
    }
}

#[test]
fn an_event_type_has_the_same_traits_as_an_id() {
    let (a, b): (EventType, EventType) = ("a.b".parse().unwrap(), "b".try_into().unwrap());
    assert!(a < b && a.as_ref() == "a.b" && a.to_string() == "a.b");
    assert_eq!(serde_json::to_string(&a).unwrap(), r#""a.b""#);
    assert_eq!(serde_json::from_str::<EventType>(r#""a.b""#).unwrap(), a);
    assert!(serde_json::from_str::<EventType>(r#""stream.gap""#).is_err());
    let counts = std::collections::HashMap::from([(a, 1)]);
    assert_eq!(counts.get("a.b"), Some(&1), "a map finds the type by its text");
}

proptest! {
    #[test]
    fn any_text_comes_back_unchanged(text in "\\PC*|(\r|\n|\"|\\\\|\u{0}|\u{2028}){0,8}") {
        let event = StreamEvent::new(routing("t_a", "th"), "x", &text).unwrap();
        prop_assert_eq!(&parsed(event)["data"], &json!(text));
    }
}
