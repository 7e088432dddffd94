//! The thread and the actor of an event.

use super::json_text::push;
use crate::id::{ActorType, Env, InvalidId, Subject, TenantId, ThreadId, ThreadKey};
use std::str::FromStr;

/// The tenant, env and thread that an event belongs to, and its actor.
///
/// The crate checks this routing against a grant, and encodes the same routing into the event.
///
/// ```
/// use tower_tenancy::Routing;
///
/// let routing: Routing = "t_alpha/prod/th-1".parse()?;
/// assert_eq!(routing.tenant().as_str(), "t_alpha");
/// assert_eq!(routing.to_path(), "t_alpha/prod/th-1");
/// # Ok::<(), tower_tenancy::event::InvalidRouting>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routing {
    key: ThreadKey,
    actor: Option<(Subject, ActorType)>,
}

impl Routing {
    /// The routing of an event of this thread, without an actor.
    #[must_use]
    pub fn new(tenant: TenantId, env: Env, thread: ThreadId) -> Self {
        Self::of(ThreadKey::new(tenant, env, thread))
    }

    pub(crate) fn of(key: ThreadKey) -> Self {
        Self { key, actor: None }
    }

    /// Sets the actor. Take it from a token or from the application, never from a client.
    #[must_use]
    pub fn with_actor(mut self, actor_id: Subject, actor_type: ActorType) -> Self {
        self.actor = Some((actor_id, actor_type));
        self
    }

    /// The tenant that the event belongs to.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        self.key.tenant()
    }

    /// The env that the event belongs to.
    #[must_use]
    pub fn env(&self) -> &Env {
        self.key.env()
    }

    /// The thread that the event belongs to.
    #[must_use]
    pub fn thread(&self) -> &ThreadId {
        self.key.thread()
    }

    /// The actor, if there is one.
    #[must_use]
    pub fn actor_id(&self) -> Option<&Subject> {
        self.actor.as_ref().map(|(id, _)| id)
    }

    /// The kind of the actor, such as `human` or `agent`, if there is an actor.
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

/// Why a text is not a routing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRouting {
    /// It does not have three parts.
    #[error("is not written as tenant/env/thread")]
    Shape,
    /// The first part is not a tenant.
    #[error("the tenant {0}")]
    Tenant(#[source] InvalidId),
    /// The second part is not an env.
    #[error("the env {0}")]
    Env(#[source] InvalidId),
    /// The third part is not a thread.
    #[error("the thread {0}")]
    Thread(#[source] InvalidId),
}

impl FromStr for Routing {
    type Err = InvalidRouting;

    /// Parses the text of [`to_path`](Self::to_path). The routing has no actor.
    fn from_str(text: &str) -> Result<Self, InvalidRouting> {
        let mut parts = text.split('/');
        let (Some(tenant), Some(env), Some(thread), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidRouting::Shape);
        };
        Ok(Self::new(
            TenantId::new(tenant).map_err(InvalidRouting::Tenant)?,
            Env::new(env).map_err(InvalidRouting::Env)?,
            ThreadId::new(thread).map_err(InvalidRouting::Thread)?,
        ))
    }
}

impl Routing {
    /// Writes the value of `routing` in the envelope. A subject may need escaping. The other ids do not.
    pub(super) fn push_json(&self, out: &mut String) {
        push(out, [r#"{"tenant_id":""#, self.tenant().as_str()]);
        push(out, [r#"","env":""#, self.env().as_str()]);
        push(out, [r#"","thread_id":""#, self.thread().as_str(), r#"""#]);
        if let Some((id, kind)) = &self.actor {
            out.push_str(r#","actor_id":"#);
            // The serialization of a string cannot fail.
            out.push_str(&serde_json::to_string(id).unwrap_or_default());
            push(out, [r#","actor_type":""#, kind.as_str(), r#"""#]);
        }
        out.push('}');
    }
}
