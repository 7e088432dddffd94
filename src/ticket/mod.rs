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
//! token that the ticket was issued for expires, so does this.
//!
//! A stream that could not be opened for trouble of ours (503) gives the ticket back: it opens a
//! stream once more, within the same 30 seconds. It does not if somebody has used the ticket since,
//! or if the client is gone before there is an answer: then the ticket stays used up, since nobody
//! knows what became of it, and the page asks for another one.
//!
//! What the ticket proves is what the token proved, for this one tenant and env: subject, issuer,
//! roles, scopes, audiences, actor type, `iat`, `exp`, and whether it was an access token. So a
//! [`RequireClaims`](crate::RequireClaims) finds in a ticket what it would find in the token. The
//! other tenants and envs of the token are not in the ticket. A token whose lists are too long for a
//! ticket ([`TicketRecord::MAX_BYTES`]) gets none.
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
    auth::{AuthContext, Bound, Proven, Revocation, Texts},
    clock::{self, Clock},
    event::{Cursor, Epoch, LastEventId},
    id::{ActorType, Env, Subject, TenantId, Text, ThreadId, kept_aside},
    log::EventLog,
    origin::{self, OPAQUE},
    rejection::{BoxError, Chain, Rejection, RejectionKind},
    request::RequestHead,
};
use http::Method;
use serde::{Deserialize, Serialize, Serializer, ser::SerializeStruct as _};
use sha2::{Digest as _, Sha256};
use std::{
    borrow::Cow,
    fmt,
    future::Future,
    io,
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
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
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
///
/// A store that writes text serialises it. A record of an earlier version of this crate is read,
/// too: what it does not say, its ticket does not prove.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TicketRecord {
    tenant: TenantId,
    env: Env,
    thread: ThreadId,
    subject: Subject,
    #[serde(default)]
    issuer: Option<Text>,
    roles: Texts,
    #[serde(default)]
    scopes: Texts,
    #[serde(default)]
    audiences: Texts,
    #[serde(default)]
    is_access_token: bool,
    #[serde(default)]
    issued_at: Option<SystemTime>,
    actor_type: Option<ActorType>,
    origin: Option<String>,
    /// Of the thread's log, when the ticket was issued: the first half of all cursors. `None` if
    /// the ticket never re-opens.
    epoch: Option<Epoch>,
    /// Where the stream starts, as a client would say it.
    start: String,
    open_until: SystemTime,
    /// When the token ends, the leeway included.
    valid_until: SystemTime,
    /// How much of that is leeway.
    #[serde(default)]
    leeway: Duration,
    /// Of the token that the ticket was issued for. A store that writes text loses them.
    #[serde(skip)]
    revocations: Vec<Revocation>,
}

impl TicketRecord {
    /// The longest record that is issued, in bytes of JSON.
    pub const MAX_BYTES: usize = 16 * 1024;

    /// Until when a store has to keep the record of a ticket in this state. It may forget it then.
    #[must_use]
    pub fn keep_until(&self, state: TicketState) -> SystemTime {
        match state {
            TicketState::Unused | TicketState::UsedUp => self.open_until,
            TicketState::Open => self.valid_until,
        }
    }

    /// Which account the ticket counts for: one tenant in one env.
    #[must_use]
    pub fn account(&self) -> (&TenantId, &Env) {
        (&self.tenant, &self.env)
    }

    /// Which caller of the account the ticket was issued to: an issuer and a subject.
    #[must_use]
    pub fn holder(&self) -> (Option<&str>, &Subject) {
        (self.issuer.as_ref().map(Text::as_str), &self.subject)
    }

    /// What the grant's proof says, for its thread.
    fn of(grant: &ThreadGrant, reads: Option<(Epoch, Cursor)>, open_until: SystemTime) -> Self {
        let (scope, auth) = (grant.scope(), grant.scope().auth());
        // Every field is named: a ticket drops nothing of a proof that nobody decided about.
        let Proven {
            subject,
            expires_at,
            leeway: _,
            issuer,
            issued_at,
            audiences,
            is_access_token,
            tenants: _,
            envs: _,
            roles,
            scopes,
            actor_type,
            clock: _,
            revocations,
            ticket: _,
        } = &*auth.0;
        let valid_until = auth.valid_until();
        Self {
            tenant: scope.tenant().clone(),
            env: scope.env().clone(),
            thread: grant.key().thread().clone(),
            subject: subject.clone(),
            issuer: issuer.clone(),
            roles: roles.clone(),
            scopes: scopes.clone(),
            audiences: audiences.clone(),
            is_access_token: *is_access_token,
            issued_at: *issued_at,
            actor_type: actor_type.clone(),
            origin: scope.request().origin().map(str::to_owned),
            epoch: reads.map(|(epoch, _)| epoch),
            start: reads.map(|(_, from)| from.to_string()).unwrap_or_default(),
            open_until,
            valid_until,
            leeway: valid_until.duration_since(*expires_at).unwrap_or_default(),
            revocations: revocations.clone(),
        }
    }

