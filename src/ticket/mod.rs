//! Tickets: what a browser's `EventSource` or `WebSocket`, which cannot set headers, opens a
//! stream with.
//!
//! A page that holds a token asks for a ticket by an ordinary, authenticated `POST`; the handler
//! checks the thread and has [`TicketIssuer`] issue one; the page puts it into the URL as
//! `?ticket=`. [`RedeemTicket`](crate::RedeemTicket), outermost, takes it out of the URL again and
//! gives its tenant, env and caller to the layers inside.
//!
//! ```
//! use tower_tenancy::{
//!     LastEventId, MemoryLog, MemoryRegistry, Rejection, TenantScope, ThreadId, TicketIssuer,
//!     ticket::Ticket, verify_thread_access,
//! };
//!
//! /// The handler of `POST /tickets`.
//! async fn ticket(
//!     issuer: &TicketIssuer,
//!     threads: &MemoryRegistry,
//!     log: &MemoryLog,
//!     scope: TenantScope,
//!     thread: ThreadId,
//!     from: LastEventId, // of the body: what the page has seen
//! ) -> Result<Ticket, Rejection> {
//!     let grant = verify_thread_access(threads, &scope, &thread).await?;
//!     issuer.issue(&grant, log, from).await // as JSON: {"ticket": "...", "expires_at": 1795348830}
//! }
//! ```
//!
//! Tickets are taken only where a layer says so, by
//! [`or_ticket`](crate::RequireTenantScope::or_ticket): on the routes that open streams, whose handlers
//! check the thread. Everywhere else a ticket is refused (403 `auth.insufficient_scope`).
//!
//! # What a ticket is good for
//!
//! One thread, in one tenant and env, as one caller, for a page of the origin that asked for it. It
//! opens a stream once, within [30 seconds](TicketIssuer::open_within). Of many who try at once, one
//! succeeds. Of a WebSocket, that is all. An `EventSource` repeats its URL whenever it reconnects:
//! its ticket goes on to re-open that stream, and nothing else, for whoever sends a `Last-Event-ID`
//! header of the thread's current log; the earlier connection is ended (`access.revoked`). When the
//! token that the ticket was issued for expires, so does this. A stream that could not be opened for
//! trouble of ours (503) leaves the ticket as it was.
//!
//! # Threat model
//!
//! A URL ends up in the logs of proxies, in a browser's history and in `Referer` headers.
//!
//! - Who finds the ticket of a WebSocket there finds it used up.
//! - Who finds the ticket of an `EventSource` and also knows an event id of the thread can re-open the
//!   stream until the token expires, and ends the page's own connection each time: the two displace
//!   each other, which the log shows. Event ids are no secrets: every reader of the thread has them.
//!   So never put one into the same URL: a page that goes on with a new ticket says where when it asks
//!   for the ticket ([`TicketIssuer::issue`]). With that, the finder must be somebody who could read
//!   the thread at some time since its log began. Keep tokens short where that matters.
//! - Who reads the URL before the server does (malware in the browser, a proxy that is not trusted)
//!   can use the ticket first. The page sees that: its own attempt is refused.
//! - A page of another origin that gets hold of a ticket cannot use it in a browser: it sends its
//!   `Origin`. Outside of browsers, `Origin` proves nothing, and a `GET` without one passes.
//! - The server keeps a hash (SHA-256) of each ticket, not the ticket.
//! - What the ticket's stream may do ends with the token that it was issued for, and before that by
//!   the token's [`Revocation`] where tickets are kept in memory. A shared store cannot keep that
//!   switch: keep tokens short there.
//!
//! Where the page and the service share a site, a cookie
//! ([`TokenSources::or_cookie`](crate::auth::TokenSources::or_cookie)) is simpler, and never is in
//! a URL at all: prefer it. Not both for one page: it sends its cookie along with every ticket, and two
//! proofs in one request are refused. Send pages with `Referrer-Policy: no-referrer`, and keep the query
//! out of the access logs of proxies, in either case.

mod memory;
#[cfg(test)]
mod tests;

pub use memory::MemoryTickets;

use crate::{
    access::ThreadGrant,
    auth::{AuthContext, Bound, Revocation},
    clock::{self, Clock},
    event::{Cursor, Epoch, LAST_EVENT_ID, LastEventId},
    id::{ActorType, Env, Subject, TenantId, ThreadId},
    log::EventLog,
    origin::Head,
    rejection::{BoxError, Chain, Rejection, RejectionKind},
};
use http::Method;
use serde::{Deserialize, Serialize, Serializer, ser::SerializeStruct as _};
use sha2::{Digest as _, Sha256};
use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// The query parameter that bears a ticket.
pub(crate) const TICKET_QUERY: &str = "ticket";

