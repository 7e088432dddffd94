//! A ticket, and its key in a store.

use crate::event::Cursor;
use serde::{Serialize, Serializer, ser::SerializeStruct as _};
use sha2::{Digest as _, Sha256};
use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

/// The query parameter of a ticket.
pub(crate) const TICKET_QUERY: &str = "ticket";

/// The length of a ticket, in hexadecimal digits.
pub(super) const SECRET_LEN: usize = 64;

/// A ticket. `Debug` hides its secret. Its serialised form is `{"ticket": "...", "expires_at": <seconds
/// since 1970>, "last_event_id": "<where its stream starts>"}`.
#[derive(Clone)]
pub struct Ticket {
    pub(super) secret: String,
    pub(super) expires_at: SystemTime,
    pub(super) starts_after: Option<Cursor>,
}

impl Ticket {
    /// The value of the query parameter `ticket`: letters and digits.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// Where the stream of the ticket starts, if the stream has a log. A page that has not received any
    /// event or notice yet resumes from here, because its `EventSource` has no last event id.
    #[must_use]
    pub fn starts_after(&self) -> Option<Cursor> {
        self.starts_after
    }

    /// The ticket must open its stream before this time.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        self.expires_at
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

impl Serialize for Ticket {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let seconds = self.expires_at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut ticket = serializer.serialize_struct("Ticket", 3)?;
        ticket.serialize_field("ticket", &self.secret)?;
        ticket.serialize_field("expires_at", &seconds)?;
        ticket.serialize_field("last_event_id", &self.starts_after)?;
        ticket.end()
    }
}

/// The key of a ticket in a store: the ticket's hash (SHA-256). As text it is 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TicketKey([u8; 32]);

impl TicketKey {
    pub(super) fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// The hash: 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for TicketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
