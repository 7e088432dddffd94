//! The trait that decides what a request proves about its caller.

use super::{context::AuthContext, request::AuthRequest};
use crate::rejection::Rejection;
use std::{fmt, future::Future, pin::Pin, sync::Arc};

/// The boxed future of [`Verdict::Later`]. [`Verdict::later`] makes one; it owns all that it needs.
pub type AuthFuture = Pin<Box<dyn Future<Output = Result<AuthContext, Rejection>> + Send>>;

/// The answer of an [`Authenticator`], which it has at once or later.
pub enum Verdict {
    /// The answer, at once. It costs neither a box nor a clone of the inner service.
    Ready(Result<AuthContext, Rejection>),
    /// A future of the answer, for an authenticator that has to wait for something.
    Later(AuthFuture),
}

impl Verdict {
    /// The answer is what `future` returns.
    #[must_use]
    pub fn later<F>(future: F) -> Self
    where
        F: Future<Output = Result<AuthContext, Rejection>> + Send + 'static,
    {
        Self::Later(Box::pin(future))
    }

    /// Changes what is proven, at once or later. Applications add a [`Revocation`](super::Revocation) this
    /// way, for example.
    ///
    /// Do not add what a token leaves out here: this change comes after all checks, and applies to the
    /// tokens of all issuers. Set the defaults of one issuer on its verifier, such as
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
/// An authenticator rejects a caller that proved nothing with `auth.missing`, `auth.invalid` or
/// `auth.expired`. If it cannot decide now, because a look-up failed, it rejects with
/// [`RejectionKind::KeysUnavailable`](crate::RejectionKind::KeysUnavailable): a failed look-up never
/// means "no". [`Rejection::with_detail`] sets the text that the client gets.
///
/// A closure is an authenticator, too. Write the type of its argument: `|request: &AuthRequest<'_>| ..`.
///
/// See the [module docs](super) for an example.
pub trait Authenticator: Send + Sync + 'static {
    /// Decides what `request` proves.
    fn authenticate(&self, request: &AuthRequest<'_>) -> Verdict;
}

impl<F> Authenticator for F
where
    F: Fn(&AuthRequest<'_>) -> Verdict + Send + Sync + 'static,
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
