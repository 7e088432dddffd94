//! An event before and after it is encoded.

use super::{
    cursor::Cursor,
    event_type::{EventType, InvalidEvent},
    json_text::{append, push},
    routing::Routing,
};
use crate::{
    clock::rfc3339,
    event_stream::Block,
    id::{RequestId, ThreadKey},
};
use bytes::Bytes;
use memchr::memchr2;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use std::{fmt, ops::Range, sync::Arc, time::SystemTime};

/// The usual size of an envelope without its data, in bytes.
const ENVELOPE_BYTES: usize = 448;
/// One event of one thread. It is encoded once, and all its receivers share the text.
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
    /// The event as a block of an event stream, without the value of `meta.trace_id`. The other
    /// transports take the envelope out of this block.
    block: Box<str>,
    marks: Marks,
    origin_trace_id: Option<RequestId>,
}

/// The places of the envelope, the trace id, the time and the data in a block.
#[derive(Default)]
struct Marks {
    envelope: Range<usize>,
    trace_at: usize,
    ts: Range<usize>,
    data: Range<usize>,
}

impl StreamEvent {
    /// An event of the application's own stream, outside any log. It has no id and no `seq`, so a client
    /// cannot resume after it.
    ///
    /// The crate serializes the data, but does not check them like a client's message
    /// ([`ThreadGrant::receive`](crate::ThreadGrant::receive)). Do not give a member a name that starts
    /// with `$serde_json::private::`: a consumer that parses into `serde_json::Value` would read another
    /// value.
    ///
    /// # Errors
    ///
    /// [`InvalidEvent`], if the type is malformed or reserved, or the data do not serialize to JSON.
    pub fn new(
        routing: impl Into<Arc<Routing>>,
        event_type: impl AsRef<str>,
        data: &(impl Serialize + ?Sized),
    ) -> Result<Self, InvalidEvent> {
        let draft = NewEvent::new(routing, EventType::new(event_type)?, data, None)?;
        Ok(draft.encode(None, SystemTime::now()))
    }

    /// An event that an engine read back from its store. It is encoded again from its stored parts,
    /// because a stored envelope is not trusted. Pass stored JSON text as a `&RawValue`: a `&str` would
    /// become a JSON string.
    ///
    /// # Errors
    ///
    /// [`InvalidEvent::Data`], if the data do not serialize to JSON.
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

    /// The thread that the event belongs to, and its actor.
    #[must_use]
    pub fn routing(&self) -> &Routing {
        &self.0.routing
    }

    /// The type of the event.
    #[must_use]
    pub fn event_type(&self) -> &EventType {
        &self.0.event_type
    }

    /// The event's `id`: the position after it in its thread's log. `None` for an event outside a log.
    #[must_use]
    pub fn cursor(&self) -> Option<Cursor> {
        self.0.cursor
    }

    /// The time at which the log stored the event, or at which an event outside a log was made: RFC 3339,
    /// in UTC, with milliseconds.
    #[must_use]
    pub fn ts(&self) -> &str {
        self.0.block.get(self.0.marks.ts.clone()).unwrap_or_default()
    }

    /// The id of the request that published the event.
    #[must_use]
    pub fn origin_trace_id(&self) -> Option<&RequestId> {
        self.0.origin_trace_id.as_ref()
    }

    /// The data, as JSON text.
    #[must_use]
    pub fn data(&self) -> &str {
        self.0.block.get(self.0.marks.data.clone()).unwrap_or_default()
    }

    /// The length of the encoded event, in bytes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        self.0.block.len()
    }

    /// The block of an event stream in two parts. The trace id goes between them.
    pub(super) fn block(&self) -> (&str, &str) {
        self.0.block.split_at_checked(self.0.marks.trace_at).unwrap_or_default()
    }

    /// The second part of the block, without a copy.
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

    /// The envelope without the rest of the block, in two parts. The trace id goes between them.
    pub(super) fn envelope(&self) -> (&str, &str) {
        let Sealed { block, marks: Marks { envelope, trace_at, .. }, .. } = &*self.0;
        let half = |range: Range<usize>| block.get(range).unwrap_or_default();
        (half(envelope.start..*trace_at), half(*trace_at..envelope.end))
    }
}

impl fmt::Debug for StreamEvent {
    /// Leaves out the data, because they belong to the tenant.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamEvent")
            .field("routing", &self.0.routing)
            .field("event_type", &self.0.event_type)
            .field("cursor", &self.0.cursor)
            .finish_non_exhaustive()
    }
}

/// An event that no log has stored yet: it has no cursor and no time.
///
/// Only a [`Publisher`](crate::Publisher) or a grant makes one, and passes it to a log. The log
/// [seals](Self::seal) it.
#[derive(Clone, Debug)]
pub struct NewEvent {
    routing: Arc<Routing>,
    event_type: EventType,
    data: Box<RawValue>,
    origin_trace_id: Option<RequestId>,
}

impl NewEvent {
    /// An event of the thread that `routing` names. `origin_trace_id` is the request that published it.
    pub(crate) fn new(
        routing: impl Into<Arc<Routing>>,
        event_type: EventType,
        data: &(impl Serialize + ?Sized),
        origin_trace_id: Option<RequestId>,
    ) -> Result<Self, InvalidEvent> {
        let data = to_raw_value(data).map_err(InvalidEvent::Data)?;
        Ok(Self { routing: routing.into(), event_type, data, origin_trace_id })
    }

    /// The thread that the event belongs to, and its actor.
    #[must_use]
    pub fn routing(&self) -> &Routing {
        &self.routing
    }

    /// The key of the event's thread: a log stores the event under this key.
    #[must_use]
    pub fn key(&self) -> &ThreadKey {
        self.routing.key()
    }

    /// The type of the event.
    #[must_use]
    pub fn event_type(&self) -> &EventType {
        &self.event_type
    }

    /// The data, as JSON text.
    #[must_use]
    pub fn data(&self) -> &str {
        self.data.get()
    }

    /// The id of the request that published the event.
    #[must_use]
    pub fn origin_trace_id(&self) -> Option<&RequestId> {
        self.origin_trace_id.as_ref()
    }

    /// Encodes the event with its cursor, and with the time at which the log stores it.
    #[must_use]
    pub fn seal(self, at: Cursor, time: SystemTime) -> StreamEvent {
        self.encode(Some(at), time)
    }

    fn encode(self, cursor: Option<Cursor>, time: SystemTime) -> StreamEvent {
        let mut block = String::with_capacity(ENVELOPE_BYTES + self.data.get().len());
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
        // JSON text can have line ends between its tokens, but not inside a token. Spaces replace them,
        // so that the envelope is one line.
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
