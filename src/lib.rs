#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

// A module uses only modules above it. `tests/it/layering.rs` checks this, and ARCHITECTURE.md describes
// the groups.

// Values.
pub mod id;

mod json;

mod sync;

pub mod clock;

mod event_stream;

mod codes;

mod ending;

// Refusal.
pub mod rejection;

// Request: what it claims, and what its token proves.
mod request;

mod origin;

pub mod context;

pub mod auth;

mod scope;

// Thread: what a grant is, and what it can do.
pub mod event;

mod access;

pub mod delivery;

pub mod stream;

mod inbound;

pub mod log;

// Wires: the transports. `grpc` is further down, because it uses `middleware`.
mod sse;

#[cfg(feature = "ws")]
pub mod ws;

// Tickets.
#[cfg(feature = "tickets")]
pub mod ticket;

// Shells: layers and extractors around handlers.
pub mod middleware;

#[cfg(feature = "tonic")]
mod grpc;

#[cfg(feature = "axum")]
mod extract;

// Test kit.
#[cfg(any(test, feature = "test-util"))]
pub mod testing;

#[doc = include_str!("../docs/guide.md")]
pub mod guide {
    #[doc = include_str!("../docs/identity-providers.md")]
    pub mod identity_providers {}

    #[doc = include_str!("../docs/reverse-proxies.md")]
    pub mod reverse_proxies {}
}

pub use access::{
    DynThreadRegistry, Member, MemoryRegistry, NamesThread, Registered, ThreadGrant, ThreadRecord,
    ThreadRegistry, verify_thread_access,
};
pub use auth::{AuthContext, AuthRequest, Authenticator, Verdict};
pub use context::{ContextParts, Envs, RequestContext};
pub use delivery::{Delivery, Gap, GapReason, Position};
pub use ending::Ending;
pub use event::{Cursor, EventType, LastEventId, Routing, StampedEvent, StreamEvent};
#[cfg(feature = "axum")]
pub use extract::{JsonText, ThreadAccess};
#[cfg(feature = "tonic")]
pub use grpc::GrpcStream;
pub use id::{ActorType, Env, RequestId, Subject, TenantId, ThreadId};
pub use inbound::{ClientMessage, InvalidMessage, OnForeignMembers};
pub use log::{EventLog, MemoryLog, OnGap, Publisher, Subscription};
#[cfg(feature = "tokio-tungstenite")]
pub use middleware::CloseRefusedUpgrades;
#[cfg(feature = "tickets")]
pub use middleware::RedeemTicket;
pub use middleware::{
    RequireAuth, RequireClaims, RequireRequestContext, RequireTenantScope, TenantEnvGuard,
};
pub use rejection::{BoxError, Rejection, RejectionKind};
pub use request::RequestHead;
pub use scope::TenantScope;
pub use sse::{CutOff, SseBody};
pub use stream::{GuardedStream, OnMismatch};
#[cfg(feature = "tickets")]
pub use ticket::TicketIssuer;
#[cfg(feature = "ws")]
pub use ws::{WsMessage, WsSession};
