//! The envelope: an event, encoded once, for one thread.
//!
//! ```json
//! {"v":1,"id":"<cursor>","type":"message","ts":"2026-11-22T12:00:00.000Z",
//!  "routing":{"tenant_id":"t_alpha","env":"prod","thread_id":"th-1","actor_id":"u-1","actor_type":"human"},
//!  "meta":{"trace_id":"<request that receives it>","origin_trace_id":"<request that published it>","seq":42},
//!  "data":{"text":"hi"}}
//! ```
//!
//! `id` and `meta.seq` are the log's; an event that never was in a log has neither. `trace_id` is
//! filled in at delivery, from the connection that receives the event.

mod cursor;
mod routing;

pub use cursor::{Cursor, Epoch, InvalidCursor, LAST_EVENT_ID, LastEventId};
pub use routing::{InvalidRouting, Routing};

use crate::{
    clock::rfc3339,
    event_stream::Block,
    id::{RequestId, Text},
};
use bytes::Bytes;
use memchr::memchr2;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use std::{
    fmt::{self, Write as _},
    ops::Range,
    sync::Arc,
    time::SystemTime,
};

/// What an event takes beside its data with names of usual length, in bytes.
const BESIDE_DATA: usize = 448;

/// The type of an event: `[A-Za-z0-9._:/~-]{1,64}`, not one of the reserved ones.
///
/// `stream.*`, `auth.*`, `access.*`, `error` and `open` are reserved for notices, in any case: a
/// client must be able to tell what the library says from what somebody published.
///
/// ```
/// use tower_tenancy::EventType;
///
/// assert!(EventType::new("agent.token").is_ok());
/// assert!(EventType::new("stream.gap").is_err());
/// assert!(EventType::new("two\nlines").is_err());
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EventType(Text);

/// Why an event cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidEvent {
    /// The type is empty, longer than 64 bytes, or has a character outside `[A-Za-z0-9._:/~-]`.
    #[error("the event type must be 1 to 64 characters of [A-Za-z0-9._:/~-]")]
    Type,
    /// The type is reserved for notices.
    #[error("the event type is reserved: stream.*, auth.*, access.*, error and open are notices")]
    Reserved,
    /// The data cannot be written as JSON.
    #[error("the data cannot be written as JSON")]
    Data(#[source] serde_json::Error),
}

impl EventType {
    /// Checks `text` against the rule.
    ///
    /// # Errors
    ///
    /// [`InvalidEvent::Type`] or [`InvalidEvent::Reserved`].
    pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidEvent> {
        let text = text.as_ref();
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._:/~-".contains(&b);
        if text.is_empty() || text.len() > 64 || !text.bytes().all(allowed) {
            return Err(InvalidEvent::Type);
        }
        let family = text.split_once('.').map_or(text, |(family, _)| family);
        let is = |name: &str| family.eq_ignore_ascii_case(name);
        let alone = family.len() == text.len();
        if ((is("stream") || is("auth") || is("access")) && !alone)
            || ((is("error") || is("open")) && alone)
        {
            return Err(InvalidEvent::Reserved);
        }
        Ok(Self(text.into()))
    }

