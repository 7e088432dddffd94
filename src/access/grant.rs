//! The check of a thread, and what it makes.

use super::{NamesThread, Proof, ThreadRegistry, registry::ThreadRecord};
use crate::{
    event::{Routing, StampedEvent, StreamEvent},
    id::{ActorType, ThreadId, ThreadKey},
    rejection::{Chain, Rejection, RejectionKind},
    scope::TenantScope,
};
use std::sync::{Arc, OnceLock};

/// Checks that the scope may use the thread, now.
///
/// The registry is asked within the scope's tenant and env, and what it returns is compared with
/// them once more.
///
/// ```
/// use tower_tenancy::{MemoryRegistry, Rejection, TenantScope, ThreadGrant, verify_thread_access};
///
/// async fn grant(threads: &MemoryRegistry, scope: &TenantScope) -> Result<ThreadGrant, Rejection> {
///     verify_thread_access(threads, scope, "th-1").await
/// }
/// ```
///
/// # Errors
///
/// `thread.forbidden` if there is no such thread, it is another tenant's or env's, or the caller
/// is no member: all the same to the client, told apart in the log. `auth.expired` or
/// `access.revoked` if the scope's proof is over. `registry.unavailable` if the registry cannot
/// tell.
pub async fn verify_thread_access<R, T>(
    registry: &R,
    scope: &TenantScope,
    thread: &T,
) -> Result<ThreadGrant, Rejection>
where
    R: ThreadRegistry + ?Sized,
    T: NamesThread + ?Sized,
{
    let refuse = |thread: &str, reason: &'static str, owner: Option<&ThreadKey>| {
        tracing::warn!(
            code = RejectionKind::ThreadForbidden.code(),
            reason,
            tenant = scope.tenant().as_str(),
            env = scope.env().as_str(),
            thread,
            owner = owner.map(ThreadKey::to_path),
            subject = scope.subject().as_str(),
            request_id = scope.request_id().as_str(),
            "request refused"
        );
        Err(Rejection::new(RejectionKind::ThreadForbidden).with_source(reason).already_logged())
    };

    // A scope may have been kept: it is proof of a moment.
    scope.auth().remaining()?;
    // An id that cannot exist is unknown, like any other that does not.
    let Ok(id) = ThreadId::new(thread.thread_id()) else {
        return refuse("", "the thread id is malformed", None);
    };
    if scope.auth().ticket().is_some_and(|bound| bound.thread != id) {
        return refuse(id.as_str(), "the ticket is for another thread", None);
    }
    let found = registry.find(scope.tenant(), scope.env(), &id).await.map_err(|error| {
        let cause = Chain(&*error).to_string();
        tracing::error!(
            tenant = scope.tenant().as_str(),
            env = scope.env().as_str(),
            thread = id.as_str(),
            request_id = scope.request_id().as_str(),
            error = cause.as_str(),
            "the thread registry does not answer"
        );
        Rejection::new(RejectionKind::RegistryUnavailable).with_source(error).already_logged()
    })?;
    let Some(record) = found else {
        return refuse(id.as_str(), "the thread is unknown", None);
    };
    let asked = ThreadKey::new(scope.tenant().clone(), scope.env().clone(), id);
    if *record.key() != asked {
        return refuse(asked.thread().as_str(), "the thread is foreign", Some(record.key()));
    }
    if !record.admits(scope.auth()) {
        return refuse(asked.thread().as_str(), "the caller is no member", None);
    }
    let grant = ThreadGrant::new(scope.clone(), record);
    // The registry may have taken its time.
    grant.proof.check()?;
    Ok(grant)
}

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
