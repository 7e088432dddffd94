//! How far a check comes at first sight, and what is left of it then.

use crate::{
    auth::{AuthContext, AuthFuture},
    rejection::{Rejection, RejectionKind},
    scope::Contexts,
};
use http::{Extensions, HeaderName, HeaderValue, Request};
use tracing::Span;

/// A check of one request, done by a layer. Nothing outside the crate can name it: the aliases of
/// [`Require`](crate::middleware::Require) are all the checks there are.
pub(in crate::middleware) trait Check: Clone {
    /// Looks at the request.
    fn begin<B>(&self, request: &mut Request<B>) -> FirstLook;

    /// The headers that the verdict depends on.
    fn reads(&self) -> Vec<HeaderName> {
        Vec::new()
    }
}

/// What a check found at first sight.
pub(in crate::middleware) struct FirstLook {
    pub(in crate::middleware) step: Step,
    /// Everything inside the layer runs in it.
    pub(in crate::middleware) span: Span,
    /// The request id, for the response.
    pub(in crate::middleware) echo: Option<HeaderValue>,
}

impl From<Step> for FirstLook {
    /// Of a check that leaves the span and the request id to others.
    fn from(step: Step) -> Self {
        Self { step, span: Span::none(), echo: None }
    }
}

/// The verdict, or what it waits for.
pub(in crate::middleware) enum Step {
    Decided(Result<(), Rejection>),
    Waiting(AuthFuture, AfterAuth),
}

impl Step {
    /// Goes on with `next` if the request has passed so far.
    pub(super) fn and_then(self, next: impl FnOnce() -> Self) -> Self {
        match self {
            Self::Decided(Ok(())) => next(),
            Self::Decided(Err(_)) | Self::Waiting(..) => self,
        }
    }

    /// Says what is to be done as well if an authenticator has to be waited for.
    pub(super) fn map_rest(self, change: impl FnOnce(AfterAuth) -> AfterAuth) -> Self {
        match self {
            Self::Waiting(answer, rest) => Self::Waiting(answer, change(rest)),
            Self::Decided(_) => self,
        }
    }
}

/// What is left of a check once its authenticator has answered.
#[derive(Clone, Copy, Debug)]
pub(in crate::middleware) struct AfterAuth {
    /// A request without a token passes.
    pub(super) optional: bool,
    /// The token is then held against the request context.
    pub(super) guard: bool,
}

impl AfterAuth {
    /// The verdict.
    pub(in crate::middleware) fn finish(
        self,
        extensions: &mut Extensions,
        answer: Result<AuthContext, Rejection>,
    ) -> Result<(), Rejection> {
        let auth = match answer {
            Ok(auth) => auth.remaining().map(|_| Some(auth))?,
            Err(none) if self.optional && none.kind() == RejectionKind::AuthMissing => None,
            Err(rejection) => return Err(rejection),
        };
        Contexts::set_auth(extensions, auth);
        if self.guard { Contexts::conclude(extensions) } else { Ok(()) }
    }
}
