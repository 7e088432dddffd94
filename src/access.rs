//! Who may use a thread: the check that alone makes a [`ThreadGrant`].

use crate::{
    auth::AuthContext,
    event::{Routing, StampedEvent, StreamEvent},
    id::{ActorType, Env, TenantId, ThreadId, ThreadKey},
    rejection::{BoxError, Chain, Rejection, RejectionKind},
    scope::TenantScope,
};
use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, OnceLock, PoisonError, RwLock},
};

/// A thread as its registry knows it.
#[derive(Clone, Debug)]
pub struct ThreadRecord {
    key: ThreadKey,
    members: Option<Vec<Member>>,
}

/// Who may use a thread that is not open to its whole tenant and env.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Member {
    /// The caller whose token names this subject.
    Subject(String),
    /// Callers whose token has this role.
    Role(String),
}

impl ThreadRecord {
    /// A thread that is open to everybody in its tenant and env.
    #[must_use]
    pub fn new(tenant: TenantId, env: Env, thread: ThreadId) -> Self {
        Self { key: ThreadKey::new(tenant, env, thread), members: None }
    }

    /// Closes the thread to everybody but `members`; an empty list closes it to all.
    #[must_use]
    pub fn with_members(mut self, members: impl IntoIterator<Item = Member>) -> Self {
        self.members = Some(members.into_iter().collect());
        self
    }

    fn admits(&self, auth: &AuthContext) -> bool {
        self.members.as_ref().is_none_or(|members| {
            members.iter().any(|member| match member {
                Member::Subject(subject) => subject == auth.subject().as_str(),
                Member::Role(role) => auth.has_role(role),
            })
        })
    }
}

impl From<&Routing> for ThreadRecord {
    /// The thread that the routing names, open to everybody in its tenant and env.
    fn from(routing: &Routing) -> Self {
        Self { key: routing.key().clone(), members: None }
    }
}

/// Where threads are known: the application's database, behind one question.
///
/// ```
/// use tower_tenancy::{BoxError, Env, TenantId, ThreadId, ThreadRecord, ThreadRegistry};
///
/// struct Database;
///
/// impl ThreadRegistry for Database {
///     async fn find(
///         &self,
///         tenant: &TenantId,
///         env: &Env,
///         thread: &ThreadId,
///     ) -> Result<Option<ThreadRecord>, BoxError> {
///         // SELECT tenant, env, id FROM threads WHERE tenant = $1 AND env = $2 AND id = $3
///         Ok(Some(ThreadRecord::new(tenant.clone(), env.clone(), thread.clone())))
///     }
/// }
/// ```
pub trait ThreadRegistry: Send + Sync {
    /// The thread of this tenant and env, or `None` if they have no such thread.
    ///
    /// The record tells whose the thread really is, as the registry stores it: it is compared with
    /// what was asked for, so that a registry with global ids is safe too. One that finds a thread
    /// by its id alone and returns its owner lets the log tell an attempt on another tenant from a
    /// stale link; to the client both are the same.
    ///
    /// Nothing here limits how long the answer may take.
    ///
    /// # Errors
    ///
    /// The registry cannot tell right now. That is never an answer of "no": the request is refused
    /// with `registry.unavailable`.
    fn find(
        &self,
        tenant: &TenantId,
        env: &Env,
        thread: &ThreadId,
    ) -> impl Future<Output = Result<Option<ThreadRecord>, BoxError>> + Send;
}

impl<R: ThreadRegistry> ThreadRegistry for Arc<R> {
    async fn find(
        &self,
        tenant: &TenantId,
        env: &Env,
        thread: &ThreadId,
    ) -> Result<Option<ThreadRecord>, BoxError> {
        (**self).find(tenant, env, thread).await
    }
}

/// A registry in memory, for examples, tests and single-node services. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct MemoryRegistry(Arc<RwLock<HashMap<ThreadKey, ThreadRecord>>>);

