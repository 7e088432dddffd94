//! What a request may do with a thread.

use super::{proof::Proof, record::ThreadRecord};
use crate::{
    event::{Routing, StampedEvent, StreamEvent},
    id::{ActorType, ThreadKey},
    rejection::{Rejection, RejectionKind},
    scope::TenantScope,
};
use std::sync::{Arc, OnceLock};

/// Permission for one request to use one thread, checked a moment ago.
///
/// Only [`verify_thread_access`] makes one. It is not cloned, and a stream consumes it: one grant,
/// one stream.
///
/// Each verb of a grant asks the proof again, and refuses once it is over: `auth.expired` after the
/// token's expiry plus leeway, `access.revoked` after a withdrawal. What a verb makes ends with the
/// proof as well.
///
/// | verb | makes |
/// |---|---|
/// | [`subscribe`](Self::subscribe) | the thread's events after a cursor, for `guard` |
/// | [`guard`](Self::guard) | a stream that ends with the proof |
/// | [`position`](Self::position) | the cursor of the log's newest event |
/// | [`receive`](Self::receive) | a [`ClientMessage`](crate::ClientMessage) out of a client's text |
/// | [`publish`](Self::publish) | an event in the log, out of such a message |
/// | [`publisher`](Self::publisher) | a [`Publisher`](crate::Publisher) that outlives the handler, not the proof |
/// | [`stamp`](Self::stamp) | an event as its client may see it |
/// | `TicketIssuer::issue` | a ticket that opens the thread's stream |
#[derive(Debug)]
#[must_use]
pub struct ThreadGrant {
    scope: TenantScope,
    proof: Proof,
    key: ThreadKey,
    /// For a grant that publishes. One that only reads never makes it.
    routing: OnceLock<Arc<Routing>>,
}

impl ThreadGrant {
    pub(super) fn new(scope: TenantScope, record: ThreadRecord) -> Self {
        // The registry's own key: grants of one thread then share it, and compare by its address.
        let (key, roster) = record.into_parts();
        let proof = Proof::new(scope.auth().clone(), roster);
        Self { scope, proof, key, routing: OnceLock::new() }
    }

    /// The scope that the grant was made in.
    #[must_use]
    pub fn scope(&self) -> &TenantScope {
        &self.scope
    }

    /// The routing of what the caller publishes into the thread: its tenant, env and thread, and
    /// the caller as actor. The actor is a `human` unless the token says otherwise.
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
    /// `access.revoked` if the proof is over.
    pub fn stamp(&self, event: StreamEvent) -> Result<StampedEvent, Rejection> {
        self.proof.check()?;
        self.stamp_own(event)
    }

    /// Stamps an event that was published under the proof a moment ago: its publisher is told what
    /// became of it, whatever the time is by now.
    pub(crate) fn stamp_own(&self, event: StreamEvent) -> Result<StampedEvent, Rejection> {
        if event.routing().key() == self.key() {
            return Ok(StampedEvent::new(event, self.scope.request_id().clone()));
        }
        let source = format!(
            "an event of {} is not one of {}",
            event.routing().to_path(),
            self.key.to_path()
        );
        Err(Rejection::new(RejectionKind::ThreadForbidden).with_source(source))
    }
}