    /// The type as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Debug for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// One event of one thread, encoded once and shared by all that receive it.
///
/// ```
/// use tower_tenancy::{Env, Routing, StreamEvent, TenantId, ThreadId};
///
/// let routing = Routing::new(TenantId::new("t_alpha")?, Env::new("prod")?, ThreadId::new("th-1")?);
/// let event = StreamEvent::new(routing, "agent.token", &serde_json::json!({ "text": "Hel" }))?;
/// assert_eq!(event.routing().tenant().as_str(), "t_alpha");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// It reaches a client only through a grant of its thread: see
/// [`ThreadGrant::guard`](crate::ThreadGrant::guard).
#[derive(Clone)]
pub struct StreamEvent(Arc<Sealed>);

struct Sealed {
    routing: Arc<Routing>,
    event_type: EventType,
    cursor: Option<Cursor>,
    /// The event as a block of an event stream, but for the value of `meta.trace_id`. The other
    /// transports take the envelope out of it.
    block: Box<str>,
    marks: Marks,
    origin_trace_id: Option<RequestId>,
}

/// Where in a block the envelope is, the trace id goes, and the time and the data are.
#[derive(Default)]
struct Marks {
    envelope: Range<usize>,
    trace_at: usize,
    ts: Range<usize>,
    data: Range<usize>,
}

impl StreamEvent {
    /// An event of the application's own stream, outside any log: it has no id and no `seq`, and a
    /// client cannot resume after it.
    ///
    /// The data are written as their type serialises, and not looked through, unlike a client's message
    /// ([`ThreadGrant::receive`](crate::ThreadGrant::receive)). Members whose names start with
    /// `$serde_json::private::` are for the application to keep out of them: a consumer that parses into
    /// `serde_json::Value` reads these as something else.
    ///
    /// # Errors
    ///
    /// A type that is malformed or reserved; data that is no JSON.
    pub fn new(
        routing: impl Into<Arc<Routing>>,
        event_type: impl AsRef<str>,
        data: &(impl Serialize + ?Sized),
    ) -> Result<Self, InvalidEvent> {
        let draft = NewEvent::new(routing, EventType::new(event_type)?, data, None)?;
        Ok(draft.encode(None, SystemTime::now()))
    }

    /// An event that an engine reads back from its store, made anew out of what it stored. An
    /// envelope is never taken over as it is.
    ///
    /// # Errors
    ///
    /// [`InvalidEvent::Data`] for data that is no JSON.
    pub fn restored(
        routing: impl Into<Arc<Routing>>,
        event_type: EventType,
        data: &(impl Serialize + ?Sized),
        origin_trace_id: Option<RequestId>,
        at: Cursor,
        time: SystemTime,
    ) -> Result<Self, InvalidEvent> {
        Ok(NewEvent::new(routing, event_type, data, origin_trace_id)?.seal(at, time))
    }

    /// Whose event this is.
    #[must_use]
    pub fn routing(&self) -> &Routing {
        &self.0.routing
    }

    /// What kind of event this is.
    #[must_use]
    pub fn event_type(&self) -> &EventType {
        &self.0.event_type
    }

    /// The event's `id`: the position after it in its thread's log.
    #[must_use]
    pub fn cursor(&self) -> Option<Cursor> {
        self.0.cursor
    }

    /// When the event was taken in: RFC 3339, in UTC with milliseconds.
    #[must_use]
    pub fn ts(&self) -> &str {
        self.0.block.get(self.0.marks.ts.clone()).unwrap_or_default()
    }

    /// The request that the event stems from.
    #[must_use]
    pub fn origin_trace_id(&self) -> Option<&RequestId> {
        self.0.origin_trace_id.as_ref()
    }

    /// The data, as JSON text.
    #[must_use]
    pub fn data(&self) -> &str {
        self.0.block.get(self.0.marks.data.clone()).unwrap_or_default()
    }

    /// How much memory the encoded event takes, in bytes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        self.0.block.len()
    }

    /// The block of an event stream in two parts; the trace id goes between them.
    fn block(&self) -> (&str, &str) {
        self.0.block.split_at_checked(self.0.marks.trace_at).unwrap_or_default()
    }

    /// The second of these parts, without copying it.
    pub(crate) fn into_rest(self) -> Bytes {
        struct Rest(StreamEvent);
        impl AsRef<[u8]> for Rest {
            fn as_ref(&self) -> &[u8] {
                let (_, rest) = self.0.block();
                rest.as_bytes()
            }
        }
        Bytes::from_owner(Rest(self))
    }

    /// The envelope alone, in two parts as well.
    fn envelope(&self) -> (&str, &str) {
        let Sealed { block, marks: Marks { envelope, trace_at, .. }, .. } = &*self.0;
        let half = |range: Range<usize>| block.get(range).unwrap_or_default();
        (half(envelope.start..*trace_at), half(*trace_at..envelope.end))
    }
}

impl fmt::Debug for StreamEvent {
    /// Without the data: it is the tenant's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamEvent")
            .field("routing", &self.0.routing)
            .field("event_type", &self.0.event_type)
            .field("cursor", &self.0.cursor)
            .finish_non_exhaustive()
    }
}