impl MemoryRegistry {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers a thread, unless it is there. Says whether it is new.
    pub fn register(&self, thread: impl Into<ThreadRecord>) -> bool {
        let record = thread.into();
        let mut threads = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut new = false;
        threads.entry(record.key.clone()).or_insert_with(|| {
            new = true;
            record
        });
        new
    }

    /// Forgets a thread. Says whether it was there. Streams that are open go on.
    pub fn remove(&self, tenant: &TenantId, env: &Env, thread: &ThreadId) -> bool {
        let key = ThreadKey::new(tenant.clone(), env.clone(), thread.clone());
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&key).is_some()
    }
}

impl ThreadRegistry for MemoryRegistry {
    async fn find(
        &self,
        tenant: &TenantId,
        env: &Env,
        thread: &ThreadId,
    ) -> Result<Option<ThreadRecord>, BoxError> {
        let key = ThreadKey::new(tenant.clone(), env.clone(), thread.clone());
        Ok(self.0.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned())
    }
}

/// Something that names a thread, such as a path parameter.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not name a thread",
    note = "`ThreadId`, `String` and `str` do; implement `NamesThread` for your path parameters"
)]
pub trait NamesThread {
    /// The thread's id, as the client wrote it.
    fn thread_id(&self) -> &str;
}

impl NamesThread for str {
    fn thread_id(&self) -> &str {
        self
    }
}

impl NamesThread for String {
    fn thread_id(&self) -> &str {
        self
    }
}

impl NamesThread for ThreadId {
    fn thread_id(&self) -> &str {
        self.as_str()
    }
}

/// Checks that the scope may use the thread, now.
///
/// The registry is asked within the scope's tenant and env, and what it returns is compared with
/// them once more.
///
/// ```
/// use tower_tenancy::{MemoryRegistry, Rejection, TenantScope, ThreadGrant, verify_thread_access};
///
/// async fn grant(threads: &MemoryRegistry, scope: &TenantScope) -> Result<ThreadGrant, Rejection> {
///     verify_thread_access(threads, scope, "th-1").await
/// }
/// ```
///
/// # Errors
///
/// `thread.forbidden` if there is no such thread, it is another tenant's or env's, or the caller
/// is no member: all the same to the client, told apart in the log. `auth.expired` if the scope is
/// older than its token. `registry.unavailable` if the registry cannot tell.
pub async fn verify_thread_access<R, T>(
    registry: &R,
    scope: &TenantScope,
    thread: &T,
) -> Result<ThreadGrant, Rejection>
where
    R: ThreadRegistry + ?Sized,
    T: NamesThread + ?Sized,
{
    let refuse = |thread: &str, reason: &'static str, owner: Option<&ThreadKey>| {
        tracing::warn!(
            code = RejectionKind::ThreadForbidden.code(),
            reason,
            tenant = %scope.tenant(),
            env = %scope.env(),
            thread,
            owner = owner.map(|key| tracing::field::display(key.to_path())),
            subject = %scope.subject(),
            request_id = %scope.request_id(),
            "request refused"
        );
        Err(Rejection::new(RejectionKind::ThreadForbidden).with_source(reason).already_logged())
    };

    // A scope may have been kept: it is proof of a moment.
    scope.auth().remaining()?;
    // An id that cannot exist is unknown, like any other that does not.
    let Ok(id) = ThreadId::new(thread.thread_id()) else {
        return refuse("", "the thread id is malformed", None);
    };
    if scope.auth().ticket().is_some_and(|bound| bound.thread != id) {
        return refuse(id.as_str(), "the ticket is for another thread", None);
    }
    let found = registry.find(scope.tenant(), scope.env(), &id).await.map_err(|error| {
        tracing::error!(
            tenant = %scope.tenant(),
            env = %scope.env(),
            thread = %id,
            request_id = %scope.request_id(),
            error = %Chain(&*error),
            "the thread registry does not answer"
        );
        Rejection::new(RejectionKind::RegistryUnavailable).with_source(error).already_logged()
    })?;
    let Some(record) = found else {
        return refuse(id.as_str(), "the thread is unknown", None);
    };
    let asked = ThreadKey::new(scope.tenant().clone(), scope.env().clone(), id);
    if record.key != asked {
        return refuse(asked.thread().as_str(), "the thread is foreign", Some(&record.key));
    }
    if !record.admits(scope.auth()) {
        return refuse(asked.thread().as_str(), "the caller is no member", None);
    }
    // The registry's own key: grants of one thread then share it, and compare by its address.
    Ok(ThreadGrant::new(scope.clone(), record.key))
}