/// How long a ticket is, in hexadecimal digits.
const SECRET_LEN: usize = 64;

/// A ticket as its holder gets it. `Debug` hides it; serialised it is `{"ticket": "...",
/// "expires_at": <seconds since 1970>, "last_event_id": "<where its stream starts>"}`.
#[derive(Clone)]
pub struct Ticket {
    secret: String,
    expires_at: SystemTime,
    starts_after: Option<Cursor>,
}

impl Ticket {
    /// The value of the query parameter `ticket`: letters and digits.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// Where its stream starts, if it has a log: what a page resumes from that has seen nothing yet,
    /// since an `EventSource` tells it no id before the first event.
    #[must_use]
    pub fn starts_after(&self) -> Option<Cursor> {
        self.starts_after
    }

    /// Until when it must have opened its stream.
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

/// What a store knows a ticket by: its hash. Shown, it is 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TicketKey([u8; 32]);

impl TicketKey {
    fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret).into())
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

/// What a ticket stands for, as a store keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TicketRecord {
    tenant: TenantId,
    env: Env,
    thread: ThreadId,
    subject: Subject,
    roles: Vec<String>,
    actor_type: Option<ActorType>,
    origin: Option<String>,
    /// Of the thread's log, when the ticket was issued: the first half of all cursors. `None` if
    /// the ticket never re-opens.
    epoch: Option<Epoch>,
    /// Where the stream starts, as a client would say it.
    start: String,
    open_until: SystemTime,
    valid_until: SystemTime,
    /// Of the token that the ticket was issued for. A store that writes text loses them.
    #[serde(skip)]
    revocations: Vec<Revocation>,
}

impl TicketRecord {
    /// Until when a store has to keep the record: before it has opened a stream, and after.
    #[must_use]
    pub fn keep_until(&self, opened: bool) -> SystemTime {
        if opened { self.valid_until } else { self.open_until }
    }

    /// Whose ticket this is, for limits.
    #[must_use]
    pub fn holder(&self) -> (&TenantId, &Env, &Subject) {
        (&self.tenant, &self.env, &self.subject)
    }
}

/// A record, and how often its ticket was used.
#[derive(Clone, Debug)]
pub struct StoredTicket {
    /// What the ticket stands for.
    pub record: TicketRecord,
    /// 0 until the ticket opens a stream, then one more each time.
    pub uses: u32,
}

/// An answer of a [`TicketStore`].
pub type TicketFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send + 'a>>;

/// Keeps tickets between being issued and being used. [`MemoryTickets`] serves one process; several
/// that share their clients need a shared one.
///
/// All rules are the issuer's; a store compares and swaps.
pub trait TicketStore: Send + Sync {
    /// Keeps a record with 0 uses, in place of what it has of this ticket, from `now` on until
    /// [`keep_until`](TicketRecord::keep_until).
    ///
    /// Fails with [`TooManyTickets`] if somebody has had enough.
    fn put(&self, key: TicketKey, record: TicketRecord, now: SystemTime) -> TicketFuture<'_, ()>;

    /// The record and its uses. `None` for a ticket that is not, or no longer, known.
    fn get(&self, key: TicketKey) -> TicketFuture<'_, Option<StoredTicket>>;

    /// If the ticket still has this number of uses: counts one more, or forgets the ticket unless
    /// it is to `keep` it. `None` if not: somebody else was faster.
    ///
    /// Atomic: of all who ask at once with the same number, one gets an answer. The answer is a
    /// [`Revocation`] that the store uses when the ticket is used once more, in whichever process:
    /// it ends the connection that is replaced.
    fn swap(&self, key: TicketKey, uses: u32, keep: bool) -> TicketFuture<'_, Option<Revocation>>;
}

/// A [`TicketStore`] keeps no more tickets of this caller, this tenant or in all: told to the client
/// as `stream.limit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many tickets")]
pub struct TooManyTickets;

/// Issues tickets, and knows what they are good for. Clones share their store.
///
/// See the [module docs](self) for an example and the threat model.
#[derive(Clone)]
pub struct TicketIssuer {
    store: Arc<dyn TicketStore>,
    open_within: Duration,
    clock: Arc<dyn Clock>,
}

