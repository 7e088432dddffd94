//! Who decides what a request proves.

use super::{context::AuthContext, request::AuthRequest};
use crate::rejection::Rejection;
use std::{fmt, future::Future, pin::Pin, sync::Arc};

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

    /// The same answer, now or later, with what is proven changed: a
    /// [`Revocation`](super::Revocation) of the application's, say.
    ///
    /// This is no place for what a token leaves out. It comes after all checks, of all issuers alike.
    /// An issuer's defaults are its verifier's, such as
    /// [`default_envs`](super::JwtVerifierBuilder::default_envs).
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
/// ([`RejectionKind::KeysUnavailable`](crate::RejectionKind::KeysUnavailable)). A failed look-up is never an answer of "no". What clients
/// are told may be worded by [`Rejection::with_detail`].
///
/// A closure is one, too, with its argument's type written out: `|request: &AuthRequest<'_>| ..`.
///
/// See the [module docs](super) for an example.
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
