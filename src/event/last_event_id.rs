//! The position from which a client asks to resume.

use super::cursor::{Cursor, InvalidCursor};
use crate::rejection::{Rejection, RejectionKind};
use http::{HeaderMap, HeaderName, Uri};
use std::{fmt, str::FromStr};

/// The header that an `EventSource` sends when it reconnects (WHATWG HTML section 9.2.3).
pub const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// The letters of the query parameter for clients that cannot set the header.
const LAST_EVENT_ID_LETTERS: &str = "lasteventid";
/// The position from which a client asks to read: after the last event that it received, if any.
///
/// It comes from the `Last-Event-ID` header or the `last_event_id` query parameter. Clients spell the
/// parameter in many ways: `lastEventId`, `lastEventID`, `Last-Event-ID`. The crate reads every spelling,
/// with any case and any separators. Otherwise a client with another spelling would start live by
/// mistake. A browser that reconnects repeats its URL, so the header takes precedence over the query.
///
/// An empty value counts as absent. The header may repeat one value, and so may the parameters: some
/// gateways and polyfills do this. The crate refuses two different values.
///
/// ```
/// use http::{HeaderMap, Uri};
/// use tower_tenancy::LastEventId;
///
/// let uri = Uri::from_static("/threads/th-1/events?last_event_id=earliest");
/// assert_eq!(LastEventId::of(&HeaderMap::new(), &uri)?, Some(LastEventId::Earliest));
/// # Ok::<(), tower_tenancy::Rejection>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LastEventId {
    /// Only new events: the client sent no cursor.
    #[default]
    Live,
    /// From the oldest event that the log holds: the client sent `earliest`.
    Earliest,
    /// After this cursor.
    After(Cursor),
}

impl LastEventId {
    /// Reads the header and the query of a request. Returns `None` if the client sent neither.
    ///
    /// # Errors
    ///
    /// `cursor.invalid` for a text that is not a cursor, or for two different values.
    pub fn of(headers: &HeaderMap, uri: &Uri) -> Result<Option<Self>, Rejection> {
        if let Some(from) = Self::of_header(headers)? {
            return Ok(Some(from));
        }
        let query = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        one(query.filter(|(name, _)| names_cursor(name)).map(|(_, value)| value))
    }

    /// Reads the header only.
    pub(crate) fn of_header(headers: &HeaderMap) -> Result<Option<Self>, Rejection> {
        // A value that is not visible ASCII is not a cursor. Neither is `?`, so it is refused.
        one(headers.get_all(LAST_EVENT_ID).iter().map(|value| value.to_str().unwrap_or("?")))
    }
}

/// Whether the name of a query parameter is a spelling of `last_event_id`: it has the same letters, in
/// any case, with any separators.
fn names_cursor(name: &str) -> bool {
    let letters = name.chars().filter(|letter| letter.is_alphanumeric());
    letters.map(|letter| letter.to_ascii_lowercase()).eq(LAST_EVENT_ID_LETTERS.chars())
}

/// The one cursor among the values. Empty values are skipped.
fn one<T: AsRef<str>>(values: impl Iterator<Item = T>) -> Result<Option<LastEventId>, Rejection> {
    let mut values = values.filter(|value| !value.as_ref().is_empty());
    let Some(value) = values.next() else { return Ok(None) };
    if values.any(|other| other.as_ref() != value.as_ref()) {
        return Err(Rejection::new(RejectionKind::CursorInvalid).with_detail(
            "The cursor to resume from was sent more than once, with different values. Send one.",
        ));
    }
    LastEventId::parse(value.as_ref()).map(Some)
}

impl LastEventId {
    /// Parses a field of a message: a gRPC client sends the cursor in a field. The same as `FromStr`, but
    /// the error is a rejection.
    ///
    /// # Errors
    ///
    /// `cursor.invalid` for a text that is not a cursor.
    pub fn parse(text: &str) -> Result<Self, Rejection> {
        text.parse().map_err(|_| RejectionKind::CursorInvalid.into())
    }
}

impl fmt::Display for LastEventId {
    /// Writes the text that a client sends. It is empty for [`Live`](Self::Live).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Live => Ok(()),
            Self::Earliest => f.write_str("earliest"),
            Self::After(cursor) => fmt::Display::fmt(cursor, f),
        }
    }
}

impl FromStr for LastEventId {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        match text {
            "" => Ok(Self::Live),
            "earliest" => Ok(Self::Earliest),
            cursor => cursor.parse().map(Self::After),
        }
    }
}

impl From<Cursor> for LastEventId {
    fn from(cursor: Cursor) -> Self {
        Self::After(cursor)
    }
}