/// Permission for one request to use one thread, checked a moment ago.
///
/// Only [`verify_thread_access`] makes one. It is not cloned, and feeding a stream consumes it:
/// one grant, one stream.
#[derive(Debug)]
#[must_use]
pub struct ThreadGrant {
    scope: TenantScope,
    key: ThreadKey,
    /// For who publishes. A grant that only reads never makes one.
    routing: OnceLock<Arc<Routing>>,
}

impl ThreadGrant {
    fn new(scope: TenantScope, key: ThreadKey) -> Self {
        Self { scope, key, routing: OnceLock::new() }
    }

    /// The scope that the grant was made in.
    #[must_use]
    pub fn scope(&self) -> &TenantScope {
        &self.scope
    }

    /// The routing of what the caller publishes into the thread: its tenant, env and thread, and
    /// the caller as actor. The actor is a `human` unless the token says otherwise.
    #[must_use]
    pub fn routing(&self) -> &Arc<Routing> {
        self.routing.get_or_init(|| {
            let routing = Routing::of(self.key.clone());
            let kind = self.scope.auth().actor_type().cloned();
            Arc::new(match kind.map_or_else(|| ActorType::new("human"), Ok) {
                Ok(kind) => routing.with_actor(self.scope.subject().clone(), kind),
                Err(_) => routing,
            })
        })
    }

    pub(crate) fn key(&self) -> &ThreadKey {
        &self.key
    }

