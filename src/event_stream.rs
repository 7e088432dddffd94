//! Server-sent events: the text ([WHATWG HTML section 9.2][sse]) and the headers of a stream.
//!
//! [sse]: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream

use crate::{clock::millis, id::RequestId};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde_json::{Map, Value, json};
use std::{
    fmt::{Display, Write as _},
    time::Duration,
};

/// A heartbeat: a comment, which parsers ignore. It keeps proxies and clients from closing a quiet
/// stream. No blank line follows it, because simple parsers take a blank line as the end of an event
/// without data.
pub(crate) const HEARTBEAT: &[u8] = b":\n";

/// The name of the notice that opens a stream. The name `open` is taken: `EventSource` has an event of
/// that name.
pub(crate) const OPEN: &str = "stream.open";

/// Appends one block of fields to a text. [`Block::end`] ends the block, and the client dispatches it.
///
/// The values of `event` and `id` have no line end and no NUL: the types that they come from forbid both.
#[derive(Debug)]
pub(crate) struct Block<'a>(&'a mut String);

impl<'a> Block<'a> {
    pub(crate) fn new(out: &'a mut String) -> Self {
        Self(out)
    }

    /// Writes the type of the event, unless it is `message`: that is the client's default.
    pub(crate) fn event(self, name: &str) -> Self {
        if name == "message" { self } else { self.field("event", name) }
    }

    /// Sets the client's last event id when the block ends. The block must have data: Firefox and Safari
    /// drop a block without data, and its id with it.
    pub(crate) fn id(self, id: Option<impl Display>) -> Self {
        match id {
            Some(id) => self.field("id", id),
            None => self,
        }
    }

    /// Sets how long the client waits before it reconnects.
    pub(crate) fn retry(self, delay: Option<Duration>) -> Self {
        match delay {
            Some(delay) => self.field("retry", millis(delay)),
            None => self,
        }
    }

    /// Writes the data of a notice: `members`, and the id of the request in `meta.trace_id`, as in
    /// events.
    pub(crate) fn notice(
        self,
        mut members: Map<String, Value>,
        trace_id: Option<&RequestId>,
    ) -> Self {
        if let Some(trace_id) = trace_id {
            members.insert("meta".to_owned(), json!({ "trace_id": trace_id }));
        }
        self.data(&Value::Object(members).to_string())
    }

    /// Writes any text, with one `data` field for each line. The client joins the lines with LF, so CR
    /// and CRLF arrive as LF.
    pub(crate) fn data(mut self, text: &str) -> Self {
        let mut rest = text;
        while let Some(at) = rest.find(['\r', '\n']) {
            let (line, tail) = rest.split_at(at);
            self = self.field("data", line);
            rest = tail.strip_prefix("\r\n").unwrap_or_else(|| tail.get(1..).unwrap_or_default());
        }
        self.field("data", rest)
    }

    /// Writes one `data` field. `write` appends its text, which must not have a line end.
    pub(crate) fn data_line(self, write: impl FnOnce(&mut String)) -> Self {
        self.0.push_str("data: ");
        write(self.0);
        self.0.push('\n');
        self
    }

    pub(crate) fn end(self) {
        self.0.push('\n');
    }

    fn field(self, name: &str, value: impl Display) -> Self {
        // Writing to a `String` never fails.
        let _infallible = writeln!(self.0, "{name}: {value}");
        self
    }
}

/// The members of a notice. The caller may add more.
pub(crate) fn members<const N: usize>(said: [(&str, &str); N]) -> Map<String, Value> {
    said.into_iter().map(|(name, text)| (name.to_owned(), text.into())).collect()
}

/// Sets the headers of an event stream: its type, and the rule that no cache and no proxy may store,
/// transform or buffer it.
pub(crate) fn stream_headers(headers: &mut HeaderMap) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
}

#[cfg(test)]
mod tests {
    use super::Block;
    use eventsource_stream::EventStream;
    use futures_util::StreamExt as _;
    use proptest::{prop_assert_eq, proptest};
    use std::convert::Infallible;

    /// The events that an independent parser reads from `bytes`, which come in pieces of `chunk` bytes.
    fn parse(bytes: &[u8], chunk: usize) -> Vec<eventsource_stream::Event> {
        let chunks = futures_util::stream::iter(bytes.chunks(chunk).map(Ok::<_, Infallible>));
        let events = EventStream::new(chunks).map(Result::unwrap).collect::<Vec<_>>();
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(events)
    }

    proptest! {
        #[test]
        fn any_text_survives_framing_as_one_event(
            // U+FEFF at the start of a stream is a byte order mark. Our streams start with a field.
            data in "(\r|\n|\r\n|:| |data|\u{0}|\u{feff}|[a-z]|\\PC){0,40}",
            name in "[A-Za-z0-9._:/~-]{1,20}",
            chunk in 1..64_usize,
        ) {
            let mut out = String::new();
            Block::new(&mut out).event(&name).data(&data).id(Some("c-1")).end();
            Block::new(&mut out).data("next").end();
            let events = parse(out.as_bytes(), chunk);
            prop_assert_eq!(events.len(), 2);
            prop_assert_eq!(&events[0].event, &name);
            prop_assert_eq!(&events[0].data, &data.replace("\r\n", "\n").replace('\r', "\n"));
            prop_assert_eq!(&events[0].id, "c-1");
            prop_assert_eq!(&events[1].data, "next");
        }
    }
}