    /// Refuses a record that is longer than [`MAX_BYTES`](Self::MAX_BYTES), or that no store could
    /// write.
    fn check_size(&self) -> Result<(), serde_json::Error> {
        /// Takes so many bytes, and no more.
        struct Room(usize);

        impl io::Write for Room {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let left = self.0.checked_sub(bytes.len());
                self.0 = left.ok_or_else(|| io::Error::other("the record is too long"))?;
                Ok(bytes.len())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        serde_json::to_writer(Room(Self::MAX_BYTES), self)
    }

    /// How many bytes the record keeps in memory. Lists that it shares count in full: what they are
    /// shared with may end before it does.
    fn kept_bytes(&self) -> usize {
        // An id that is too long to stand in place. A store may list the account under copies that an
        // earlier ticket of it left: one among the accounts, and one among their callers.
        let [tenant, env, thread] =
            [self.tenant.as_str(), self.env.as_str(), self.thread.as_str()].map(kept_aside);
        let ids = 3 * (tenant + env) + thread;
        let texts = [self.subject.as_str(), self.start.as_str()].into_iter();
        let texts = texts.chain(self.actor_type.as_ref().map(ActorType::as_str));
        let texts = texts.chain(self.origin.as_deref()).map(str::len).sum::<usize>();
        let issuer = self.issuer.as_ref().map_or(0, Text::heap_bytes);
        let lists = [&self.roles, &self.scopes, &self.audiences];
        let lists = lists.into_iter().map(Texts::heap_bytes).fold(issuer, usize::saturating_add);
        let revocations = size_of_val::<[Revocation]>(&self.revocations);
        [size_of::<Self>(), ids, texts, revocations].into_iter().fold(lists, usize::saturating_add)
    }
}

/// What has become of a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum TicketState {
    /// It opens a stream: it never did, or was given back.
    Unused,
    /// It has opened a stream, which it may re-open.
    Open,
    /// It has opened a stream, and opens nothing more. It is kept only so that it can be given back.
    UsedUp,
}

/// A ticket as a store has it.
#[derive(Clone, Debug)]
pub struct StoredTicket {
    /// What the ticket stands for.
    pub record: Arc<TicketRecord>,
    /// 0 when the ticket is inserted, and one more with each [`swap`](TicketStore::swap): no number
    /// comes back.
    pub revision: u64,
    /// What has become of it.
    pub state: TicketState,
}

impl StoredTicket {
    /// The state of the ticket once it is used so at the time `now`, or why it cannot be.
    fn after(&self, opening: &Opening, now: SystemTime) -> Result<TicketState, &'static str> {
        let record = &*self.record;
        if !opening.comes_from(record.origin.as_deref()) {
            return Err("the ticket was issued to another origin");
        }
        let re_opens = opening.transport == Transport::Get && record.epoch.is_some();
        match self.state {
            TicketState::Unused if now >= record.open_until => {
                Err("the ticket is too old to open a stream")
            }
            TicketState::Unused if re_opens => Ok(TicketState::Open),
            TicketState::Unused => Ok(TicketState::UsedUp),
            TicketState::Open if !re_opens => Err("the ticket is used up"),
            TicketState::Open if now >= record.valid_until => {
                Err("the token that the ticket was issued for has expired")
            }
            TicketState::Open if opening.resume.map(Cursor::epoch) != record.epoch => {
                Err("the ticket is used, and the request does not go on from its stream")
            }
            TicketState::Open => Ok(TicketState::Open),
            TicketState::UsedUp => Err("the ticket is used up"),
        }
    }
}

/// An answer of a [`TicketStore`].
pub type TicketFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send + 'a>>;

