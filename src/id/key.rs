//! The key of a thread.

use super::names::{Env, TenantId, ThreadId};
use std::{fmt, sync::Arc};

/// Names one thread of one tenant in one env. It is the key of a thread in a log.
///
/// Two keys are equal only if tenant, env and thread are equal. An engine that needs a text uses
/// [`ThreadKey::to_path`]: different keys give different texts.
///
/// There is no public constructor: with a key, code can read the thread's log. A log gets the key from
/// a grant.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ThreadKey(Arc<Names>);

#[derive(PartialEq, Eq, Hash)]
struct Names {
    tenant: TenantId,
    env: Env,
    thread: ThreadId,
}

impl ThreadKey {
    pub(crate) fn new(tenant: TenantId, env: Env, thread: ThreadId) -> Self {
        Self(Arc::new(Names { tenant, env, thread }))
    }

    /// The tenant that the thread belongs to.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        &self.0.tenant
    }

    /// The env that the thread belongs to.
    #[must_use]
    pub fn env(&self) -> &Env {
        &self.0.env
    }

    /// The thread's id inside its tenant and env.
    #[must_use]
    pub fn thread(&self) -> &ThreadId {
        &self.0.thread
    }

    /// `tenant/env/thread`. Different keys give different texts, because no part can contain a `/`. No
    /// part is empty, `.` or `..`, so the text is also safe as a file path or a URL path.
    #[must_use]
    pub fn to_path(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for ThreadKey {
    /// The same text as [`to_path`](ThreadKey::to_path).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.tenant(), self.env(), self.thread())
    }
}

impl fmt::Debug for ThreadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ThreadKey").field(&self.to_path()).finish()
    }
}