impl TicketIssuer {
    /// Keeps tickets in this process.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::new(MemoryTickets::new())
    }

    /// Keeps tickets in `store`.
    #[must_use]
    pub fn new(store: impl TicketStore + 'static) -> Self {
        let open_within = Duration::from_secs(30);
        Self { store: Arc::new(store), open_within, clock: clock::system() }
    }

    /// How long after it is issued a ticket may open its stream. Default: 30 seconds.
    #[must_use]
    pub fn open_within(mut self, time: Duration) -> Self {
        self.open_within = time;
        self
    }

    /// The clock that tickets are held against.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Issues a ticket for the grant's thread, caller and, if a page asked, its origin.
    ///
    /// It opens one WebSocket, or one `EventSource` stream with all its reconnects, which starts at
    /// `from` unless the request says otherwise. A page that goes on with a new ticket gives its
    /// last event id here, and not in the URL: see the [threat model](self#threat-model).
    ///
    /// # Errors
    ///
    /// `auth.insufficient_scope` if the grant stems from a ticket itself; `auth.expired` or
    /// `access.revoked` if the proof is over; `log.unavailable`; `stream.limit` for too many tickets; `auth.keys_unavailable` if the store
    /// does not answer.
    pub async fn issue<L: EventLog>(
        &self,
        grant: &ThreadGrant,
        log: &L,
        from: impl Into<LastEventId>,
    ) -> Result<Ticket, Rejection> {
        let (_, extent) = grant.extent(log).await?;
        let from = match from.into() {
            // From now, and not from when it is used: what comes between is not lost.
            LastEventId::Live => extent.head(),
            LastEventId::Earliest => extent.earliest(),
            LastEventId::After(cursor) => cursor,
        };
        self.issue_with(grant, Some((extent.epoch, from))).await
    }

    /// Issues a ticket that opens one stream once, whatever the transport: for streams that have
    /// no log, and so nothing to go on from.
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
        let scope = grant.scope();
        let auth = scope.auth();
        if auth.ticket().is_some() {
            return Err(Rejection::new(RejectionKind::InsufficientScope)
                .with_detail("A ticket opens streams only. Ask for another with the token."));
        }
        grant.proof().check()?;
        let valid_until = auth.valid_until();
        let now = self.clock.now();
        let opens = now.checked_add(self.open_within);
        let expires_at = opens.map_or(valid_until, |opens| opens.min(valid_until));
        let record = TicketRecord {
            tenant: scope.tenant().clone(),
            env: scope.env().clone(),
            thread: grant.routing().thread().clone(),
            subject: auth.subject().clone(),
            roles: auth.roles().map(str::to_owned).collect(),
            actor_type: auth.actor_type().cloned(),
            origin: scope.request().origin().map(str::to_owned),
            epoch: reads.map(|(epoch, _)| epoch),
            start: reads.map(|(_, from)| from.to_string()).unwrap_or_default(),
            open_until: expires_at,
            valid_until,
            revocations: auth.revocations().to_vec(),
        };
        // Two random UUIDs, [`SECRET_LEN`] digits: 244 random bits (RFC 9562 section 5.4).
        let [first, second] = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4()];
        let secret = format!("{}{}", first.simple(), second.simple());
        self.store.put(TicketKey::of(&secret), record, now).await.map_err(not_stored)?;
        Ok(Ticket { secret, expires_at, starts_after: reads.map(|(_, from)| from) })
    }

    /// Uses a ticket: what it proves, or why it proves nothing.
    pub(crate) async fn redeem(
        &self,
        secret: &str,
        opening: Opening,
    ) -> Result<Redeemed, Rejection> {
        let refuse = |why: &str| {
            let detail = "The ticket is not valid: unknown, used up, expired, or not for this. Get a new one.";
            Err(Rejection::new(RejectionKind::AuthInvalid).with_detail(detail).with_source(why))
        };
        if opening.transport == Transport::Other {
            return refuse("a ticket opens streams only, by GET");
        }
        // What was never a ticket costs no look-up.
        if secret.len() != SECRET_LEN || !secret.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return refuse("this is no ticket");
        }
        let key = TicketKey::of(secret);
        let Some(StoredTicket { record, uses }) = self.store.get(key).await.map_err(unavailable)?
        else {
            return refuse("the ticket is unknown or used up");
        };
        // Whose it is: somebody may have stolen it.
        let refuse = |why: &str| {
            let TicketRecord { tenant, env, thread, subject, .. } = &record;
            refuse(&format!("{why} (a ticket of {subject:?} for {tenant}/{env}/{thread})"))
        };
        if !opening.comes_from(record.origin.as_deref()) {
            return refuse("the ticket was issued to another origin");
        }
        let now = self.clock.now();
        let web_socket = opening.transport == Transport::WebSocket;
        if uses == 0 {
            if now >= record.open_until {
                return refuse("the ticket is too old to open a stream");
            }
        } else {
            if web_socket || record.epoch.is_none() {
                return refuse("the ticket is used up");
            }
            if now >= record.valid_until {
                return refuse("the token that the ticket was issued for has expired");
            }
            if opening.resume.map(Cursor::epoch) != record.epoch {
                return refuse(
                    "the ticket is used, and the request does not go on from its stream",
                );
            }
        }
        let keep = !web_socket && record.epoch.is_some();
        let Some(revocation) = self.store.swap(key, uses, keep).await.map_err(unavailable)? else {
            return refuse("somebody else was faster with this ticket");
        };
        Ok(Redeemed {
            auth: self.proven(&record, revocation, uses > 0),
            first: (uses == 0).then_some((key, record)),
        })
    }

    fn proven(&self, record: &TicketRecord, revocation: Revocation, reopens: bool) -> AuthContext {
        let bound = Bound {
            tenant: record.tenant.clone(),
            env: record.env.clone(),
            thread: record.thread.clone(),
            reopens,
        };
        let auth = AuthContext::new(record.subject.clone(), record.valid_until)
            .with_tenants([record.tenant.as_str()])
            .with_envs([record.env.as_str()])
            .with_roles(record.roles.iter().cloned())
            .with_clock(Arc::clone(&self.clock))
            .with_ticket(bound);
        let revocations = record.revocations.iter().cloned().chain([revocation]);
        let auth = revocations.fold(auth, AuthContext::with_revocation);
        match &record.actor_type {
            Some(actor_type) => auth.with_actor_type(actor_type.clone()),
            None => auth,
        }
    }

    /// Makes a ticket good for its first use again: trouble of ours was in the way.
    pub(crate) async fn give_back(&self, key: TicketKey, record: TicketRecord) {
        if let Err(error) = self.store.put(key, record, self.clock.now()).await {
            let error = Chain(&*error).to_string();
            tracing::warn!(error, "a ticket was not given back");
        }
    }
}

