//! A client's message, and why one is not taken.

use crate::{
    event::{EventType, InvalidEvent, NewEvent, Routing},
    id::RequestId,
    json::Fault,
    rejection::{Rejection, RejectionKind},
};

/// Why a client's message is not taken. What it says is safe for clients.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidMessage {
    /// The message is no JSON object (RFC 8259), or it has, at any depth: two members of one name in
    /// one object, more than 63 levels (64 with the envelope around it), a number whose nearest double
    /// is infinite, half of a surrogate pair, or a name that serde_json reserves. Says which.
    ///
    /// Nothing else is refused. Readers that take numbers for doubles still round an integer beyond
    /// 2^53 or a long fraction, and read a number that is too small for a double as zero.
    #[error("the message must be one strict JSON object, such as {{\"text\":\"hi\"}}, but {0}")]
    Json(String),
    /// The message has a member that only the server may set.
    #[error("the message must not have the member '{0}': the server sets it from the request")]
    ForeignMember(&'static str),
    /// The type is malformed or reserved.
    #[error(transparent)]
    Event(#[from] InvalidEvent),
    /// The proof of the client that sent it is over: `auth.expired` or `access.revoked`.
    #[error(transparent)]
    ProofEnded(Rejection),
}

impl From<Fault> for InvalidMessage {
    fn from(fault: Fault) -> Self {
        Self::Json(fault.to_string())
    }
}

impl From<InvalidMessage> for Rejection {
    fn from(invalid: InvalidMessage) -> Self {
        match invalid {
            InvalidMessage::ProofEnded(rejection) => rejection,
            InvalidMessage::Json(_)
            | InvalidMessage::ForeignMember(_)
            | InvalidMessage::Event(_) => Self::new(RejectionKind::MessageInvalid)
                .with_detail(format!("Not taken: {invalid}.")),
        }
    }
}

/// A client's message, received under a grant: what it says is the client's, and whose it is, is the
/// grant's. Only [`ThreadGrant::receive`] makes one. [`ThreadGrant::publish`] and
/// [`Publisher::publish_message`](crate::Publisher::publish_message) put it into a log.
#[derive(Clone, Debug)]
pub struct ClientMessage(pub(super) NewEvent);

impl ClientMessage {
    /// The thread that it was received for, and its sender as actor.
    #[must_use]
    pub fn routing(&self) -> &Routing {
        self.0.routing()
    }

    /// What kind of event it becomes.
    #[must_use]
    pub fn event_type(&self) -> &EventType {
        self.0.event_type()
    }

    /// Its data, as JSON text: an object.
    #[must_use]
    pub fn data(&self) -> &str {
        self.0.data()
    }

    /// The request that it was received in.
    #[must_use]
    pub fn origin_trace_id(&self) -> Option<&RequestId> {
        self.0.origin_trace_id()
    }

    pub(crate) fn into_event(self) -> NewEvent {
        self.0
    }
}
