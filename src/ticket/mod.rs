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

mod issuer;
mod memory;
mod opening;
mod record;
mod redeem;
mod secret;
mod store;
#[cfg(test)]
mod tests;

pub use issuer::TicketIssuer;
pub use memory::MemoryTickets;
pub(crate) use opening::Opening;
pub use record::TicketRecord;
pub(crate) use redeem::{Opened, Redeemed};
pub(crate) use secret::TICKET_QUERY;
pub use secret::{Ticket, TicketKey};
pub use store::{StoredTicket, TicketFuture, TicketState, TicketStore, TooManyTickets};