/// An event that a log is to take in: everything but its place.
///
/// Only a [`Publisher`](crate::Publisher) or a grant makes one, and gives it to a log alone. A log
/// [seals](Self::seal) it.
#[derive(Clone, Debug)]
pub struct NewEvent {
    routing: Arc<Routing>,
    event_type: EventType,
    data: Box<RawValue>,
    origin_trace_id: Option<RequestId>,
}

impl NewEvent {
    /// An event of the thread that `routing` names, stemming from the request that
    /// `origin_trace_id` names.
    pub(crate) fn new(
        routing: impl Into<Arc<Routing>>,
        event_type: EventType,
        data: &(impl Serialize + ?Sized),
        origin_trace_id: Option<RequestId>,
    ) -> Result<Self, InvalidEvent> {
        let data = to_raw_value(data).map_err(InvalidEvent::Data)?;
        Ok(Self { routing: routing.into(), event_type, data, origin_trace_id })
    }

    /// Whose event this is.
    #[must_use]
    pub fn routing(&self) -> &Routing {
        &self.routing
    }

    /// What kind of event this is.
    #[must_use]
    pub fn event_type(&self) -> &EventType {
        &self.event_type
    }

    /// The data, as JSON text.
    #[must_use]
    pub fn data(&self) -> &RawValue {
        &self.data
    }

    /// The request that the event stems from.
    #[must_use]
    pub fn origin_trace_id(&self) -> Option<&RequestId> {
        self.origin_trace_id.as_ref()
    }

    /// Gives the event its place in the log and the time it was taken in.
    #[must_use]
    pub fn seal(self, at: Cursor, time: SystemTime) -> StreamEvent {
        self.encode(Some(at), time)
    }

    fn encode(self, cursor: Option<Cursor>, time: SystemTime) -> StreamEvent {
        let mut block = String::with_capacity(BESIDE_DATA + self.data.get().len());
        let mut marks = Marks::default();
        Block::new(&mut block)
            .id(cursor)
            .event(self.event_type.as_str())
            .data_line(|line| marks = self.envelope(cursor, time, line))
            .end();
        StreamEvent(Arc::new(Sealed {
            routing: self.routing,
            event_type: self.event_type,
            cursor,
            block: block.into(),
            marks,
            origin_trace_id: self.origin_trace_id,
        }))
    }

