//! The key of a thread.

use super::names::{Env, TenantId, ThreadId};
use std::{fmt, sync::Arc};

/// Names one thread of one tenant in one env: the key of a log or a map.
///
/// Two keys are equal only if all three parts are, whatever the parts contain: nothing is
/// concatenated. An engine that needs text gets an injective one from [`ThreadKey::to_path`].
/// A log gets one from a grant that reads; there is no public constructor.
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

    /// Whose thread this is.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        &self.0.tenant
    }

    /// The env that the thread lives in.
    #[must_use]
    pub fn env(&self) -> &Env {
        &self.0.env
    }

    /// The thread's id inside its tenant and env.
    #[must_use]
    pub fn thread(&self) -> &ThreadId {
        &self.0.thread
    }

    /// `tenant/env/thread`: different keys give different texts, since no part can hold a `/`. No part
    /// is empty, `.` or `..`, so that it can also name a file or a resource.
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
