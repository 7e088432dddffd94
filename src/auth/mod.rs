//! What the token proves, and who proves it.
//!
//! [`RequireAuth`](crate::RequireAuth) asks an [`Authenticator`]. [`JwtVerifier`] is the built-in
//! one; an application's own needs one method:
//!
//! ```
//! use std::time::{Duration, SystemTime};
//! use tower_tenancy::{AuthContext, AuthRequest, Authenticator, Rejection, RejectionKind, Verdict};
//! use tower_tenancy::id::Subject;
//!
//! #[derive(Debug)]
//! struct ApiKeys;
//!
//! impl Authenticator for ApiKeys {
//!     fn authenticate(&self, request: &AuthRequest<'_>) -> Verdict {
//!         let key = match request.bearer_token() {
//!             Ok(key) => key.to_owned(),
//!             Err(rejection) => return Verdict::Ready(Err(rejection)),
//!         };
//!         Verdict::later(async move {
//!             // ... look the key up in a database ...
//!             if key != "k-123" {
//!                 return Err(Rejection::new(RejectionKind::AuthInvalid));
//!             }
//!             let subject = Subject::new("robot-1").expect("a constant");
//!             let soon = SystemTime::now() + Duration::from_secs(600);
//!             Ok(AuthContext::new(subject, soon).with_tenants(["t_alpha"]).with_envs(["prod"]))
//!         })
//!     }
//! }
//! ```

#[cfg(feature = "jwt")]
mod jwt;
mod policy;
mod revocation;
mod source;
mod texts;

#[cfg(feature = "jwks-client")]
pub use jwt::HttpClient;
#[cfg(feature = "token-cache")]
pub use jwt::TokenCache;
#[cfg(feature = "jwt")]
pub use jwt::{
    Algorithm, Backend, ClaimNames, ClaimPlace, JwtConfigError, JwtKey, JwtVerifier,
    JwtVerifierBuilder, TrustedIssuers,
};
#[cfg(feature = "jwks")]
pub use jwt::{
    Discovery, Fetched, HttpFuture, HttpGet, JwksUrl, KeyFile, KeyFuture, KeyHealth, KeySet,
    KeySetBuilder, KeySource,
};
pub(crate) use policy::{Policy, Unmet};
pub use revocation::Revocation;
pub(crate) use revocation::revoked;
pub use source::TokenSources;
#[cfg(feature = "tokio-tungstenite")]
pub(crate) use source::is_bearer_protocol;
pub(crate) use source::{Found, bears_token, two_tokens};
pub(crate) use texts::Texts;

pub use crate::origin::InvalidOrigin;

use crate::{
    clock::{self, Clock},
    id::{ActorType, Env, Subject, TenantId, Text, ThreadId},
    rejection::{Rejection, RejectionKind},
    request::RequestHead,
};
use http::{Extensions, HeaderMap, Method, Request, Uri, header};
use std::{
    fmt,
    future::Future,
    pin::Pin,
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

/// Which bytes a token may have: `b64token` of RFC 6750 section 2.1.
#[expect(clippy::indexing_slicing, reason = "a table that the compiler fills in")]
const IN_B64TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=');
        byte += 1;
    }
    table
};

/// What an [`Authenticator`] sees of a request: everything but its body.
#[derive(Clone, Copy)]
pub struct AuthRequest<'a> {
    head: RequestHead<'a>,
    found: &'a Found,
}

impl<'a> AuthRequest<'a> {
    /// The head of `request`.
    #[must_use]
    pub fn of<B>(request: &'a Request<B>) -> Self {
        Self { head: RequestHead::of(request), found: &Found::Header }
    }

    /// The head of `request`, from which a token was taken already.
    pub(crate) fn with_token<B>(request: &'a Request<B>, found: &'a Found) -> Self {
        Self { head: RequestHead::of(request), found }
    }