    /// Checks that `event` belongs to this thread, and stamps it with the id of this request.
    ///
    /// # Errors
    ///
    /// The event, if it belongs to another thread.
    pub fn stamp(&self, event: StreamEvent) -> Result<StampedEvent, StreamEvent> {
        if event.routing().key() == self.key() {
            Ok(StampedEvent::new(event, self.scope.request_id().clone()))
        } else {
            Err(event)
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{
        Member, MemoryRegistry, ThreadGrant, ThreadRecord, ThreadRegistry, verify_thread_access,
    };
    use crate::{
        clock::manual::ManualClock,
        event::tests::routing,
        id::{Env, TenantId, ThreadId, ThreadKey},
        rejection::BoxError,
        scope::{TenantScope, tests as scopes},
    };
    use std::time::Duration;

    pub(crate) fn record(tenant: &str, thread: &str) -> ThreadRecord {
        (&*routing(tenant, thread)).into()
    }

    pub(crate) fn grant(scope: TenantScope, thread: &str) -> ThreadGrant {
        let thread = ThreadId::new(thread).unwrap();
        let key = ThreadKey::new(scope.tenant().clone(), scope.env().clone(), thread);
        ThreadGrant::new(scope, key)
    }

    /// Ignores what it is asked for, as a registry with global ids would.
    struct Answers(Result<Option<ThreadRecord>, &'static str>);

    impl ThreadRegistry for Answers {
        async fn find(
            &self,
            _: &TenantId,
            _: &Env,
            _: &ThreadId,
        ) -> Result<Option<ThreadRecord>, BoxError> {
            self.0.clone().map_err(Into::into)
        }
    }

    async fn verify(registry: &impl ThreadRegistry, thread: &str) -> Result<(), String> {
        let scope = scopes::scope("t_a");
        let grant = verify_thread_access(registry, &scope, thread).await;
        grant.map(|_| ()).map_err(|rejection| rejection.to_string())
    }

    #[tokio::test]
    async fn own_thread_is_granted_and_the_same_id_elsewhere_is_another_thread() {
        let registry = MemoryRegistry::new();
        assert!(registry.register(record("t_a", "th")));
        assert!(!registry.register(record("t_a", "th")), "it was there");
        assert!(registry.register(record("t_b", "th")), "another tenant's is another thread");
        assert!(registry.register(record("t_b", "foreign")));
        verify(&registry, "th").await.unwrap();

        let forbidden = verify(&registry, "foreign").await.unwrap_err();
        assert!(forbidden.starts_with("thread.forbidden"));
        for same in ["unknown", "", "mal formed", "../th"] {
            assert_eq!(verify(&registry, same).await.as_ref(), Err(&forbidden), "{same}");
        }
    }

    #[tokio::test]
    async fn what_the_registry_returns_is_compared_again() {
        let forbidden = verify(&Answers(Ok(None)), "th").await.unwrap_err();
        let foreign = Answers(Ok(Some(record("t_b", "th"))));
        assert_eq!(verify(&foreign, "th").await.as_ref(), Err(&forbidden));
        let other_thread = Answers(Ok(Some(record("t_a", "other"))));
        assert_eq!(verify(&other_thread, "th").await.as_ref(), Err(&forbidden));
        verify(&Answers(Ok(Some(record("t_a", "th")))), "th").await.unwrap();
    }

    #[tokio::test]
    async fn a_registry_that_cannot_tell_is_not_a_no() {
        let error = verify(&Answers(Err("connection reset")), "th").await.unwrap_err();
        assert!(error.starts_with("registry.unavailable"));
        assert!(!error.contains("connection reset"));
    }

    #[tokio::test]
    async fn a_kept_scope_is_no_permission_once_its_token_is_over() {
        let clock = ManualClock::at(1000);
        let auth = scopes::auth(&["t_a"], &["prod"]).with_clock(clock.shared());
        let scope = TenantScope::agree(&scopes::request("t_a", "prod"), &auth).unwrap();
        let registry = MemoryRegistry::new();
        registry.register(record("t_a", "th"));
        assert!(verify_thread_access(&registry, &scope, "th").await.is_ok());
        clock.advance(Duration::from_secs(u64::from(u32::MAX) * 100));
        let refused = verify_thread_access(&registry, &scope, "th").await.unwrap_err();
        assert_eq!(refused.code(), "auth.expired");
    }

    #[tokio::test]
    async fn a_removed_thread_is_unknown() {
        let registry = MemoryRegistry::new();
        registry.register(record("t_a", "th"));
        verify(&registry, "th").await.unwrap();
        let scope = scopes::scope("t_a");
        let thread = ThreadId::new("th").unwrap();
        assert!(registry.remove(scope.tenant(), scope.env(), &thread));
        assert!(!registry.remove(scope.tenant(), scope.env(), &thread));
        assert!(verify(&registry, "th").await.unwrap_err().starts_with("thread.forbidden"));
    }

    #[tokio::test]
    async fn members_are_named_by_subject_or_role() {
        let scope = |roles: &[&str]| {
            let auth = scopes::auth(&["t_a"], &["prod"]).with_roles(roles.iter().copied());
            TenantScope::agree(&scopes::request("t_a", "prod"), &auth).unwrap()
        };
        let subject = |name: &str| Member::Subject(name.into());
        let role = |name: &str| Member::Role(name.into());
        for (members, roles, admitted) in [
            (vec![subject("ada")], vec![], true),
            (vec![subject("bob"), role("ops")], vec!["ops"], true),
            (vec![subject("bob"), role("ops")], vec!["dev"], false),
            (vec![role("ada")], vec![], false),
            (vec![], vec!["ops"], false),
        ] {
            let record = record("t_a", "th").with_members(members.clone());
            let granted =
                verify_thread_access(&Answers(Ok(Some(record))), &scope(&roles), "th").await;
            assert_eq!(granted.is_ok(), admitted, "{members:?} {roles:?}");
        }
    }
}