    /// Writes the envelope, on one line.
    fn envelope(&self, cursor: Option<Cursor>, time: SystemTime, out: &mut String) -> Marks {
        let start = out.len();
        out.push_str(r#"{"v":1"#);
        if let Some(cursor) = cursor {
            append(out, format_args!(r#","id":"{cursor}""#));
        }
        push(out, [r#","type":""#, self.event_type.as_str(), r#"","ts":""#]);
        let ts = out.len();
        append(out, format_args!("{}", rfc3339(time)));
        let ts = ts..out.len();
        out.push_str(r#"","routing":"#);
        self.routing.push_json(out);
        out.push_str(r#","meta":{"trace_id":""#);
        let trace_at = out.len();
        out.push('"');
        if let Some(origin) = &self.origin_trace_id {
            push(out, [r#","origin_trace_id":""#, origin.as_str(), r#"""#]);
        }
        if let Some(cursor) = cursor {
            append(out, format_args!(r#","seq":{}"#, cursor.seq()));
        }
        out.push_str(r#"},"data":"#);
        let data = out.len();
        // Raw JSON may hold line ends between its tokens, never inside: the envelope is one line.
        let raw = self.data.get();
        match memchr2(b'\r', b'\n', raw.as_bytes()) {
            Some(_) => out.push_str(&raw.replace(['\r', '\n'], " ")),
            None => out.push_str(raw),
        }
        let data = data..out.len();
        out.push('}');
        Marks { envelope: start..out.len(), trace_at, ts, data }
    }
}

fn push<const N: usize>(out: &mut String, parts: [&str; N]) {
    parts.into_iter().for_each(|part| out.push_str(part));
}

/// A `String` takes whatever is written.
fn append(out: &mut String, text: fmt::Arguments<'_>) {
    let _infallible = out.write_fmt(text);
}

/// An event that passed a grant: checked against its thread, and stamped with the id of the
/// request that receives it.
#[derive(Clone, Debug)]
pub struct StampedEvent {
    event: StreamEvent,
    trace_id: RequestId,
}

impl StampedEvent {
    pub(crate) fn new(event: StreamEvent, trace_id: RequestId) -> Self {
        Self { event, trace_id }
    }

    /// The event.
    #[must_use]
    pub fn event(&self) -> &StreamEvent {
        &self.event
    }

    /// The id of the request that receives it.
    #[must_use]
    pub fn trace_id(&self) -> &RequestId {
        &self.trace_id
    }

    /// The whole envelope as one line of JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let (head, tail) = self.event.envelope();
        [head, self.trace_id.as_str(), tail].concat()
    }

    /// The event as a block of an event stream, in pieces.
    pub(crate) fn block(&self) -> [&str; 3] {
        let (head, tail) = self.event.block();
        [head, self.trace_id.as_str(), tail]
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{
        Cursor, Epoch, EventType, InvalidEvent, NewEvent, Routing, StampedEvent, StreamEvent,
    };
    use crate::{
        clock::from_unix,
        id::{ActorType, RequestId, Subject},
    };
    use proptest::{prop_assert_eq, proptest};
    use serde_json::{json, value::RawValue};
    use std::sync::Arc;

    pub(crate) fn routing(tenant: &str, thread: &str) -> Arc<Routing> {
        Arc::new(format!("{tenant}/prod/{thread}").parse().unwrap())
    }

    #[test]
    fn a_routing_is_three_names() {
        use super::InvalidRouting as Invalid;
        for (text, wrong) in [
            ("a/b", "is not written as tenant/env/thread"),
            ("a/b/c/d", "is not written as tenant/env/thread"),
            ("/b/c", "the tenant is empty"),
            ("a/b c/d", "the env must be [A-Za-z0-9._:@~-]{1,128}, and not only dots"),
            ("a/../c", "the env must be [A-Za-z0-9._:@~-]{1,128}, and not only dots"),
            (
                "a/b/undefined",
                "the thread is a placeholder, which stands for nobody: send the real one",
            ),
            (
                "a/b/t_unknown",
                "the thread is a placeholder, which stands for nobody: send the real one",
            ),
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
    fn a_sealed_event_is_the_whole_envelope() {
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
    fn raw_data_with_line_ends_stays_one_line_and_the_same_json() {
        let raw = RawValue::from_string("{\r\n  \"a\": \"x\\ny\",\n  \"b\": 1\r}".into()).unwrap();
        let event = StreamEvent::new(routing("t_a", "th"), "x", &raw).unwrap();
        let (head, tail) = event.envelope();
        assert!(![head, tail].concat().contains(['\r', '\n']));
        assert_eq!(parsed(event)["data"], json!({"a": "x\ny", "b": 1}));
    }

    #[test]
    fn data_of_the_application_with_reserved_names_does_not_break_the_envelope() {
        /// As a reader with types of its own takes it.
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
        for reserved in
            ["stream.gap", "Stream.x", "auth.expired", "access.", "error", "open", "OPEN"]
        {
            assert!(matches!(EventType::new(reserved), Err(InvalidEvent::Reserved)), "{reserved}");
        }
        for bad in ["", "a b", "a\nb", "a\rb", "a\0b", "ä", &"x".repeat(65)] {
            assert!(matches!(EventType::new(bad), Err(InvalidEvent::Type)), "{bad:?}");
        }
        for good in ["message", "stream", "streams.x", "errors", "open.door", "a:b/c~d", "authx.y"]
        {
            assert!(EventType::new(good).is_ok(), "{good}");
        }
    }

    proptest! {
        #[test]
        fn any_data_comes_back_as_it_was(text in "\\PC*|(\r|\n|\"|\\\\|\u{0}|\u{2028}){0,8}") {
            let event = StreamEvent::new(routing("t_a", "th"), "x", &text).unwrap();
            prop_assert_eq!(&parsed(event)["data"], &json!(text));
        }
    }
}
