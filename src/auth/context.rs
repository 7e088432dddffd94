//! The auth context: what a token proves about the caller.

use super::{revocation::Revocation, texts::Texts};
use crate::{
    clock::{self, Clock},
    id::{ActorType, Env, Subject, TenantId, Text, ThreadId},
    rejection::{Rejection, RejectionKind},
};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

/// What a token proves about the caller, or another credential that an
/// [`Authenticator`](super::Authenticator) accepts.
///
/// Cloning is cheap. A context that you make yourself grants nothing: only the context that the layer stored
/// on the request counts.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tower_tenancy::{AuthContext, Subject};
///
/// let in_ten_minutes = SystemTime::now() + Duration::from_secs(600);
/// let auth = AuthContext::new(Subject::new("auth0|ada")?, in_ten_minutes)
///     .with_tenants(["t_alpha"])
///     .with_envs(["prod"])
///     .with_roles(["editor"]);
/// assert!(auth.has_role("editor") && auth.remaining().is_ok());
/// # Ok::<(), tower_tenancy::id::InvalidId>(())
/// ```
#[derive(Clone, Debug)]
pub struct AuthContext(pub(crate) Arc<Proven>);

/// The fields of an [`AuthContext`]. A ticket keeps a copy of some fields: if you add a field, decide in
/// `ticket::TicketRecord` whether the ticket keeps it.
#[derive(Clone, Debug)]
pub(crate) struct Proven {
    pub(crate) subject: Subject,
    pub(crate) expires_at: SystemTime,
    pub(crate) leeway: Duration,
    pub(crate) issuer: Option<Text>,
    pub(crate) issued_at: Option<SystemTime>,
    pub(crate) audiences: Texts,
    pub(crate) is_access_token: bool,
    pub(crate) tenants: Texts,
    pub(crate) envs: Texts,
    pub(crate) roles: Texts,
    pub(crate) scopes: Texts,
    pub(crate) actor_type: Option<ActorType>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) revocations: Vec<Revocation>,
    pub(crate) ticket: Option<Bound>,
}

/// The tenant, env and thread that a ticket is limited to. A request with a token names them itself.
#[derive(Clone, Debug)]
pub(crate) struct Bound {
    pub(crate) tenant: TenantId,
    pub(crate) env: Env,
    pub(crate) thread: ThreadId,
    /// Whether the ticket has opened a stream before. If so, it can only continue where that stream stopped.
    pub(crate) reopens: bool,
}

fn texts<T: Into<String>>(all: impl IntoIterator<Item = T>) -> Texts {
    all.into_iter().map(|text| Text::from(&*text.into())).collect()
}

impl AuthContext {
    /// A context that proves who the caller is, until `expires_at`. It names no tenant and no env yet.
    #[must_use]
    pub fn new(subject: Subject, expires_at: SystemTime) -> Self {
        Self(Arc::new(Proven {
            subject,
            expires_at,
            leeway: Duration::ZERO,
            issuer: None,
            issued_at: None,
            audiences: Texts::default(),
            is_access_token: false,
            tenants: Texts::default(),
            envs: Texts::default(),
            roles: Texts::default(),
            scopes: Texts::default(),
            actor_type: None,
            clock: clock::system(),
            revocations: Vec::new(),
            ticket: None,
        }))
    }

    fn with(mut self, change: impl FnOnce(&mut Proven)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// The tenants that the caller may name.
    #[must_use]
    pub fn with_tenants<T: Into<String>>(self, tenants: impl IntoIterator<Item = T>) -> Self {
        self.with(|proven| proven.tenants = texts(tenants))
    }

    /// The envs that the caller may name.
    #[must_use]
    pub fn with_envs<T: Into<String>>(self, envs: impl IntoIterator<Item = T>) -> Self {
        self.with(|proven| proven.envs = texts(envs))
    }

    /// The roles of the caller.
    #[must_use]
    pub fn with_roles<T: Into<String>>(self, roles: impl IntoIterator<Item = T>) -> Self {
        self.with(|proven| proven.roles = texts(roles))
    }

    /// The scopes that the token was issued for.
    #[must_use]
    pub fn with_scopes<T: Into<String>>(self, scopes: impl IntoIterator<Item = T>) -> Self {
        self.with(|proven| proven.scopes = texts(scopes))
    }

    /// The issuer of the proof.
    #[must_use]
    pub fn with_issuer(self, issuer: impl Into<String>) -> Self {
        self.with(|proven| proven.issuer = Some(Text::from(&*issuer.into())))
    }

    /// When the proof was issued.
    #[must_use]
    pub fn with_issued_at(self, time: SystemTime) -> Self {
        self.with(|proven| proven.issued_at = Some(time))
    }

    /// The audiences that the proof is meant for.
    #[must_use]
    pub fn with_audiences<T: Into<String>>(self, audiences: impl IntoIterator<Item = T>) -> Self {
        self.with(|proven| proven.audiences = texts(audiences))
    }

    /// Whether the proof is an access token of RFC 9068: its `typ` is `at+jwt` (section 2.1), and it has all
    /// claims of section 2.2.
    #[must_use]
    pub fn with_access_token(self, is_access_token: bool) -> Self {
        self.with(|proven| proven.is_access_token = is_access_token)
    }

    /// What the caller is, such as `human` or `agent`. It becomes `routing.actor_type` of the events that the
    /// caller publishes.
    #[must_use]
    pub fn with_actor_type(self, actor_type: ActorType) -> Self {
        self.with(|proven| proven.actor_type = Some(actor_type))
    }

    /// How long the proof is still valid after [`expires_at`](Self::expires_at), because clocks differ.
    #[must_use]
    pub fn with_leeway(self, leeway: Duration) -> Self {
        self.with(|proven| proven.leeway = leeway)
    }

    /// The clock that decides whether the proof has expired, here and in every stream that the caller opens
    /// with it.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        self.with(|proven| proven.clock = clock)
    }

