//! The trait that decides what a request proves about the caller.

use super::{context::AuthContext, request::AuthRequest};
use crate::rejection::Rejection;
use std::{fmt, future::Future, pin::Pin, sync::Arc};

/// The boxed future of [`Verdict::Later`]. [`Verdict::later`] makes one. It is `'static`, so it borrows
/// nothing from the request.
pub type AuthFuture = Pin<Box<dyn Future<Output = Result<AuthContext, Rejection>> + Send>>;

/// The answer of an [`Authenticator`]: either at once, or later.
pub enum Verdict {
    /// The answer at once. It needs neither a box nor a clone of the inner service.
    Ready(Result<AuthContext, Rejection>),
    /// A future of the answer, for an authenticator that must wait for something.
    Later(AuthFuture),
}

impl Verdict {
    /// A verdict whose answer is the output of `future`.
    #[must_use]
    pub fn later<F>(future: F) -> Self
    where
        F: Future<Output = Result<AuthContext, Rejection>> + Send + 'static,
    {
        Self::Later(Box::pin(future))
    }

    /// Changes the proof, now or when the future completes. For example, applications add a
    /// [`Revocation`](super::Revocation) this way.
    ///
    /// Do not add claims here that a token does not have: this change comes after all checks, and it applies
    /// to the tokens of all issuers. Set the defaults of one issuer on its verifier instead, for example with
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
/// `auth.expired`. If it cannot decide now, because a look-up failed, it must reject with
/// [`RejectionKind::KeysUnavailable`](crate::RejectionKind::KeysUnavailable): a failed look-up is not a
/// reason to refuse the token. [`Rejection::with_detail`] sets the text for the client.
///
/// A closure can be an authenticator. Write the type of its argument: `|request: &AuthRequest<'_>| ..`.
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
