//! Receives a client's message under a grant.

use super::message::{ClientMessage, InvalidMessage};
use crate::{
    access::ThreadGrant,
    event::{EventType, InvalidEvent, NewEvent},
    json::{MAX_DEPTH, Member, Object},
};
use serde_json::value::RawValue;
use std::sync::Arc;

/// Members that a client's message must not have, because only the server sets them.
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

/// What to do with a client's message that has a member, such as `tenant_id` or `actor_id`, that only
/// the server sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnForeignMembers {
    /// Refuse the message.
    #[default]
    Refuse,
    /// Ignore such members, and accept the rest.
    Ignore,
}

impl ThreadGrant {
    /// Parses a message of this grant's client. The text must be a JSON object. Its member `type` is the
    /// type of the event (`message` if it is absent). Its other members are the data of the event.
    ///
    /// It first checks the whole message with a strict parser ([`InvalidMessage::Json`]). It then keeps
    /// the data byte for byte, except for white space between the members of the message.
    ///
    /// Routing, actor and origin come from the grant. A member at the top of the message that names one
    /// of these (`routing`, `tenant_id`, `env`, `thread_id`, `actor_id`, `actor_type`, `meta`,
    /// `trace_id` and the like) is refused or ignored, but never used.
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
    /// [`InvalidMessage`], if the message is not valid or the proof has ended.
    pub fn receive(
        &self,
        text: &str,
        on_foreign: OnForeignMembers,
    ) -> Result<ClientMessage, InvalidMessage> {
        self.proof().check().map_err(InvalidMessage::ProofEnded)?;
        // The envelope adds one level of nesting.
        let message = Object::within(MAX_DEPTH - 1, text)?;
        let mut event_type = None;
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
