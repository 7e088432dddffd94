//! An event before and after it is encoded.

use super::{
    cursor::Cursor,
    event_type::{EventType, InvalidEvent},
    json_text::{append, push},
    routing::Routing,
};
use crate::{clock::rfc3339, framing::Block, id::RequestId};
use bytes::Bytes;
use memchr::memchr2;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use std::{fmt, ops::Range, sync::Arc, time::SystemTime};

/// What an event takes beside its data with names of usual length, in bytes.
const ENVELOPE_BYTES: usize = 448;
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
    pub(super) fn block(&self) -> (&str, &str) {
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
    pub(super) fn envelope(&self) -> (&str, &str) {
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
    pub fn data(&self) -> &str {
        self.data.get()
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
