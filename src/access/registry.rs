//! What a registry answers, and the question that it is asked.

use super::roster::{OpenTo, Roster};
use crate::{
    auth::AuthContext,
    event::Routing,
    id::{Env, TenantId, ThreadId, ThreadKey},
    rejection::BoxError,
};
use std::{future::Future, sync::Arc};

/// A thread as its registry knows it. Clones are one record.
///
/// A grant keeps the record that it was made from, and asks it again before each event: a registry
/// that keeps its records, as [`MemoryRegistry`](super::MemoryRegistry) does, ends the streams of a
/// member that it removes.
#[derive(Clone, Debug)]
pub struct ThreadRecord {
    key: ThreadKey,
    roster: Arc<Roster>,
}

/// Somebody who may use a thread that is not open to its whole tenant and env.
///
/// An issuer names its subjects as it likes: `sub` is unique within one issuer only ([RFC 7519
/// section 4.1.2]). Where the tokens of several issuers are accepted, say which issuer is meant
/// ([`SubjectOf`](Self::SubjectOf)), or that it does not matter
/// ([`UniqueSubject`](Self::UniqueSubject)).
///
/// [RFC 7519 section 4.1.2]: https://www.rfc-editor.org/rfc/rfc7519#section-4.1.2
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Member {
    /// The caller whose token names this subject, and was issued by this issuer.
    SubjectOf {
        /// The `iss` of the token. A token that names no issuer does not match.
        issuer: String,
        /// The subject of the token.
        subject: String,
    },
    /// The caller whose token names this subject, whichever trusted issuer says so. The application
    /// vouches that no two of its issuers give one subject to two people: it has one issuer, or its
    /// issuers use UUIDs.
    UniqueSubject(String),
    /// Callers whose token has this role, whichever trusted issuer says so.
    Role(String),
}

impl Member {
    /// The subject of one issuer.
    pub fn subject_of(issuer: impl Into<String>, subject: impl Into<String>) -> Self {
        Self::SubjectOf { issuer: issuer.into(), subject: subject.into() }
    }

    /// The subject, whichever trusted issuer names it: see [`UniqueSubject`](Self::UniqueSubject).
    pub fn unique_subject(subject: impl Into<String>) -> Self {
        Self::UniqueSubject(subject.into())
    }

    /// Callers that have this role.
    pub fn role(role: impl Into<String>) -> Self {
        Self::Role(role.into())
    }
}

impl ThreadRecord {
    /// A thread that is open to everybody in its tenant and env.
    #[must_use]
    pub fn new(tenant: TenantId, env: Env, thread: ThreadId) -> Self {
        Self::of(ThreadKey::new(tenant, env, thread))
    }

    fn of(key: ThreadKey) -> Self {
        Self { key, roster: Arc::new(Roster::new(OpenTo::Everybody)) }
    }

    /// The same thread, closed to everybody but `members`. An empty list closes it to all.
    #[must_use]
    pub fn with_members(self, members: impl IntoIterator<Item = Member>) -> Self {
        let members = OpenTo::Members(Arc::new(members.into_iter().collect()));
        Self { key: self.key, roster: Arc::new(Roster::new(members)) }
    }

    pub(super) fn key(&self) -> &ThreadKey {
        &self.key
    }

    pub(super) fn into_parts(self) -> (ThreadKey, Arc<Roster>) {
        (self.key, self.roster)
    }

    /// Whether both records are open to the same members.
    pub(super) fn has_members_of(&self, other: &Self) -> bool {
        self.roster.open_to() == other.roster.open_to()
    }

    /// Takes the members of `other`. Streams of callers that are no members any more end. Does
    /// nothing, and says so, if the thread was closed.
    pub(super) fn take_members_of(&self, other: &Self) -> bool {
        self.roster.open(other.roster.open_to())
    }

    /// Closes the thread to everybody, for good. All of its streams end.
    pub(super) fn close(&self) {
        self.roster.close();
    }

    /// A record of its own, of the same thread and members: whatever became of this one.
    pub(super) fn renewed(&self) -> Self {
        Self { key: self.key.clone(), roster: Arc::new(Roster::new(self.roster.open_to())) }
    }

    pub(super) fn admits(&self, auth: &AuthContext) -> bool {
        self.roster.admits(auth)
    }
}

impl From<&Routing> for ThreadRecord {
    /// The thread that the routing names, open to everybody in its tenant and env.
    fn from(routing: &Routing) -> Self {
        Self::of(routing.key().clone())
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
    /// The record tells to whom the thread really belongs, as the registry stores it. It is compared
    /// with what was asked for, so a registry with global ids is safe too. A registry that finds a
    /// thread by its id alone and returns its owner lets the log tell an attempt on another tenant
    /// from a stale link. To the client both are the same.
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