/// A ticket that was used.
pub(crate) struct Redeemed {
    pub(crate) auth: AuthContext,
    /// The record, unless the ticket was used before.
    first: Option<(TicketKey, TicketRecord)>,
}

impl Redeemed {
    /// Where the stream starts that the ticket opens, if that was said when it was issued.
    pub(crate) fn start(&self) -> Option<&str> {
        let (_, record) = self.first.as_ref()?;
        Some(record.start.as_str()).filter(|start| !start.is_empty())
    }

    pub(crate) fn into_first(self) -> Option<(TicketKey, TicketRecord)> {
        self.first
    }
}

fn unavailable(error: BoxError) -> Rejection {
    Rejection::new(RejectionKind::KeysUnavailable)
        .with_detail("Tickets cannot be issued or checked right now. Try again later.")
        .with_source(error)
}

fn not_stored(error: BoxError) -> Rejection {
    if error.is::<TooManyTickets>() {
        Rejection::new(RejectionKind::StreamLimit)
            .with_detail("Too many tickets are open. Use them, or try again later.")
            .with_source(error)
    } else {
        unavailable(error)
    }
}

impl fmt::Debug for TicketIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TicketIssuer")
            .field("open_within", &self.open_within)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Transport {
    WebSocket,
    /// A `GET`, such as an `EventSource`'s.
    Get,
    Other,
}

/// How a request wants to use a ticket.
pub(crate) struct Opening {
    transport: Transport,
    origin: Option<String>,
    /// Without `Origin`, this may still be a page of the ticket's.
    may_be_same_origin: bool,
    resume: Option<Cursor>,
}

impl Opening {
    pub(crate) fn of(head: Head<'_>) -> Self {
        let transport = if head.is_upgrade() {
            Transport::WebSocket
        } else if head.method == Method::GET {
            Transport::Get
        } else {
            Transport::Other
        };
        let mut cursors = head.headers.get_all(LAST_EVENT_ID).iter();
        let resume = cursors.next().and_then(|value| value.to_str().ok()?.parse().ok());
        Self {
            transport,
            origin: head.origin().map(str::to_owned),
            may_be_same_origin: head.comes_from(&[]),
            resume: resume.filter(|_| cursors.next().is_none()),
        }
    }

    fn comes_from(&self, bound: Option<&str>) -> bool {
        match (bound, self.origin.as_deref()) {
            (None, _) => true,
            (Some(bound), Some(origin)) => bound == origin,
            (Some(_), None) => self.may_be_same_origin,
        }
    }
}