/// Keeps tickets between being issued and being used. [`MemoryTickets`] serves one process; several
/// that share their clients need a shared one.
///
/// All rules are the issuer's; a store inserts, looks, compares and swaps. Each method is atomic,
/// and small enough to be one script or one statement of a database. The contract, for each ticket:
///
/// - The store holds the record, the revision and the state. Nothing but [`insert`](Self::insert)
///   and [`swap`](Self::swap) changes them.
/// - The revision is 0 at first, and one more after each swap. Who swaps names the revision that it
///   saw: of all who saw the same one, one succeeds. A revision never comes back, so nobody takes a
///   later state for the one that it saw.
/// - A ticket is kept until [`keep_until`](TicketRecord::keep_until) of its state. It may be
///   forgotten earlier for lack of room: it then is unknown, and a stream that it opened goes on.
pub trait TicketStore: Send + Sync {
    /// Keeps a record, [`Unused`](TicketState::Unused) and at revision 0, if the store has nothing
    /// of this ticket, and says whether that was so. It is `now`.
    ///
    /// Fails with [`TooManyTickets`] if there is no room for it.
    fn insert(
        &self,
        key: TicketKey,
        record: TicketRecord,
        now: SystemTime,
    ) -> TicketFuture<'_, bool>;

    /// The ticket as it is. `None` if it is not, or no longer, known.
    fn look(&self, key: TicketKey) -> TicketFuture<'_, Option<StoredTicket>>;

    /// If the ticket is at `revision`: puts it into the state `next`, at the next revision, and uses
    /// the [`Revocation`] that the last swap answered, in whichever process that was: it ends the
    /// connection that is replaced. `None` if the ticket is at another revision, or unknown: nothing
    /// happens then.
    ///
    /// The answer is what the store uses at the next swap. A swap to [`Unused`](TicketState::Unused)
    /// gives the ticket back: no connection has it then, and the answer is of no use.
    fn swap(
        &self,
        key: TicketKey,
        revision: u64,
        next: TicketState,
    ) -> TicketFuture<'_, Option<Revocation>>;
}

impl<T: TicketStore + ?Sized> TicketStore for Arc<T> {
    fn insert(
        &self,
        key: TicketKey,
        record: TicketRecord,
        now: SystemTime,
    ) -> TicketFuture<'_, bool> {
        (**self).insert(key, record, now)
    }

    fn look(&self, key: TicketKey) -> TicketFuture<'_, Option<StoredTicket>> {
        (**self).look(key)
    }

    fn swap(
        &self,
        key: TicketKey,
        revision: u64,
        next: TicketState,
    ) -> TicketFuture<'_, Option<Revocation>> {
        (**self).swap(key, revision, next)
    }
}

