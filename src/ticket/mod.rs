//! Tickets: a browser opens a stream with a ticket, because its `EventSource` and `WebSocket` cannot set
//! headers.
//!
//! A page with a token asks for a ticket by an ordinary, authenticated `POST`. The handler checks the
//! thread, and lets a [`TicketIssuer`] issue a ticket. The page puts the ticket into the URL as
//! `?ticket=`. The outermost layer, [`RedeemTicket`](crate::RedeemTicket), removes the ticket from the
//! URL, and gives the tenant, the env and the caller of the ticket to the inner layers.
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
//!     from: LastEventId, // from the body: the last event that the page has seen
//! ) -> Result<Ticket, Rejection> {
//!     let grant = verify_thread_access(threads, &scope, &thread).await?;
//!     issuer.issue(&grant, log, from).await // as JSON: {"ticket": "...", "expires_at": 1795348830}
//! }
//! ```
//!
//! A route accepts a ticket only if its layer allows it with
//! [`or_ticket`](crate::RequireTenantScope::or_ticket). Use this on the routes that open streams, whose
//! handlers check the thread. Every other route refuses a ticket (403 `auth.insufficient_scope`).
//!
//! # What a ticket allows
//!
//! A ticket is for one thread, in one tenant and env, and for one caller. If a page asked for it, it is
//! for pages of the same origin. It opens a stream once, within [30 seconds](TicketIssuer::open_within).
//! If several clients try at once, one of them succeeds. The ticket of a WebSocket is used up then. An
//! `EventSource` repeats its URL whenever it reconnects, so its ticket can re-open that stream, and
//! nothing else. Any client that sends a `Last-Event-ID` header with a cursor of the thread's current log
//! can re-open it. The earlier connection ends then (`access.revoked`). The ticket expires with the token
//! that it was issued for.
//!
//! If a stream cannot open because of a server-side failure (a 429 or a 503, or an error of the service),
//! the ticket is given back: it can open a stream again, within the same 30 seconds. It is not given back
//! if another request has used it since, or if the client disconnects before the response. Then the
//! ticket stays used, and the page asks for another ticket.
//!
//! A ticket proves what its token proved, for this one tenant and env: subject, issuer, roles, scopes,
//! audiences, actor type, `iat`, `exp`, and whether it was an access token. So
//! [`RequireClaims`](crate::RequireClaims) decides about a ticket as it would about the token. The ticket
//! does not have the other tenants and envs of the token. For a token whose lists are too long
//! ([`TicketRecord::MAX_BYTES`]), no ticket is issued.
//!
//! # Threat model
//!
//! A URL may be recorded in the logs of proxies, in the history of a browser, and in `Referer` headers.
//!
//! - When somebody finds the ticket of a WebSocket there, the ticket is already used up.
//! - Somebody who finds the ticket of an `EventSource`, and also knows an event id of the thread, can
//!   re-open the stream until the token expires. Each time, the page's own connection ends: the two
//!   replace each other, and each replaced stream is logged at `debug` (`access.revoked`). Event ids are
//!   not secret: every reader of the thread has them. So never put an event id into the same URL: a page
//!   that continues with a new ticket names its event id when it asks for the ticket
//!   ([`TicketIssuer::issue`]). Then the finder must be a caller who could read the thread at some time
//!   since its log began. Use short-lived tokens if this matters to you.
//! - Somebody who reads the URL before the server does (malware in the browser, an untrusted proxy) can
//!   use the ticket first. The page notices it, because its own request is refused.
//! - A page of another origin cannot use a ticket in a browser, because the browser sends the page's
//!   `Origin`. Outside of browsers, `Origin` proves nothing, and a `GET` without `Origin` is accepted.
//! - The server keeps a hash (SHA-256) of each ticket, not the ticket.
//! - The stream of a ticket ends with the token that the ticket was issued for. Where tickets are kept in
//!   memory, it also ends with the token's [`Revocation`](crate::auth::Revocation). A shared store cannot
//!   keep revocations: use short-lived tokens there.
//!
//! Where the page and the service share a site, prefer a cookie
//! ([`TokenSources::or_cookie`](crate::auth::TokenSources::or_cookie)): it is simpler, and never in a
//! URL. Do not use both for one page: the browser sends the cookie with every ticket, and a request with
//! two proofs is refused. In either case, send pages with `Referrer-Policy: no-referrer`, and keep the
//! query out of the access logs of proxies.

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
pub use record::{TicketRecord, TicketState};
pub(crate) use redeem::{Opened, Redeemed};
pub(crate) use secret::TICKET_QUERY;
pub use secret::{Ticket, TicketKey};
pub use store::{StoredTicket, TicketFuture, TicketStore, TooManyTickets};
