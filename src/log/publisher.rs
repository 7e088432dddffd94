//! Writing to a thread, with or without a request.

use super::{EventLog, LogError};
use crate::{
    access::ThreadGrant,
    event::{EventType, InvalidEvent, NewEvent, Routing, StreamEvent},
    id::RequestId,
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
    /// The log did not take it in.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl From<PublishError> for Rejection {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Invalid(invalid) => Self::new(RejectionKind::MessageInvalid)
                .with_detail(format!("Not published: {invalid}.")),
            PublishError::Log(error) => error.into(),
        }
    }
}

/// Writes events of one routing to a log, and never reads.
///
/// A handler gets one from its grant: [`ThreadGrant::publisher`]. Work that has no request, such
/// as an agent or a job, says explicitly whose events it makes:
///
/// ```
/// use tower_tenancy::{Env, MemoryLog, Publisher, Routing, TenantId, ThreadId};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let log = MemoryLog::new();
/// let routing = Routing::new(TenantId::new("t_alpha")?, Env::new("prod")?, ThreadId::new("th-1")?);
/// let publisher = Publisher::new(log, routing);
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
}

impl<L: EventLog> Publisher<L> {
    /// Publishes into the thread that `routing` names, without a request.
    #[must_use]
    pub fn new(log: L, routing: impl Into<Arc<Routing>>) -> Self {
        Self { log, routing: routing.into(), origin_trace_id: None }
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
    /// [`PublishError::Log`] if the log did not take it in.
    pub async fn publish(
        &self,
        event_type: impl AsRef<str>,
        data: &(impl Serialize + ?Sized),
    ) -> Result<StreamEvent, PublishError> {
        let event_type = EventType::new(event_type)?;
        let origin = self.origin_trace_id.clone();
        let event = NewEvent::new(Arc::clone(&self.routing), event_type, data, origin)?;
        Ok(self.log.append(event).await?)
    }
}

impl ThreadGrant {
    /// Publishes into the grant's thread, as the caller, from this request.
    pub fn publisher<L: EventLog + Clone>(&self, log: &L) -> Publisher<L> {
        Publisher::new(log.clone(), Arc::clone(self.routing()))
            .with_origin(self.scope().request_id().clone())
    }
}