/// A [`TicketStore`] keeps no more tickets of this caller, of this tenant and env, or in all: told
/// to the client as `stream.limit`.
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
    /// `auth.insufficient_scope` if the grant stems from a ticket itself, or if what its token says is
    /// longer than [`TicketRecord::MAX_BYTES`]; `context.invalid` for a page without an origin of its own
    /// (`Origin: null`), which nobody can tell from others; `auth.expired` or `access.revoked` if the proof is over;
    /// `log.unavailable`; `stream.limit` for too many tickets; `auth.keys_unavailable` if the store
    /// does not answer.
    pub async fn issue<L: EventLog>(
        &self,
        grant: &ThreadGrant,
        log: &L,
        from: impl Into<LastEventId>,
    ) -> Result<Ticket, Rejection> {
        let (extent, _) = grant.open(log).await?;
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
        let auth = grant.scope().auth();
        if auth.ticket().is_some() {
            return Err(Rejection::new(RejectionKind::InsufficientScope)
                .with_detail("A ticket opens streams only. Ask for another with the token."));
        }
        grant.proof().check()?;
        // Bound to no page, it would be good for any.
        if grant.scope().request().origin() == Some(OPAQUE) {
            return Err(Rejection::new(RejectionKind::ContextInvalid).with_detail(
                "A page without an origin of its own ('Origin: null') gets no ticket. Ask from a page of an \
                 http or https origin, or send the token itself.",
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
                    "The token says too much for a ticket: its roles, scopes, audiences and the page's \
                     origin must take at most 16 KiB. Send the token itself, or get one that says less.",
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
        let Some(stored) = self.store.look(key).await.map_err(unavailable)? else {
            return refuse("the ticket is unknown or used up");
        };
        // Whose it is: somebody may have stolen it.
        let refuse = |why: &str| {
            let TicketRecord { tenant, env, thread, subject, .. } = &*stored.record;
            refuse(&format!("{why} (a ticket of {subject:?} for {tenant}/{env}/{thread})"))
        };
        let next = match stored.after(&opening, self.clock.now()) {
            Ok(next) => next,
            Err(why) => return refuse(why),
        };
        let swapped = self.store.swap(key, stored.revision, next).await.map_err(unavailable)?;
        let Some(revocation) = swapped else {
            return refuse("somebody else was faster with this ticket");
        };
        // The store may have taken its time.
        if let Err(why) = stored.after(&opening, self.clock.now()) {
            return refuse(why);
        }
        let first = stored.state == TicketState::Unused;
        Ok(Redeemed {
            auth: self.proven(&stored.record, revocation, !first),
            // Revisions count swaps.
            opened: first.then_some(Opened { key, revision: stored.revision.saturating_add(1) }),
            record: stored.record,
        })
    }

    fn proven(&self, record: &TicketRecord, revocation: Revocation, reopens: bool) -> AuthContext {
        let (tenant, env, thread) =
            (record.tenant.clone(), record.env.clone(), record.thread.clone());
        // A record without the leeway has it in its end, and so has what it proves.
        let (expires_at, leeway) = match record.valid_until.checked_sub(record.leeway) {
            Some(expires_at) => (expires_at, record.leeway),
            None => (record.valid_until, Duration::ZERO),
        };
        AuthContext(Arc::new(Proven {
            subject: record.subject.clone(),
            expires_at,
            leeway,
            issuer: record.issuer.clone(),
            issued_at: record.issued_at,
            audiences: record.audiences.clone(),
            is_access_token: record.is_access_token,
            tenants: Texts::One(tenant.as_str().into()),
            envs: Texts::One(env.as_str().into()),
            roles: record.roles.clone(),
            scopes: record.scopes.clone(),
            actor_type: record.actor_type.clone(),
            clock: Arc::clone(&self.clock),
            revocations: record.revocations.iter().cloned().chain([revocation]).collect(),
            ticket: Some(Bound { tenant, env, thread, reopens }),
        }))
    }

    /// Makes a ticket good for its first use again, since the server failed; unless somebody has used
    /// it since.
    pub(crate) async fn give_back(&self, Opened { key, revision }: Opened) {
        match self.store.swap(key, revision, TicketState::Unused).await {
            Ok(Some(_)) => {}
            Ok(None) => tracing::debug!("a ticket was used since, and is not given back"),
            Err(error) => {
                let error = Chain(&*error).to_string();
                tracing::warn!(error, "a ticket was not given back");
            }
        }
    }
}

/// A ticket that was used.
pub(crate) struct Redeemed {
    pub(crate) auth: AuthContext,
    record: Arc<TicketRecord>,
    opened: Option<Opened>,
}

/// A ticket that was used for the first time, in the state that this left it in.
#[derive(Clone, Copy)]
pub(crate) struct Opened {
    key: TicketKey,
    revision: u64,
}

impl Redeemed {
    /// Where the stream starts that the ticket opens, if that was said when it was issued.
    pub(crate) fn start(&self) -> Option<&str> {
        let start = self.record.start.as_str();
        (self.opened.is_some() && !start.is_empty()).then_some(start)
    }

    /// What to give back if the stream is not opened. `None` if the ticket was used before.
    pub(crate) fn opened(&self) -> Option<Opened> {
        self.opened
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
    pub(crate) fn of(head: RequestHead<'_>) -> Self {
        let transport = if head.is_upgrade() {
            Transport::WebSocket
        } else if head.method == Method::GET {
            Transport::Get
        } else {
            Transport::Other
        };
        // The header alone: a URL is no place for a cursor next to a ticket.
        let resume = match LastEventId::of_header(head.headers) {
            Ok(Some(LastEventId::After(cursor))) => Some(cursor),
            Ok(_) | Err(_) => None,
        };
        Self {
            transport,
            origin: head.origin_text().map(Cow::into_owned),
            may_be_same_origin: head.comes_from(&[]),
            resume,
        }
    }

    fn comes_from(&self, bound: Option<&str>) -> bool {
        match (bound, self.origin.as_deref()) {
            (None, _) => true,
            (Some(bound), Some(origin)) => origin::is_same(bound, origin),
            (Some(_), None) => self.may_be_same_origin,
        }
    }
}