    /// Adds a switch that withdraws the proof before it expires, here and in every stream that the caller
    /// opens with it. Use it when a session ends or a member leaves, for example. If there are several
    /// switches, each of them withdraws the proof.
    #[must_use]
    pub fn with_revocation(self, revocation: Revocation) -> Self {
        self.with(|proven| proven.revocations.push(revocation))
    }

    /// How many bytes the proof keeps in memory. Memory that is shared with others does not count.
    #[cfg(feature = "token-cache")]
    pub(crate) fn heap_bytes(&self) -> usize {
        use crate::id::{ALLOCATION, kept_aside};

        // Name each field, so that a new field does not compile until somebody decides how to count it.
        let Proven {
            subject,
            expires_at: _,
            leeway: _,
            issuer,
            issued_at: _,
            audiences,
            is_access_token: _,
            tenants,
            envs,
            roles,
            scopes,
            actor_type,
            // Shared with others.
            clock: _,
            revocations,
            // The proof of a token has no ticket, and only proofs of tokens are cached.
            ticket: _,
        } = &*self.0;
        // An `Arc` has two counters.
        let proven = 2 * size_of::<usize>() + size_of::<Proven>() + ALLOCATION;
        let issuer = issuer.as_ref().map_or(0, Text::heap_bytes);
        let actor_type = actor_type.as_ref().map_or(0, |kind| kept_aside(kind.as_str()));
        let revocations = revocations.capacity() * size_of::<Revocation>() + ALLOCATION;
        let lists = [audiences, tenants, envs, roles, scopes];
        let lists: usize = lists.into_iter().map(Texts::heap_bytes).sum();
        proven + kept_aside(subject.as_str()) + issuer + actor_type + revocations + lists
    }

    /// What the proof is limited to, if it comes from a ticket.
    pub(crate) fn ticket(&self) -> Option<&Bound> {
        self.0.ticket.as_ref()
    }

    pub(crate) fn revocations(&self) -> &[Revocation] {
        &self.0.revocations
    }

    /// Whether the proof was withdrawn.
    pub(crate) fn is_revoked(&self) -> bool {
        self.0.revocations.iter().any(Revocation::is_revoked)
    }

    /// The caller.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.0.subject
    }

    /// When the proof expires, without the leeway.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        self.0.expires_at
    }

    /// The end of the proof: [`expires_at`](Self::expires_at) plus the leeway.
    #[must_use]
    pub fn valid_until(&self) -> SystemTime {
        self.0.expires_at.checked_add(self.0.leeway).unwrap_or(self.0.expires_at)
    }

    /// How long the proof is still valid.
    ///
    /// # Errors
    ///
    /// `auth.expired` if the proof has expired, `access.revoked` if it was withdrawn.
    pub fn remaining(&self) -> Result<Duration, Rejection> {
        if self.is_revoked() {
            let rejection = Rejection::new(RejectionKind::AccessRevoked);
            return Err(rejection.with_source("the proof was withdrawn"));
        }
        match self.valid_until().duration_since(self.0.clock.now()) {
            Ok(left) if !left.is_zero() => Ok(left),
            _ => Err(RejectionKind::AuthExpired.into()),
        }
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.clock
    }

    /// The tenants that the caller may name, spelled as in the token.
    pub fn tenants(&self) -> impl Iterator<Item = &str> {
        self.0.tenants.iter().map(Text::as_str)
    }

    /// The envs that the caller may name, spelled as in the token.
    pub fn envs(&self) -> impl Iterator<Item = &str> {
        self.0.envs.iter().map(Text::as_str)
    }

    /// The roles of the caller.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.0.roles.iter().map(Text::as_str)
    }

    /// Whether the caller has `role`.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.roles().any(|has| has == role)
    }

    /// The scopes that the token was issued for.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.0.scopes.iter().map(Text::as_str)
    }

    /// Whether the token was issued for `scope`.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes().any(|has| has == scope)
    }

    /// The issuer, if the token names it.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.0.issuer.as_ref().map(Text::as_str)
    }

    /// When the token was issued, if the token says so.
    #[must_use]
    pub fn issued_at(&self) -> Option<SystemTime> {
        self.0.issued_at
    }

    /// The audiences that the token is meant for.
    pub fn audiences(&self) -> impl Iterator<Item = &str> {
        self.0.audiences.iter().map(Text::as_str)
    }

    /// Whether the token is an access token of RFC 9068: its `typ` is `at+jwt` (section 2.1), and it
    /// has all claims of section 2.2.
    #[must_use]
    pub fn is_access_token(&self) -> bool {
        self.0.is_access_token
    }

    /// What the caller is, such as `human` or `agent`, if the token says so.
    #[must_use]
    pub fn actor_type(&self) -> Option<&ActorType> {
        self.0.actor_type.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::AuthContext;
    use crate::{clock::from_unix, id::Subject};
    use std::time::Duration;

    #[test]
    fn leeway_extends_validity_and_never_overflows() {
        let subject = Subject::new("u").unwrap();
        let auth = AuthContext::new(subject.clone(), from_unix(100));
        let auth = auth.with_leeway(Duration::from_secs(60));
        assert_eq!(auth.valid_until(), from_unix(160));
        let forever = AuthContext::new(subject, from_unix(u64::MAX)).with_leeway(Duration::MAX);
        assert_eq!(forever.valid_until(), forever.expires_at());
    }
}
