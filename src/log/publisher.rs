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
    /// The event cannot be made.
    #[error(transparent)]
    Invalid(#[from] InvalidEvent),
    /// The message is one of another thread than the publisher's.
    #[error("the message belongs to another thread")]
    OtherThread,
    /// The proof that the publisher was made from is over: `auth.expired` or `access.revoked`.
    #[error(transparent)]
    ProofEnded(Rejection),
    /// The log did not take it in.
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

/// Writes events of one routing to a log, and never reads.
///
/// A handler gets one from its grant: [`ThreadGrant::publisher`]. It carries the proof of the grant,
/// and refuses once that is over. Work that has no request, such as an agent or a job, has no proof,
/// and says so; it also says for whom it publishes:
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
    /// `None` for work that has no request.
    proof: Option<Proof>,
}

impl<L: EventLog> Publisher<L> {
    /// Publishes into the thread that `routing` names, on behalf of the application alone: no
    /// request proved anything, and nothing ends this publisher.
    #[must_use]
    pub fn without_proof(log: L, routing: impl Into<Arc<Routing>>) -> Self {
        Self { log, routing: routing.into(), origin_trace_id: None, proof: None }
    }

    /// Says which request the events stem from: `meta.origin_trace_id`.
    #[must_use]
    pub fn with_origin(mut self, request_id: RequestId) -> Self {
        self.origin_trace_id = Some(request_id);
        self
    }

    /// Appends an event, and gives it back as the log stored it.
    ///
    /// # Errors
    ///
    /// [`PublishError::Invalid`] for a malformed or reserved type or data that is no JSON;
    /// [`PublishError::ProofEnded`] if the publisher was made from a grant that is over;
    /// [`PublishError::Log`] if the log did not take it in.
    pub async fn publish(
        &self,
        event_type: impl AsRef<str>,
        data: &(impl Serialize + ?Sized),
    ) -> Result<StreamEvent, PublishError> {
        let event_type = EventType::new(event_type)?;
        let origin = self.origin_trace_id.clone();
        self.append(NewEvent::new(Arc::clone(&self.routing), event_type, data, origin)?).await
    }

    /// Appends a client's message, and gives it back as the log stored it.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish), and [`PublishError::OtherThread`] if the message was received
    /// for another thread.
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
    /// Publishes into the grant's thread, as the caller, from this request.
    ///
    /// The publisher may outlive the handler: a WebSocket session's handler of messages, a task that
    /// answers. It does not outlive the proof.
    pub fn publisher<L: EventLog + Clone>(&self, log: &L) -> Publisher<L> {
        Publisher {
            log: log.clone(),
            routing: Arc::clone(self.routing()),
            origin_trace_id: Some(self.scope().request_id().clone()),
            proof: Some(self.proof().clone()),
        }
    }

    /// Appends a message that was [received](Self::receive) under this grant, and gives the event as
    /// its client may see it.
    ///
    /// ```
    /// use tower_tenancy::{MemoryLog, OnForeignMembers, Rejection, ThreadGrant};
    ///
    /// /// The handler of a `POST`: answers with the envelope of the new event.
    /// async fn say(grant: &ThreadGrant, log: &MemoryLog, body: &str) -> Result<String, Rejection> {
    ///     let message = grant.receive(body, OnForeignMembers::Refuse)?; // {"type":"message","text":"hi"}
    ///     Ok(grant.publish(log, message).await?.to_json())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// `auth.expired` or `access.revoked` if the proof is over; `thread.forbidden` for a message of
    /// another thread; `message.invalid` for one that is too large; `log.unavailable` if the log did
    /// not take it in.
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
