//! Tests of receiving clients' messages.

use super::{OnForeignMembers, receive::FOREIGN_MEMBERS};
use crate::{
    json::{MAX_DEPTH, Object},
    testing::fixtures::{grant, scope},
};

fn receive(text: &str, on_foreign: OnForeignMembers) -> Result<(String, String), String> {
    let event = grant(scope("t_a"), "th").receive(text, on_foreign);
    let event = event.map_err(|error| error.to_string())?;
    assert_eq!(event.routing().to_path(), "t_a/prod/th");
    assert_eq!(event.routing().actor_id().unwrap().as_str(), "ada");
    assert_eq!(event.origin_trace_id().unwrap().as_str(), "req-1");
    Ok((event.event_type().as_str().to_owned(), event.data().to_owned()))
}

#[test]
fn a_message_gives_a_type_and_its_data_byte_for_byte() {
    for (text, event_type, data) in [
        (r#"{"type":"message","text":"hi"}"#, "message", r#"{"text":"hi"}"#),
        (r#"{"text":"hi"}"#, "message", r#"{"text":"hi"}"#),
        (r#"{"type":"note.added"}"#, "note.added", "{}"),
        (
            r#" { "b" :1.0e+4, "type":"\u0078","a":{ "routing":1.10 , "$": "\u0041\/"} ,"\u0063":null}"#,
            "x",
            r#"{"b":1.0e+4,"a":{ "routing":1.10 , "$": "\u0041\/"},"\u0063":null}"#,
        ),
    ] {
        let received = receive(text, OnForeignMembers::Refuse).unwrap();
        assert_eq!(received, (event_type.to_owned(), data.to_owned()), "{text}");
    }
}

#[test]
fn members_that_only_the_server_sets_are_refused_or_ignored() {
    for claim in FOREIGN_MEMBERS {
        let text = format!(r#"{{"text":"hi","{claim}":{{"tenant_id":"t_b"}}}}"#);
        let refused = receive(&text, OnForeignMembers::Refuse).unwrap_err();
        assert!(refused.contains(claim), "{refused}");
        let (_, data) = receive(&text, OnForeignMembers::Ignore).unwrap();
        assert_eq!(data, r#"{"text":"hi"}"#);
        // An escape in the name does not make it another member.
        let escaped =
            text.replace(claim, &format!("\\u{:04x}{}", claim.as_bytes()[0], &claim[1..]));
        assert!(receive(&escaped, OnForeignMembers::Refuse).is_err(), "{escaped}");
    }
}

#[test]
fn invalid_messages_are_refused() {
    for text in [
        "",
        "hi",
        "[]",
        "5",
        r#"{"text":"a"} {}"#,
        r#"{"text":"a","text":"b"}"#,
        r#"{"type":5}"#,
        r#"{"type":"stream.gap"}"#,
        r#"{"type":"two words"}"#,
        r#"{"type":"x","type":"y"}"#,
    ] {
        assert!(receive(text, OnForeignMembers::Ignore).is_err(), "{text}");
    }
}

#[test]
fn the_envelope_of_the_deepest_message_is_still_strict_json() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        // The message itself counts as one level.
        let nested = |levels: usize| {
            let (open, close) = (open.repeat(levels - 1), close.repeat(levels - 1));
            format!("{{\"text\":{open}1{close}}}")
        };
        let deepest = nested(MAX_DEPTH - 1);
        let message =
            grant(scope("t_a"), "th").receive(&deepest, OnForeignMembers::Refuse).unwrap();
        let data = message.data();
        let envelope = |data: &str| format!("{{\"v\":1,\"data\":{data}}}");
        assert!(Object::parse(&envelope(data)).is_ok());
        assert!(Object::parse(&envelope(&nested(MAX_DEPTH))).is_err());
        let refused = receive(&nested(MAX_DEPTH), OnForeignMembers::Refuse).unwrap_err();
        assert!(refused.contains("63 levels"), "{refused}");
    }
}

#[test]
fn names_that_serde_json_reserves_are_refused_in_any_spelling() {
    for name in [
        "$serde_json::private::RawValue",
        "$serde_json::private::Number",
        "$serde_json::private::",
        "$serde_json::private::OfTomorrow",
        r"\u0024serde_json::private::RawValue",
        r"$serde\u005fjson::private::Number",
        r"\u0024\u0073erde_json\u003A\u003aprivate\u003a:RawValue",
    ] {
        for text in [
            format!(r#"{{"{name}":"{{}}"}}"#),
            format!(r#"{{"type":"x","{name}":"1","b":2}}"#),
            format!(r#"{{"a":{{"{name}":"1"}}}}"#),
            format!(r#"{{"a":[[{{"b":1}},{{"c":{{"{name}":1}}}}]]}}"#),
            // The parser also checks members that are then ignored.
            format!(r#"{{"meta":{{"{name}":"1"}}}}"#),
        ] {
            for on_foreign in [OnForeignMembers::Refuse, OnForeignMembers::Ignore] {
                let refused = receive(&text, on_foreign).unwrap_err();
                assert!(refused.contains("$serde_json::private::"), "{text}: {refused}");
            }
        }
    }
    // A value may contain it, and so may the rest of a name.
    let text = r#"{"a":"$serde_json::private::RawValue","x$serde_json::private::":1}"#;
    let (_, data) = receive(text, OnForeignMembers::Refuse).unwrap();
    assert_eq!(data, text);
    let value: serde_json::Value = serde_json::from_str(&data).unwrap();
    assert_eq!(value["a"], "$serde_json::private::RawValue");
}

#[test]
fn messages_that_are_not_strict_json_are_refused_at_any_depth() {
    let deep = format!("{}1{}", "[".repeat(30_000), "]".repeat(30_000));
    for (value, reason) in [
        (r#"{"a":1,"a":2}"#, "same name"),
        (r#"{"a":1,"\u0061":2}"#, "same name"),
        (r#""\ud800""#, "surrogate"),
        (r#"{"\udfff":1}"#, "surrogate"),
        ("1e400", "double"),
        (&deep, "63 levels"),
        (r#"{"$serde_json::private::RawValue":"{}"}"#, "$serde_json"),
        (r#"{"\u0024serde_json::private::Number":"1"}"#, "$serde_json"),
        ("tru", "valid JSON"),
    ] {
        for text in [
            format!(r#"{{"secret":{value}}}"#),
            format!(r#"{{"type":"x","secret":[0,{{"secret":{value}}}]}}"#),
            // The parser also checks members that are then ignored.
            format!(r#"{{"meta":{value}}}"#),
        ] {
            let refused = receive(&text, OnForeignMembers::Ignore).unwrap_err();
            assert!(refused.contains(reason), "{text:.100}: {refused}");
            assert!(
                !refused.contains("secret"),
                "the error must not repeat the message: {refused}"
            );
        }
    }
}
