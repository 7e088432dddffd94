//! What a proof says about the caller.

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

/// What a token, or whatever else an [`Authenticator`] accepts, proves about the caller.
///
/// Cloning is cheap. Making one grants nothing: only what the layer in front of a handler found
/// counts.
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

/// What a token proves. A ticket carries it on: whoever adds a field decides there whether the
/// ticket has it, too (`ticket::TicketRecord`).
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

/// What a ticket is good for: it names what a request with a token names in headers.
#[derive(Clone, Debug)]
pub(crate) struct Bound {
    pub(crate) tenant: TenantId,
    pub(crate) env: Env,
    pub(crate) thread: ThreadId,
    /// The ticket has opened a stream before, and only goes on where that one stopped.
    pub(crate) reopens: bool,
}

fn texts<T: Into<String>>(all: impl IntoIterator<Item = T>) -> Texts {
    all.into_iter().map(|text| Text::from(&*text.into())).collect()
}

impl AuthContext {
    /// Proves who the caller is, until when, and nothing else yet.
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

    /// The roles that the application may ask for.
    #[must_use]
    pub fn with_roles<T: Into<String>>(self, roles: impl IntoIterator<Item = T>) -> Self {
        self.with(|proven| proven.roles = texts(roles))
    }

    /// The scopes that the application may ask for: what the token was issued to do.
    #[must_use]
    pub fn with_scopes<T: Into<String>>(self, scopes: impl IntoIterator<Item = T>) -> Self {
        self.with(|proven| proven.scopes = texts(scopes))
    }

    /// Who issued the proof.
    #[must_use]
    pub fn with_issuer(self, issuer: impl Into<String>) -> Self {
        self.with(|proven| proven.issuer = Some(Text::from(&*issuer.into())))
    }

    /// When the proof was issued.
    #[must_use]
    pub fn with_issued_at(self, time: SystemTime) -> Self {
        self.with(|proven| proven.issued_at = Some(time))
    }

    /// Whom the proof is meant for.
    #[must_use]
    pub fn with_audiences<T: Into<String>>(self, audiences: impl IntoIterator<Item = T>) -> Self {
        self.with(|proven| proven.audiences = texts(audiences))
    }

    /// Whether the proof is an access token of RFC 9068: its `typ` is `at+jwt` (section 2.1), and it
    /// has all claims of section 2.2.
    #[must_use]
    pub fn with_access_token(self, is_access_token: bool) -> Self {
        self.with(|proven| proven.is_access_token = is_access_token)
    }

    /// What the caller is, such as `human` or `agent`: `routing.actor_type` of what it publishes.
    #[must_use]
    pub fn with_actor_type(self, actor_type: ActorType) -> Self {
        self.with(|proven| proven.actor_type = Some(actor_type))
    }

    /// How long after [`expires_at`](Self::expires_at) the proof still holds, for clocks that
    /// differ.
    #[must_use]
    pub fn with_leeway(self, leeway: Duration) -> Self {
        self.with(|proven| proven.leeway = leeway)
    }

    /// The clock that the expiry is held against, here and in every stream opened with the proof.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        self.with(|proven| proven.clock = clock)
    }

    /// What withdraws the proof before its time, here and in every stream opened with it: a
    /// session that ends, a member who leaves. Of several, any does.
    #[must_use]
    pub fn with_revocation(self, revocation: Revocation) -> Self {
        self.with(|proven| proven.revocations.push(revocation))
    }

    /// What is kept of the proof, in bytes, everything that it alone keeps included.
    #[cfg(feature = "token-cache")]
    pub(crate) fn kept(&self) -> usize {
        use crate::id::{ALLOCATION, kept_aside};

        // Each field is named, so that nobody adds one without a thought of what it keeps.
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
            // Others keep it as well.
            clock: _,
            revocations,
            // A token's proof has none.
            ticket: _,
        } = &*self.0;
        // The counters of its `Arc`.
        let proven = 2 * size_of::<usize>() + size_of::<Proven>() + ALLOCATION;
        let issuer = issuer.as_ref().map_or(0, Text::heap_bytes);
        let actor_type = actor_type.as_ref().map_or(0, |kind| kept_aside(kind.as_str()));
        let revocations = revocations.capacity() * size_of::<Revocation>() + ALLOCATION;
        let lists = [audiences, tenants, envs, roles, scopes];
        let lists: usize = lists.into_iter().map(Texts::heap_bytes).sum();
        proven + kept_aside(subject.as_str()) + issuer + actor_type + revocations + lists
    }

    /// What the proof is limited to, if it is a ticket's.
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

    /// Who the caller is.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.0.subject
    }

    /// When the proof ends, as the token says it.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        self.0.expires_at
    }

    /// When the proof stops to hold here: [`expires_at`](Self::expires_at) plus the leeway.
    #[must_use]
    pub fn valid_until(&self) -> SystemTime {
        self.0.expires_at.checked_add(self.0.leeway).unwrap_or(self.0.expires_at)
    }

    /// How long the proof still holds.
    ///
    /// # Errors
    ///
    /// `auth.expired` if it does not any more, `access.revoked` if it was withdrawn.
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

    /// The tenants that the caller may name, as the token spells them.
    pub fn tenants(&self) -> impl Iterator<Item = &str> {
        self.0.tenants.iter().map(Text::as_str)
    }

    /// The envs that the caller may name, as the token spells them.
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

    /// What the token was issued to do.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.0.scopes.iter().map(Text::as_str)
    }

    /// Whether the token was issued to do `scope`.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes().any(|has| has == scope)
    }

    /// Who issued the token, if it says so.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.0.issuer.as_ref().map(Text::as_str)
    }

    /// When the token was issued, if it says so.
    #[must_use]
    pub fn issued_at(&self) -> Option<SystemTime> {
        self.0.issued_at
    }

    /// Whom the token is meant for.
    pub fn audiences(&self) -> impl Iterator<Item = &str> {
        self.0.audiences.iter().map(Text::as_str)
    }

    /// Whether the token is an access token of RFC 9068: its `typ` is `at+jwt` (section 2.1), and it
    /// has all claims of section 2.2.
    #[must_use]
    pub fn is_access_token(&self) -> bool {
        self.0.is_access_token
    }

    /// What the caller is, if the token says it.
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
