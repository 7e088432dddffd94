//! An event for one client.

use super::envelope::StreamEvent;
use crate::id::RequestId;

/// An event that a grant has checked. It belongs to the grant's thread, and has the id of the request
/// that receives it.
#[derive(Clone, Debug)]
pub struct StampedEvent {
    event: StreamEvent,
    trace_id: RequestId,
}

impl StampedEvent {
    pub(crate) fn new(event: StreamEvent, trace_id: RequestId) -> Self {
        Self { event, trace_id }
    }

    /// The event.
    #[must_use]
    pub fn event(&self) -> &StreamEvent {
        &self.event
    }

    /// The id of the request that receives it.
    #[must_use]
    pub fn trace_id(&self) -> &RequestId {
        &self.trace_id
    }

    /// The whole envelope as one line of JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let (head, tail) = self.event.envelope();
        [head, self.trace_id.as_str(), tail].concat()
    }

    /// The event as a block of an event stream, in pieces.
    pub(crate) fn block(&self) -> [&str; 3] {
        let (head, tail) = self.event.block();
        [head, self.trace_id.as_str(), tail]
    }
}