    /// The request's method.
    #[must_use]
    pub fn method(&self) -> &'a Method {
        self.head.method
    }

    /// The request's URI.
    #[must_use]
    pub fn uri(&self) -> &'a Uri {
        self.head.uri
    }

    /// The request's headers.
    #[must_use]
    pub fn headers(&self) -> &'a HeaderMap {
        self.head.headers
    }

    /// What outer layers left on the request.
    #[must_use]
    pub fn extensions(&self) -> &'a Extensions {
        self.head.extensions
    }

    /// The token: of the one `Authorization: Bearer` header ([RFC 6750 section 2.1]; the scheme in
    /// any case), or from wherever else the [`TokenSources`] of the layer allow it to be.
    ///
    /// # Errors
    ///
    /// `auth.missing` without a token, also where `Authorization` is of a scheme that bears none, such
    /// as `Basic`; `auth.invalid` if there are two `Authorization` headers, if it is of any other
    /// scheme, or if what is found is no token.
    ///
    /// [RFC 6750 section 2.1]: https://www.rfc-editor.org/rfc/rfc6750#section-2.1
    pub fn bearer_token(&self) -> Result<&'a str, Rejection> {
        let invalid = |why: &'static str| {
            Rejection::new(RejectionKind::AuthInvalid).with_detail(why).with_source(why)
        };
        let token = match self.found {
            Found::Header => {
                let mut values = self.head.headers.get_all(header::AUTHORIZATION).iter();
                let value = values.next().ok_or(RejectionKind::AuthMissing)?;
                if values.next().is_some() {
                    return Err(invalid("Authorization was sent more than once. Send it once."));
                }
                if source::is_no_token(value) {
                    return Err(Rejection::new(RejectionKind::AuthMissing).with_detail(
                        "Authorization is of a scheme that bears no token. Send 'Authorization: Bearer \
                         <token>' in its place, or the token where else this service takes it.",
                    ));
                }
                let bytes = value.as_bytes();
                let end = bytes.iter().position(|b| *b == b' ').unwrap_or(bytes.len());
                let (scheme, token) = bytes.split_at(end);
                if scheme.eq_ignore_ascii_case(b"dpop") {
                    return Err(invalid(
                        "Authorization is of the scheme 'DPoP', which this service does not check. Send 'Authorization: Bearer <token>' with a token that is not bound to a key.",
                    ));
                }
                if !scheme.eq_ignore_ascii_case(b"bearer") {
                    if bytes.contains(&b',') {
                        return Err(invalid(
                            "Authorization has more than one value, perhaps joined by a proxy. Send one.",
                        ));
                    }
                    return Err(invalid(
                        "Authorization is not of the scheme 'Bearer'. Send 'Authorization: Bearer <token>'.",
                    ));
                }
                let spaces = token.iter().take_while(|b| **b == b' ').count();
                token.get(spaces..).unwrap_or_default()
            }
            Found::Elsewhere(token) => token.as_bytes(),
            Found::Nowhere => return Err(RejectionKind::AuthMissing.into()),
        };
        let is_b64token = !token.is_empty()
            && token.iter().all(|b| IN_B64TOKEN.get(usize::from(*b)) == Some(&true));
        // What is one is ASCII.
        match (std::str::from_utf8(token), self.found) {
            (Ok(token), _) if is_b64token => Ok(token),
            (_, Found::Header) => Err(invalid(
                "Authorization does not bear exactly one token after 'Bearer'. Send 'Authorization: Bearer <token>'.",
            )),
            (_, Found::Elsewhere(_) | Found::Nowhere) => Err(invalid(
                "What the request bears is no token. Send the token as the issuer wrote it.",
            )),
        }
    }
}

impl fmt::Debug for AuthRequest<'_> {
    /// Without headers and query: they may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthRequest")
            .field("method", self.head.method)
            .field("path", &self.head.uri.path())
            .finish_non_exhaustive()
    }
}

/// A future of [`Verdict::Later`].
pub type AuthFuture = Pin<Box<dyn Future<Output = Result<AuthContext, Rejection>> + Send>>;

/// An [`Authenticator`]'s answer: at once, or later.
pub enum Verdict {
    /// The answer. Costs neither a box nor a clone of the inner service.
    Ready(Result<AuthContext, Rejection>),
    /// The answer needs to wait for something. It owns all that it needs.
    Later(AuthFuture),
}

impl Verdict {
    /// The answer will be what `future` gives.
    #[must_use]
    pub fn later<F>(future: F) -> Self
    where
        F: Future<Output = Result<AuthContext, Rejection>> + Send + 'static,
    {
        Self::Later(Box::pin(future))
    }
}

impl Verdict {
    /// The same answer, now or later, with what is proven changed: a
    /// [`Revocation`] of the application's, say.
    ///
    /// This is no place for what a token leaves out. It comes after all checks, of all issuers alike.
    /// An issuer's defaults are its verifier's, such as
    /// [`default_envs`](JwtVerifierBuilder::default_envs).
    #[must_use]
    pub fn map<F>(self, change: F) -> Self
    where
        F: FnOnce(AuthContext) -> AuthContext + Send + 'static,
    {
        match self {
            Self::Ready(answer) => Self::Ready(answer.map(change)),
            Self::Later(answer) => Self::later(async move { answer.await.map(change) }),
        }
    }
}

