//! Writing to a thread, with or without a request.

use super::{error::LogError, event_log::EventLog};
use crate::{
    access::{Proof, ThreadGrant},
    event::{EventType, InvalidEvent, NewEvent, Routing, StampedEvent, StreamEvent},
    id::RequestId,
    inbound::ClientMessage,
    rejection::{Rejection, RejectionKind},
};
use serde::Serialize;
use std::sync::Arc;

/// Why an event was not published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The event is not valid.
    #[error(transparent)]
    Invalid(#[from] InvalidEvent),
    /// The message belongs to another thread than the publisher.
    #[error("the message belongs to another thread")]
    OtherThread,
    /// The proof of the publisher's grant has ended: `auth.expired` or `access.revoked`.
    #[error(transparent)]
    ProofEnded(Rejection),
    /// The log did not store the event.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl From<PublishError> for Rejection {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Invalid(invalid) => Self::new(RejectionKind::MessageInvalid)
                .with_detail(format!("Not published: {invalid}.")),
            PublishError::OtherThread => Self::new(RejectionKind::ThreadForbidden)
                .with_source("the message belongs to another thread"),
            PublishError::ProofEnded(rejection) => rejection,
            PublishError::Log(error) => error.into(),
        }
    }
}

/// Writes the events of one routing to a log. It never reads.
///
/// A handler gets one from its grant with [`ThreadGrant::publisher`]. That publisher holds the grant's
/// proof, and refuses to publish once the proof has ended. Work without a request, such as an agent or
/// a job, has no proof. It makes its own publisher, and names the routing:
///
/// ```
/// use tower_tenancy::{Env, MemoryLog, Publisher, Routing, TenantId, ThreadId};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let log = MemoryLog::new();
/// let routing = Routing::new(TenantId::new("t_alpha")?, Env::new("prod")?, ThreadId::new("th-1")?);
/// let publisher = Publisher::without_proof(log, routing);
/// let event = publisher.publish("job.done", &serde_json::json!({ "rows": 12 })).await?;
/// assert_eq!(event.cursor().map(|cursor| cursor.seq()), Some(1));
/// # Ok(()) }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run()).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Publisher<L> {
    log: L,
    routing: Arc<Routing>,
    origin_trace_id: Option<RequestId>,
    /// `None` for work without a request.
    proof: Option<Proof>,
}

impl<L: EventLog> Publisher<L> {
    /// A publisher for the thread that `routing` names, on behalf of the application. It has no proof,
    /// so nothing ends it.
    #[must_use]
    pub fn without_proof(log: L, routing: impl Into<Arc<Routing>>) -> Self {
        Self { log, routing: routing.into(), origin_trace_id: None, proof: None }
    }

    /// Sets the request that the events come from, as `meta.origin_trace_id`.
    #[must_use]
    pub fn with_origin(mut self, request_id: RequestId) -> Self {
        self.origin_trace_id = Some(request_id);
        self
    }

    /// Appends an event, and returns it as the log stored it.
    ///
    /// # Errors
    ///
    /// [`PublishError::Invalid`] for a malformed or reserved type, or for data that does not serialize
    /// to JSON; [`PublishError::ProofEnded`] if the proof of the publisher's grant has ended;
    /// [`PublishError::Log`] if the log did not store the event.
    pub async fn publish(
        &self,
        event_type: impl AsRef<str>,
        data: &(impl Serialize + ?Sized),
    ) -> Result<StreamEvent, PublishError> {
        let event_type = EventType::new(event_type)?;
        let origin = self.origin_trace_id.clone();
        self.append(NewEvent::new(Arc::clone(&self.routing), event_type, data, origin)?).await
    }

    /// Appends a client's message, and returns the event as the log stored it.
    ///
    /// # Errors
    ///
    /// The errors of [`publish`](Self::publish), and [`PublishError::OtherThread`] if the message was
    /// received for another thread.
    pub async fn publish_message(
        &self,
        message: ClientMessage,
    ) -> Result<StreamEvent, PublishError> {
        if message.routing().key() != self.routing.key() {
            return Err(PublishError::OtherThread);
        }
        self.append(message.into_event()).await
    }

    async fn append(&self, event: NewEvent) -> Result<StreamEvent, PublishError> {
        if let Some(proof) = &self.proof {
            proof.check().map_err(PublishError::ProofEnded)?;
        }
        Ok(self.log.append(event).await?)
    }
}

impl ThreadGrant {
    /// A publisher for the grant's thread. Its events carry this request's id as their origin.
    ///
    /// The publisher may outlive the handler, for example in a spawned task or in a WebSocket session.
    /// It publishes nothing after the end of the proof.
    pub fn publisher<L: EventLog + Clone>(&self, log: &L) -> Publisher<L> {
        Publisher {
            log: log.clone(),
            routing: Arc::clone(self.routing()),
            origin_trace_id: Some(self.scope().request_id().clone()),
            proof: Some(self.proof().clone()),
        }
    }

    /// Appends a message that this grant [received](Self::receive), and returns the event that the
    /// client may see.
    ///
    /// ```
    /// use tower_tenancy::{MemoryLog, OnForeignMembers, Rejection, ThreadGrant};
    ///
    /// /// The handler of a `POST`: responds with the envelope of the new event.
    /// async fn say(grant: &ThreadGrant, log: &MemoryLog, body: &str) -> Result<String, Rejection> {
    ///     let message = grant.receive(body, OnForeignMembers::Refuse)?; // {"type":"message","text":"hi"}
    ///     Ok(grant.publish(log, message).await?.to_json())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// `auth.expired` or `access.revoked` if the proof has ended; `thread.forbidden` for a message of
    /// another thread; `message.invalid` for a message that is too large; `log.unavailable` if the log
    /// did not store it.
    pub async fn publish<L: EventLog>(
        &self,
        log: &L,
        message: ClientMessage,
    ) -> Result<StampedEvent, Rejection> {
        if message.routing().key() != self.key() {
            return Err(PublishError::OtherThread.into());
        }
        self.proof().check()?;
        self.stamp_own(log.append(message.into_event()).await?)
    }
}
