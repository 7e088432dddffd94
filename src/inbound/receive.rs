//! How a grant takes a client's message.

use super::message::{ClientMessage, InvalidMessage};
use crate::{
    access::ThreadGrant,
    event::{EventType, InvalidEvent, NewEvent},
    json::{MAX_DEPTH, Member, Object},
};
use serde_json::value::RawValue;
use std::sync::Arc;

/// What only the grant says: members that a client's message may not have.
pub(super) const FOREIGN_MEMBERS: [&str; 12] = [
    "routing",
    "tenant",
    "tenant_id",
    "env",
    "thread",
    "thread_id",
    "actor",
    "actor_id",
    "actor_type",
    "meta",
    "trace_id",
    "origin_trace_id",
];

/// What to do about a client that says whose its message is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnForeignMembers {
    /// Refuse the message.
    #[default]
    Refuse,
    /// Leave those members out, and take the rest.
    Ignore,
}
impl ThreadGrant {
    /// Takes a message of the client that holds this grant, as text: a JSON object whose `type`
    /// (`message` if there is none) is the event's, and whose other members are the event's data.
    ///
    /// The whole message is held against one strict rule for JSON first ([`InvalidMessage::Json`]). The
    /// data are then passed on byte for byte as they were written, but for white space between the
    /// members of the message.
    ///
    /// Routing, actor and origin are the grant's. What the client puts there (`routing`,
    /// `tenant_id`, `env`, `thread_id`, `actor_id`, `actor_type`, `meta`, `trace_id` and the like, at
    /// the top of the message) is refused or ignored, and never trusted.
    ///
    /// ```
    /// use tower_tenancy::{InvalidMessage, OnForeignMembers, ThreadGrant};
    ///
    /// fn take(grant: &ThreadGrant, body: &str) -> Result<(), InvalidMessage> {
    ///     let message = grant.receive(body, OnForeignMembers::Refuse)?; // {"type":"message","text":"hi"}
    ///     assert_eq!(message.data(), r#"{"text":"hi"}"#);
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidMessage`] says what is wrong with the message, or that the proof is over.
    pub fn receive(
        &self,
        text: &str,
        on_foreign: OnForeignMembers,
    ) -> Result<ClientMessage, InvalidMessage> {
        self.proof().check().map_err(InvalidMessage::ProofEnded)?;
        // The envelope nests the data one level deeper than the message does.
        let message = Object::within(MAX_DEPTH - 1, text)?;
        let mut event_type = None;
        // The members are passed on as they were written.
        let mut data = String::with_capacity(text.len());
        for Member { name, written, value } in message.members() {
            if name == "type" {
                let name = value.string().ok_or(InvalidEvent::Type)?;
                event_type = Some(EventType::new(name)?);
            } else if let Some(claim) = FOREIGN_MEMBERS.into_iter().find(|claim| claim == name) {
                if on_foreign == OnForeignMembers::Refuse {
                    return Err(InvalidMessage::ForeignMember(claim));
                }
            } else {
                data.push(if data.is_empty() { '{' } else { ',' });
                data.extend([written, ":", value.text()]);
            }
        }
        data.push_str(if data.is_empty() { "{}" } else { "}" });
        let data = RawValue::from_string(data).map_err(InvalidEvent::Data)?;
        let event_type = match event_type {
            Some(event_type) => event_type,
            None => EventType::new("message")?,
        };
        let origin = Some(self.scope().request_id().clone());
        let routing = Arc::clone(self.routing());
        Ok(ClientMessage(NewEvent::new(routing, event_type, &data, origin)?))
    }
}
