//! The trait of checks, and what a check returns.

use crate::{
    auth::{AuthContext, AuthFuture},
    rejection::{Rejection, RejectionKind},
    scope::Contexts,
};
use http::{Extensions, HeaderName, HeaderValue, Request};
use tracing::Span;

/// A check of one request, done by a layer. It is private, so there are no checks outside the crate.
pub(in crate::middleware) trait Check: Clone {
    /// Checks the request as far as that is possible without waiting.
    fn begin<B>(&self, request: &mut Request<B>) -> FirstLook;

    /// The headers that the verdict depends on.
    fn reads(&self) -> Vec<HeaderName> {
        Vec::new()
    }
}

/// What a check returns at once.
pub(in crate::middleware) struct FirstLook {
    pub(in crate::middleware) step: Step,
    /// The span that everything inside the layer runs in.
    pub(in crate::middleware) span: Span,
    /// The request id, which the response will have.
    pub(in crate::middleware) echo: Option<HeaderValue>,
}

impl From<Step> for FirstLook {
    /// For a check that sets neither span nor request id.
    fn from(step: Step) -> Self {
        Self { step, span: Span::none(), echo: None }
    }
}

/// The verdict, or the answer that it waits for.
pub(in crate::middleware) enum Step {
    Decided(Result<(), Rejection>),
    Waiting(AuthFuture, AfterAuth),
}

impl Step {
    /// Continues with `next` if the verdict is known and good.
    pub(super) fn and_then(self, next: impl FnOnce() -> Self) -> Self {
        match self {
            Self::Decided(Ok(())) => next(),
            Self::Decided(Err(_)) | Self::Waiting(..) => self,
        }
    }

    /// Changes what is left to do after the answer of an authenticator.
    pub(super) fn map_rest(self, change: impl FnOnce(AfterAuth) -> AfterAuth) -> Self {
        match self {
            Self::Waiting(answer, rest) => Self::Waiting(answer, change(rest)),
            Self::Decided(_) => self,
        }
    }
}

/// What is left to do after the answer of an authenticator.
#[derive(Clone, Copy, Debug)]
pub(in crate::middleware) struct AfterAuth {
    /// A request without a token passes.
    pub(super) optional: bool,
    /// The token is then compared with the request context.
    pub(super) guard: bool,
}

impl AfterAuth {
    /// Makes the verdict from the answer.
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
