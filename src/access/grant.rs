//! The permission to use a thread.

use super::{proof::Proof, record::ThreadRecord};
use crate::{
    event::{Routing, StampedEvent, StreamEvent},
    id::{ActorType, ThreadKey},
    rejection::{Rejection, RejectionKind},
    scope::TenantScope,
};
use std::sync::{Arc, OnceLock};

/// Permission for one request to use one thread.
///
/// Only [`verify_thread_access`](crate::verify_thread_access) makes one. It cannot be cloned, and a
/// stream consumes it: one grant, one stream.
///
/// Each of these methods checks the proof again. It refuses with `auth.expired` after the token's expiry
/// plus leeway, and with `access.revoked` after a revocation. Streams, publishers and tickets that come
/// from a grant end with its proof, too.
///
/// | method | makes |
/// |---|---|
/// | [`subscribe`](Self::subscribe) | the thread's events after a cursor, for `guard` |
/// | [`guard`](Self::guard) | a stream that ends with the proof |
/// | [`position`](Self::position) | the cursor of the log's newest event |
/// | [`receive`](Self::receive) | a [`ClientMessage`](crate::ClientMessage) from a client's text |
/// | [`publish`](Self::publish) | an event in the log, from such a message |
/// | [`publisher`](Self::publisher) | a [`Publisher`](crate::Publisher) that can outlive the handler, but not the proof |
/// | [`stamp`](Self::stamp) | an event that the client may see |
/// | `TicketIssuer::issue`, `TicketIssuer::issue_once` | a ticket that opens the thread's stream |
#[derive(Debug)]
#[must_use]
pub struct ThreadGrant {
    scope: TenantScope,
    proof: Proof,
    key: ThreadKey,
    /// Made at the first use: a grant that only reads does not need it.
    routing: OnceLock<Arc<Routing>>,
}

impl ThreadGrant {
    pub(super) fn new(scope: TenantScope, record: ThreadRecord) -> Self {
        // The registry's own key: all grants of the thread share it, and compare it by address first.
        let (key, roster) = record.into_parts();
        let proof = Proof::new(scope.auth().clone(), roster);
        Self { scope, proof, key, routing: OnceLock::new() }
    }

    /// The scope that the grant was made in.
    #[must_use]
    pub fn scope(&self) -> &TenantScope {
        &self.scope
    }

    /// The routing of the events that the caller publishes: tenant, env and thread, and the caller as the
    /// actor. The actor's type is `human`, unless the token has another type.
    #[must_use]
    pub fn routing(&self) -> &Arc<Routing> {
        self.routing.get_or_init(|| {
            let routing = Routing::of(self.key.clone());
            let kind = self.scope.auth().actor_type().cloned();
            Arc::new(match kind.map_or_else(|| ActorType::new("human"), Ok) {
                Ok(kind) => routing.with_actor(self.scope.subject().clone(), kind),
                Err(_) => routing,
            })
        })
    }

    pub(crate) fn key(&self) -> &ThreadKey {
        &self.key
    }

    pub(crate) fn proof(&self) -> &Proof {
        &self.proof
    }

    /// Checks that `event` belongs to this thread, and stamps it with the id of this request.
    ///
    /// # Errors
    ///
    /// `thread.forbidden` if the event belongs to another thread; `auth.expired` or
    /// `access.revoked` if the proof has ended.
    pub fn stamp(&self, event: StreamEvent) -> Result<StampedEvent, Rejection> {
        self.proof.check()?;
        self.stamp_own(event)
    }

    /// Stamps an event that this grant has just published. It does not check the proof again, so the
    /// caller learns that its event was stored, even if the proof ended in the meantime.
    pub(crate) fn stamp_own(&self, event: StreamEvent) -> Result<StampedEvent, Rejection> {
        if event.routing().key() == self.key() {
            return Ok(StampedEvent::new(event, self.scope.request_id().clone()));
        }
        let source = format!(
            "an event of {} does not belong to {}",
            event.routing().to_path(),
            self.key.to_path()
        );
        Err(Rejection::new(RejectionKind::ThreadForbidden).with_source(source))
    }
}
