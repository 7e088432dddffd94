//! A guarded stream as a WebSocket session ([RFC 6455]), for any library and any host.
//!
//! The layers guard the upgrade like any other request: they answer 400, 401 or 403 before the 101. In
//! axum, with the feature `axum-ws`, a handler looks like a handler of an event stream:
//!
//! ```
//! use axum::{extract::{FromRef, Path, State, WebSocketUpgrade}, response::Response};
//! use tower_tenancy::{
//!     LastEventId, MemoryLog, MemoryRegistry, Rejection, ThreadAccess,
//! };
//!
//! #[derive(Clone, FromRef)]
//! struct App { threads: MemoryRegistry, log: MemoryLog }
//!
//! async fn talk(
//!     thread: ThreadAccess<Path<String>, MemoryRegistry>,
//!     from: LastEventId,
//!     State(log): State<MemoryLog>,
//!     upgrade: WebSocketUpgrade,
//! ) -> Result<Response, Rejection> {
//!     let grant = thread.into_grant();
//!     let publisher = grant.publisher(&log);
//!     let events = grant.subscribe(&log, from).await?;
//!     let session = grant.guard(events).into_ws();
//!     // Each message becomes an event of the caller.
//!     Ok(session.on_upgrade(upgrade, move |message| {
//!         let publisher = publisher.clone();
//!         async move { publisher.publish_message(message).await }
//!     }))
//! }
//! // `any`, because an upgrade is a `GET` over HTTP/1.1 and a `CONNECT` over HTTP/2 (RFC 8441).
//! let app: axum::Router<App> = axum::Router::new().route("/{thread}", axum::routing::any(talk));
//! ```
//!
//! Over HTTP/2, axum accepts upgrades if its feature `http2` is on.
//!
//! # What a client sees
//!
//! Every message of the server is one text frame: JSON with a `type`. Events are
//! [envelopes](crate::event). Notices have no `routing`; their content is in `data`:
//!
//! ```json
//! {"v":1,"type":"open","id":"<cursor>","meta":{"trace_id":"<request id>"},"data":{}}
//! {"v":1,"type":"stream.gap","id":"<cursor>","meta":{...},"data":{"code":"stream.gap","reason":"trimmed",...}}
//! {"v":1,"type":"error","meta":{...},"data":{"code":"message.invalid","detail":"..."}}
//! {"v":1,"type":"stream.drain","meta":{...},"data":{"code":"stream.drain","detail":"...","retry_ms":3400}}
//! ```
//!
//! - `open` comes first. Each message with an `id` sets the client's cursor. To resume, the client sends
//!   its last cursor in the `Last-Event-ID` header or the query parameter `last_event_id`.
//! - The server sends `error` when it refuses a message of the client. The session continues.
//! - For an [`Ending`](crate::Ending), the server sends a notice, whose `type` is the code of the ending.
//!   It then sends a close frame with the close code of the ending. The reason of the close frame is the
//!   code. `retry_ms` is the delay before the client reconnects. It is null if the client should stop,
//!   change something first, or reconnect at once.
//!
//! # What a client may send
//!
//! Text frames that [`ThreadGrant::receive`](crate::ThreadGrant::receive) accepts: a JSON object with a
//! `type` (`message` if there is none) and the members of its data. It must not set tenant, env, thread
//! or actor:
//!
//! ```json
//! {"type":"message","text":"hi"}
//! ```
//!
//! If the handler publishes the message, it comes back as an event with `"data":{"text":"hi"}`. The
//! server handles one message at a time, and does not read another one meanwhile. Binary messages end the
//! session (1003), and so do messages that are too long (1009) or break the protocol (1002, 1007). Before
//! each of these close codes, the client gets an `error` with the reason.
//!
//! If a client offers protocols and the handler chose none (`WebSocketUpgrade::protocols`), the server
//! chooses the first protocol that is not a token.
//!
//! [RFC 6455]: https://www.rfc-editor.org/rfc/rfc6455

#[cfg(feature = "axum-ws")]
mod axum;
#[cfg(feature = "tokio-tungstenite")]
mod handshake;
mod message;
mod options;
mod pump;
mod session;
#[cfg(test)]
mod tests;
#[cfg(feature = "tokio-tungstenite")]
mod tungstenite;

#[cfg(feature = "tokio-tungstenite")]
pub use handshake::Handshake;
pub use message::{WsKind, WsMessage};
pub use session::{WsSession, no_messages};
