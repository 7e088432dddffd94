//! Issues tickets.

use super::{
    memory::MemoryTickets,
    record::TicketRecord,
    secret::{Ticket, TicketKey},
    store::{TicketStore, TooManyTickets},
};
use crate::{
    access::ThreadGrant,
    clock::{self, Clock},
    event::{Cursor, Epoch, LastEventId},
    log::EventLog,
    origin::OPAQUE,
    rejection::{BoxError, Rejection, RejectionKind},
};
use std::{fmt, sync::Arc, time::Duration};

/// Issues tickets, and checks them when clients use them. Clones share their store.
///
/// See the [module docs](crate::ticket) for an example and the threat model.
#[derive(Clone)]
pub struct TicketIssuer {
    pub(super) store: Arc<dyn TicketStore>,
    pub(super) open_within: Duration,
    pub(super) clock: Arc<dyn Clock>,
}

impl TicketIssuer {
    /// Keeps tickets in this process.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::new(MemoryTickets::new())
    }

    /// Keeps tickets in `store`.
    #[must_use]
    pub fn new(store: impl TicketStore) -> Self {
        let open_within = Duration::from_secs(30);
        Self { store: Arc::new(store), open_within, clock: clock::system() }
    }

    /// How long after its issue a ticket may open its stream. Default: 30 seconds.
    #[must_use]
    pub fn open_within(mut self, time: Duration) -> Self {
        self.open_within = time;
        self
    }

    /// The clock that decides whether a ticket has expired.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Issues a ticket for the grant's thread and caller. If a page asked for it, the ticket is bound to
    /// the origin of the page.
    ///
    /// It opens one WebSocket, or one `EventSource` stream with all its reconnects. The stream starts at
    /// `from`, unless the request names a cursor. A page that continues with a new ticket gives its last
    /// event id here, and not in the URL: see the [threat model](crate::ticket#threat-model).
    ///
    /// # Errors
    ///
    /// `auth.insufficient_scope` if the grant itself comes from a ticket, or if the record of the token
    /// would be longer than [`TicketRecord::MAX_BYTES`]; `context.invalid` for a page with an opaque
    /// origin (`Origin: null`), because many pages share it; `auth.expired` or `access.revoked` if the
    /// proof has ended; `log.unavailable`; `stream.limit` for too many tickets; `auth.keys_unavailable`
    /// if the store does not answer.
    pub async fn issue<L: EventLog>(
        &self,
        grant: &ThreadGrant,
        log: &L,
        from: impl Into<LastEventId>,
    ) -> Result<Ticket, Rejection> {
        let (extent, _) = grant.open(log).await?;
        let from = match from.into() {
            // Live means from the time of issue, so that no event between issue and use is lost.
            LastEventId::Live => extent.head(),
            LastEventId::Earliest => extent.earliest(),
            LastEventId::After(cursor) => cursor,
        };
        self.issue_with(grant, Some((extent.epoch, from))).await
    }

    /// Issues a ticket that opens one stream, once, over any transport. It is for streams without a log,
    /// which cannot resume.
    ///
    /// # Errors
    ///
    /// As [`issue`](Self::issue).
    pub async fn issue_once(&self, grant: &ThreadGrant) -> Result<Ticket, Rejection> {
        self.issue_with(grant, None).await
    }

    async fn issue_with(
        &self,
        grant: &ThreadGrant,
        reads: Option<(Epoch, Cursor)>,
    ) -> Result<Ticket, Rejection> {
        let auth = grant.scope().auth();
        if auth.ticket().is_some() {
            return Err(Rejection::new(RejectionKind::InsufficientScope)
                .with_detail("A ticket only opens streams. Use the token to get another ticket."));
        }
        grant.proof().check()?;
        // Many pages share this origin, so the ticket would be valid for all of them.
        if grant.scope().request().origin() == Some(OPAQUE) {
            return Err(Rejection::new(RejectionKind::ContextInvalid).with_detail(
                "A page with an opaque origin ('Origin: null') cannot get a ticket. Ask from a page \
                 with an http or https origin, or send the token itself.",
            ));
        }
        let valid_until = auth.valid_until();
        let now = self.clock.now();
        let opens = now.checked_add(self.open_within);
        let expires_at = opens.map_or(valid_until, |opens| opens.min(valid_until));
        let record = TicketRecord::of(grant, reads, expires_at);
        record.check_size().map_err(|error| {
            Rejection::new(RejectionKind::InsufficientScope)
                .with_detail(
                    "The token is too large for a ticket: its roles, scopes and audiences, and the \
                     page's origin, must take at most 16 KiB together. Send the token itself, or get a \
                     token with fewer roles, scopes and audiences.",
                )
                .with_source(error)
        })?;
        // Two random UUIDs, [`SECRET_LEN`] digits: 244 random bits (RFC 9562 section 5.4).
        let [first, second] = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4()];
        let secret = format!("{}{}", first.simple(), second.simple());
        let inserted = self.store.insert(TicketKey::of(&secret), record, now).await;
        if !inserted.map_err(not_stored)? {
            return Err(unavailable("the store has this ticket already".into()));
        }
        Ok(Ticket { secret, expires_at, starts_after: reads.map(|(_, from)| from) })
    }
}

impl fmt::Debug for TicketIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TicketIssuer")
            .field("open_within", &self.open_within)
            .finish_non_exhaustive()
    }
}

fn not_stored(error: BoxError) -> Rejection {
    if error.is::<TooManyTickets>() {
        Rejection::new(RejectionKind::StreamLimit)
            .with_detail("There are too many tickets. Use those that you have, or try again later.")
            .with_source(error)
    } else {
        unavailable(error)
    }
}

pub(super) fn unavailable(error: BoxError) -> Rejection {
    Rejection::new(RejectionKind::KeysUnavailable)
        .with_detail("Tickets cannot be issued or checked right now. Try again later.")
        .with_source(error)
}