#[cfg(test)]
mod tests {
    use super::LastEventId;
    use crate::event::{Cursor, Epoch};
    use http::HeaderMap;

    fn of(headers: &[&str], uri: &str) -> Result<Option<LastEventId>, &'static str> {
        let mut map = HeaderMap::new();
        for value in headers {
            map.append("last-event-id", value.parse().unwrap());
        }
        LastEventId::of(&map, &uri.parse().unwrap()).map_err(|rejection| rejection.code())
    }

    #[test]
    fn the_header_takes_precedence_over_the_query_and_an_empty_value_counts_as_absent() {
        let cursor = Cursor::new(Epoch(7), 3);
        let after = Ok(Some(LastEventId::After(cursor)));
        let text = cursor.to_string();
        let query = format!("/?a=b&last_event_id={text}");
        assert_eq!(of(&[&text], "/"), after);
        assert_eq!(of(&[], &query), after);
        assert_eq!(of(&[""], &query), after);
        assert_eq!(of(&[&text], "/?last_event_id=earliest"), after);
        assert_eq!(of(&["earliest"], &query), Ok(Some(LastEventId::Earliest)));
        // An `EventSource` reconnects with the old URL, so the header decides, whatever is in the query.
        assert_eq!(of(&[&text], "/?last_event_id=42&lastEventId=earliest"), after);
        for uri in ["/", "/?last_event_id=", "/?other=1", "/?last_event_id=&lastEventId"] {
            assert_eq!(of(&[], uri), Ok(None));
        }
    }

    #[test]
    fn every_spelling_of_the_parameter_is_read_and_other_names_are_not() {
        let cursor = Cursor::new(Epoch(7), 3);
        for name in [
            "last_event_id",
            "lastEventId",
            "lastEventID",
            "LastEventId",
            "Last-Event-ID",
            "last-event-id",
            "LAST_EVENT_ID",
            "lasteventid",
            "last_eventId",
            "last%5Fevent%5Fid",
            "l%61stEventId",
            "last.event.id",
            "last+event+id",
            "lastEventId[]",
        ] {
            let after = Ok(Some(LastEventId::After(cursor)));
            assert_eq!(of(&[], &format!("/?a=b&{name}={cursor}")), after, "{name}");
            assert_eq!(of(&[""], &format!("/?{name}={cursor}&a=b")), after, "{name}");
            let bad = of(&[], &format!("/?{name}=42"));
            assert_eq!(bad, Err("cursor.invalid"), "{name}");
        }
        for name in ["event_id", "last_event", "last_event_id2", "my_last_event_id", "id", "l%E4st"]
        {
            assert_eq!(of(&[], &format!("/?{name}={cursor}")), Ok(None), "{name}");
        }
    }

    #[test]
    fn one_value_may_be_repeated_but_different_values_are_refused() {
        let cursor = Cursor::new(Epoch(7), 3).to_string();
        let (text, earliest) = (cursor.as_str(), Ok(Some(LastEventId::Earliest)));
        for (headers, uri) in [
            (vec!["earliest", "earliest"], "/"),
            (vec!["", "earliest", ""], "/"),
            (vec![], "/?last_event_id=earliest&last_event_id=earliest"),
            (vec![], "/?last_event_id=earliest&lastEventId=e%61rliest&Last-Event-ID="),
        ] {
            assert_eq!(of(&headers, uri), earliest, "{headers:?} {uri}");
        }
        for (headers, query) in [
            (vec![text, "earliest"], String::new()),
            (vec!["", "earliest", text, "earliest"], String::new()),
            (vec![], format!("last_event_id={text}&last_event_id=earliest")),
            (vec![], format!("lastEventId={text}&last_event_id=earliest")),
            (vec![], format!("lastEventId=earliest&LastEventID=earliest&last-event-id={text}")),
        ] {
            let uri = format!("/?{query}");
            assert_eq!(of(&headers, &uri), Err("cursor.invalid"), "{headers:?} {uri}");
        }
    }

    #[test]
    fn malformed_cursors_are_refused() {
        for (headers, uri) in [
            (vec!["42"], "/"),
            (vec!["42", "42"], "/"),
            (vec!["earliest, earliest"], "/"),
            (vec!["0000000000000007-03"], "/"),
            (vec!["000000000000000G-3"], "/"),
            (vec![], "/?last_event_id=nope"),
            (vec![], "/?lastEventId=null"),
            (vec![], "/?lastEventId=undefined"),
        ] {
            assert_eq!(of(&headers, uri), Err("cursor.invalid"), "{headers:?} {uri}");
        }
    }
}