impl fmt::Debug for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready(result) => f.debug_tuple("Ready").field(result).finish(),
            Self::Later(_) => f.write_str("Later"),
        }
    }
}

/// Decides what a request proves about its caller.
///
/// Three outcomes, three kinds of rejection: the caller proved nothing (`auth.missing`,
/// `auth.invalid`, `auth.expired`), or it cannot be told right now
/// ([`RejectionKind::KeysUnavailable`]). A failed look-up is never an answer of "no". What clients
/// are told may be worded by [`Rejection::with_detail`].
///
/// A closure is one, too, with its argument's type written out: `|request: &AuthRequest<'_>| ..`.
///
/// See the [module docs](self) for an example.
pub trait Authenticator: Send + Sync {
    /// Decides.
    fn authenticate(&self, request: &AuthRequest<'_>) -> Verdict;
}

impl<F> Authenticator for F
where
    F: Fn(&AuthRequest<'_>) -> Verdict + Send + Sync,
{
    fn authenticate(&self, request: &AuthRequest<'_>) -> Verdict {
        self(request)
    }
}

impl<A: Authenticator + ?Sized> Authenticator for Arc<A> {
    fn authenticate(&self, request: &AuthRequest<'_>) -> Verdict {
        (**self).authenticate(request)
    }
}

#[cfg(test)]
mod tests {
    use super::{AuthContext, AuthRequest};
    use crate::{clock::from_unix, id::Subject};
    use http::Request;
    use std::time::Duration;

    fn bearer(values: &[&str]) -> Result<String, &'static str> {
        let mut request = Request::new(());
        for value in values {
            request.headers_mut().append("authorization", value.parse().unwrap());
        }
        let token = AuthRequest::of(&request).bearer_token();
        token.map(str::to_owned).map_err(|rejection| rejection.code())
    }

    #[test]
    fn one_bearer_token_is_found_whatever_the_case_of_the_scheme() {
        for value in ["Bearer a.b-c", "bearer a.b-c", "BEARER   a.b-c"] {
            assert_eq!(bearer(&[value]).as_deref(), Ok("a.b-c"), "{value}");
        }
    }

    #[test]
    fn no_token_is_missing_and_a_bad_or_second_header_is_invalid() {
        for (values, code) in [
            (vec![], "auth.missing"),
            (vec!["Basic YTpi"], "auth.missing"),
            (vec!["digest a=b, c=d"], "auth.missing"),
            (vec!["Basic YTpi", "Basic YTpi"], "auth.invalid"),
            (vec!["Basic YTpi", "Bearer a"], "auth.invalid"),
            (vec!["Bearer a", "Basic YTpi"], "auth.invalid"),
            (vec!["Basic YTpi, Bearer a"], "auth.invalid"),
            (vec!["ApiKey a"], "auth.invalid"),
            (vec!["Bearer\ta.b"], "auth.invalid"),
            (vec!["Bearer \ta.b"], "auth.invalid"),
            (vec![""], "auth.missing"),
            (vec!["Bearer"], "auth.invalid"),
            (vec!["Bearer "], "auth.invalid"),
            (vec!["Bearer a b"], "auth.invalid"),
            (vec!["Bearer a,Bearer b"], "auth.invalid"),
            (vec!["Bearer a", "Bearer a"], "auth.invalid"),
        ] {
            assert_eq!(bearer(&values), Err(code), "{values:?}");
        }
    }

    #[test]
    fn the_scheme_of_tokens_that_are_bound_to_a_key_is_no_bearer() {
        for value in ["DPoP a.b.c", "dpop a.b.c", "DPOP"] {
            let request = Request::builder().header("authorization", value).body(()).unwrap();
            let refused = AuthRequest::of(&request).bearer_token().unwrap_err();
            assert_eq!(refused.code(), "auth.invalid");
            assert!(refused.detail().contains("not bound to a key"), "{value}");
        }
        assert_eq!(bearer(&["DPoPx a.b.c"]), Err("auth.invalid"));
        assert_eq!(bearer(&["DPoP a.b.c", "Bearer a.b.c"]), Err("auth.invalid"));
    }

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
