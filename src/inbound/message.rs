//! A client's message, and the error for an invalid one.

use crate::{
    event::{EventType, InvalidEvent, NewEvent, Routing},
    id::RequestId,
    json::Fault,
    rejection::{Rejection, RejectionKind},
};

/// The reason why the crate refuses a client's message. You may show its text to clients.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidMessage {
    /// The message is not a JSON object (RFC 8259), or it has one of these at any depth: two members with
    /// one name in one object, more than 63 levels of nesting (64 with the envelope around it), a number
    /// whose nearest double is infinite, half of a surrogate pair, or a name that serde_json reserves.
    /// The text says which.
    ///
    /// All other JSON objects pass this check. A consumer that reads numbers as doubles still rounds an
    /// integer beyond 2^53 and a long fraction, and reads a number that is too small for a double as zero.
    #[error("the message must be one strict JSON object, such as {{\"text\":\"hi\"}}, but {0}")]
    Json(String),
    /// The message has a member that only the server may set.
    #[error(
        "the message must not have the member '{0}': send only 'type' and data, and no tenant, env, thread or actor"
    )]
    ForeignMember(&'static str),
    /// The type is malformed or reserved.
    #[error(transparent)]
    Event(#[from] InvalidEvent),
    /// The client's proof has ended: `auth.expired` or `access.revoked`.
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
                .with_detail(format!("The message was refused: {invalid}.")),
        }
    }
}

/// A client's message. Its type and data come from the client. Its routing comes from the grant.
///
/// Only [`ThreadGrant::receive`](crate::ThreadGrant::receive) makes one.
/// [`ThreadGrant::publish`](crate::ThreadGrant::publish) and
/// [`Publisher::publish_message`](crate::Publisher::publish_message) put it into a log.
#[derive(Clone, Debug)]
pub struct ClientMessage(pub(super) NewEvent);

impl ClientMessage {
    /// The thread that the message belongs to, and its sender as the actor.
    #[must_use]
    pub fn routing(&self) -> &Routing {
        self.0.routing()
    }

    /// The type of the event that the message becomes.
    #[must_use]
    pub fn event_type(&self) -> &EventType {
        self.0.event_type()
    }

    /// The data, as JSON text. It is an object.
    #[must_use]
    pub fn data(&self) -> &str {
        self.0.data()
    }

    /// The id of the request that sent the message.
    #[must_use]
    pub fn origin_trace_id(&self) -> Option<&RequestId> {
        self.0.origin_trace_id()
    }

    pub(crate) fn into_event(self) -> NewEvent {
        self.0
    }
}
