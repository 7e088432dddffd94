//! What a client may say: a type and its data, and nothing about whose it is.

use crate::{
    access::ThreadGrant,
    event::{EventType, InvalidEvent, NewEvent, Routing},
    id::RequestId,
    json::{Fault, MAX_DEPTH, Member, Object},
    rejection::{Rejection, RejectionKind},
};
use serde_json::value::RawValue;
use std::sync::Arc;

/// What only the grant says: members that a client's message may not have.
const CLAIMS: [&str; 12] = [
    "routing",
    "tenant",
    "tenant_id",
    "env",
    "thread",
    "thread_id",
    "actor",
    "actor_id",
    "actor_type",
    "meta",
    "trace_id",
    "origin_trace_id",
];

/// What to do about a client that says whose its message is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnClaims {
    /// Refuse the message.
    #[default]
    Refuse,
    /// Leave those members out, and take the rest.
    Ignore,
}

/// Why a client's message is not taken. What it says is safe for clients.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidMessage {
    /// The message is no JSON object (RFC 8259), or it has, at any depth: two members of one name in
    /// one object, more than 63 levels (64 with the envelope around it), a number whose nearest double
    /// is infinite, half of a surrogate pair, or a name that serde_json reserves. Says which.
    ///
    /// Nothing else is refused. Readers that take numbers for doubles still round an integer beyond
    /// 2^53 or a long fraction, and read a number that is too small for a double as zero.
    #[error("the message must be one strict JSON object, such as {{\"text\":\"hi\"}}, but {0}")]
    Json(String),
    /// The message says whose it is.
    #[error("the message must not have the member '{0}': the request says whose it is")]
    Claim(&'static str),
    /// The type is malformed or reserved.
    #[error(transparent)]
    Event(#[from] InvalidEvent),
    /// The proof of the client that sent it is over: `auth.expired` or `access.revoked`.
    #[error(transparent)]
    ProofEnded(Rejection),
}

impl From<Fault> for InvalidMessage {
    fn from(fault: Fault) -> Self {
        Self::Json(fault.to_string())
    }
}

impl From<InvalidMessage> for Rejection {
    fn from(invalid: InvalidMessage) -> Self {
        match invalid {
            InvalidMessage::ProofEnded(rejection) => rejection,
            InvalidMessage::Json(_) | InvalidMessage::Claim(_) | InvalidMessage::Event(_) => {
                Self::new(RejectionKind::MessageInvalid)
                    .with_detail(format!("Not taken: {invalid}."))
            }
        }
    }
}

/// A client's message, received under a grant: what it says is the client's, and whose it is, is the
/// grant's. Only [`ThreadGrant::receive`] makes one. [`ThreadGrant::publish`] and
/// [`Publisher::publish_message`](crate::Publisher::publish_message) put it into a log.
#[derive(Clone, Debug)]
pub struct ClientMessage(NewEvent);

impl ClientMessage {
    /// The thread that it was received for, and its sender as actor.
    #[must_use]
    pub fn routing(&self) -> &Routing {
        self.0.routing()
    }

    /// What kind of event it becomes.
    #[must_use]
    pub fn event_type(&self) -> &EventType {
        self.0.event_type()
    }

    /// Its data, as JSON text: an object.
    #[must_use]
    pub fn data(&self) -> &str {
        self.0.data().get()
    }

    /// The request that it was received in.
    #[must_use]
    pub fn origin_trace_id(&self) -> Option<&RequestId> {
        self.0.origin_trace_id()
    }

    pub(crate) fn into_event(self) -> NewEvent {
        self.0
    }
}

impl ThreadGrant {
    /// Takes a message of the client that holds this grant, as text: a JSON object whose `type`
    /// (`message` if there is none) is the event's, and whose other members are the event's data.
    ///
    /// The whole message is held against one strict rule for JSON first ([`InvalidMessage::Json`]). The
    /// data are then passed on byte for byte as they were written, but for white space between the
    /// members of the message.
    ///
    /// Routing, actor and origin are the grant's. What the client puts there (`routing`,
    /// `tenant_id`, `env`, `thread_id`, `actor_id`, `actor_type`, `meta`, `trace_id` and the like, at
    /// the top of the message) is refused or ignored, and never trusted.
    ///
    /// ```
    /// use tower_tenancy::{InvalidMessage, OnClaims, ThreadGrant};
    ///
    /// fn take(grant: &ThreadGrant, body: &str) -> Result<(), InvalidMessage> {
    ///     let message = grant.receive(body, OnClaims::Refuse)?; // {"type":"message","text":"hi"}
    ///     assert_eq!(message.data(), r#"{"text":"hi"}"#);
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidMessage`] says what is wrong with the message, or that the proof is over.
    pub fn receive(
        &self,
        text: &str,
        on_claims: OnClaims,
    ) -> Result<ClientMessage, InvalidMessage> {
        self.proof().check().map_err(InvalidMessage::ProofEnded)?;
        // The envelope nests the data one level deeper than the message does.
        let message = Object::within(MAX_DEPTH - 1, text)?;
        let mut event_type = None;
        // The members are passed on as they were written.
        let mut data = String::with_capacity(text.len());
        for Member { name, written, value } in message.members() {
            if name == "type" {
                let name = value.string().ok_or(InvalidEvent::Type)?;
                event_type = Some(EventType::new(name)?);
            } else if let Some(claim) = CLAIMS.into_iter().find(|claim| claim == name) {
                if on_claims == OnClaims::Refuse {
                    return Err(InvalidMessage::Claim(claim));
                }
            } else {
                data.push(if data.is_empty() { '{' } else { ',' });
                data.extend([written, ":", value.text()]);
            }
        }
        data.push_str(if data.is_empty() { "{}" } else { "}" });
        let data = RawValue::from_string(data).map_err(InvalidEvent::Data)?;
        let event_type = match event_type {
            Some(event_type) => event_type,
            None => EventType::new("message")?,
        };
        let origin = Some(self.scope().request_id().clone());
        let routing = Arc::clone(self.routing());
        Ok(ClientMessage(NewEvent::new(routing, event_type, &data, origin)?))
    }
}

#[cfg(test)]
mod tests {
    use super::{CLAIMS, OnClaims};
    use crate::{
        access::tests::grant,
        json::{MAX_DEPTH, Object},
        scope::tests::scope,
    };

    fn receive(text: &str, on_claims: OnClaims) -> Result<(String, String), String> {
        let event = grant(scope("t_a"), "th").receive(text, on_claims);
        let event = event.map_err(|error| error.to_string())?;
        assert_eq!(event.routing().to_path(), "t_a/prod/th");
        assert_eq!(event.routing().actor_id().unwrap().as_str(), "ada");
        assert_eq!(event.origin_trace_id().unwrap().as_str(), "req-1");
        Ok((event.event_type().as_str().to_owned(), event.data().to_owned()))
    }

    #[test]
    fn a_message_is_a_type_and_data_exactly_as_written() {
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
            let received = receive(text, OnClaims::Refuse).unwrap();
            assert_eq!(received, (event_type.to_owned(), data.to_owned()), "{text}");
        }
    }

    #[test]
    fn whose_a_message_is_is_not_for_the_client_to_say() {
        for claim in CLAIMS {
            let text = format!(r#"{{"text":"hi","{claim}":{{"tenant_id":"t_b"}}}}"#);
            let refused = receive(&text, OnClaims::Refuse).unwrap_err();
            assert!(refused.contains(claim), "{refused}");
            let (_, data) = receive(&text, OnClaims::Ignore).unwrap();
            assert_eq!(data, r#"{"text":"hi"}"#);
            // Spelled with an escape, it is the same member.
            let escaped =
                text.replace(claim, &format!("\\u{:04x}{}", claim.as_bytes()[0], &claim[1..]));
            assert!(receive(&escaped, OnClaims::Refuse).is_err(), "{escaped}");
        }
    }

    #[test]
    fn what_is_no_message_is_refused() {
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
            assert!(receive(text, OnClaims::Ignore).is_err(), "{text}");
        }
    }

    #[test]
    fn the_envelope_of_a_message_is_no_deeper_than_what_strict_readers_take() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            // The message itself is a level.
            let nested = |levels: usize| {
                let (open, close) = (open.repeat(levels - 1), close.repeat(levels - 1));
                format!("{{\"text\":{open}1{close}}}")
            };
            let deepest = nested(MAX_DEPTH - 1);
            let message = grant(scope("t_a"), "th").receive(&deepest, OnClaims::Refuse).unwrap();
            let data = message.data();
            let envelope = |data: &str| format!("{{\"v\":1,\"data\":{data}}}");
            assert!(Object::parse(&envelope(data)).is_ok());
            assert!(Object::parse(&envelope(&nested(MAX_DEPTH))).is_err());
            let refused = receive(&nested(MAX_DEPTH), OnClaims::Refuse).unwrap_err();
            assert!(refused.contains("63 levels"), "{refused}");
        }
    }

    #[test]
    fn a_message_has_no_name_that_serde_json_reserves_however_it_is_written() {
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
                // What is left out as well.
                format!(r#"{{"meta":{{"{name}":"1"}}}}"#),
            ] {
                for on_claims in [OnClaims::Refuse, OnClaims::Ignore] {
                    let refused = receive(&text, on_claims).unwrap_err();
                    assert!(refused.contains("$serde_json::private::"), "{text}: {refused}");
                }
            }
        }
        // As a value, and as a part of a name, it is a text like any other.
        let text = r#"{"a":"$serde_json::private::RawValue","x$serde_json::private::":1}"#;
        let (_, data) = receive(text, OnClaims::Refuse).unwrap();
        assert_eq!(data, text);
        let value: serde_json::Value = serde_json::from_str(&data).unwrap();
        assert_eq!(value["a"], "$serde_json::private::RawValue");
    }

    #[test]
    fn what_strict_readers_cannot_read_is_no_message_at_any_depth() {
        let deep = format!("{}1{}", "[".repeat(30_000), "]".repeat(30_000));
        for (value, told) in [
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
                // What is left out is looked through as well.
                format!(r#"{{"meta":{value}}}"#),
            ] {
                let refused = receive(&text, OnClaims::Ignore).unwrap_err();
                assert!(refused.contains(told), "{text:.100}: {refused}");
                assert!(!refused.contains("secret"), "it repeats the message: {refused}");
            }
        }
    }
}
