//! Whose an event is.

use crate::id::{ActorType, Env, Subject, TenantId, ThreadId, ThreadKey};
use serde::ser::{Serialize, SerializeStruct, Serializer};

/// The tenant, env and thread that an event belongs to, and who made it.
///
/// What is checked against a grant is what is encoded into the event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routing {
    key: ThreadKey,
    actor: Option<(Subject, ActorType)>,
}

impl Routing {
    /// An event of this thread, made by nobody in particular.
    #[must_use]
    pub fn new(tenant: TenantId, env: Env, thread: ThreadId) -> Self {
        Self { key: ThreadKey::new(tenant, env, thread), actor: None }
    }

    /// Says who made the event. It comes from a token or from the application, never from a client.
    #[must_use]
    pub fn with_actor(mut self, actor_id: Subject, actor_type: ActorType) -> Self {
        self.actor = Some((actor_id, actor_type));
        self
    }

    /// Whose event this is.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        self.key.tenant()
    }

    /// The env that the event happened in.
    #[must_use]
    pub fn env(&self) -> &Env {
        self.key.env()
    }

    /// The thread that the event belongs to.
    #[must_use]
    pub fn thread(&self) -> &ThreadId {
        self.key.thread()
    }

    /// Who made the event.
    #[must_use]
    pub fn actor_id(&self) -> Option<&Subject> {
        self.actor.as_ref().map(|(id, _)| id)
    }

    /// What the maker is, such as `human` or `agent`.
    #[must_use]
    pub fn actor_type(&self) -> Option<&ActorType> {
        self.actor.as_ref().map(|(_, kind)| kind)
    }

    /// `tenant/env/thread`: different threads give different texts. The same as
    /// [`ThreadKey::to_path`].
    #[must_use]
    pub fn to_path(&self) -> String {
        self.key.to_path()
    }

    pub(crate) fn key(&self) -> &ThreadKey {
        &self.key
    }
}

impl Serialize for Routing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = if self.actor.is_some() { 5 } else { 3 };
        let mut routing = serializer.serialize_struct("Routing", fields)?;
        routing.serialize_field("tenant_id", self.tenant())?;
        routing.serialize_field("env", self.env())?;
        routing.serialize_field("thread_id", self.thread())?;
        if let Some((id, kind)) = &self.actor {
            routing.serialize_field("actor_id", id)?;
            routing.serialize_field("actor_type", kind)?;
        }
        routing.end()
    }
}
