//! The trait of checks, and its results.

use crate::{
    auth::{AuthContext, AuthFuture},
    rejection::{Rejection, RejectionKind},
    scope::Contexts,
};
use http::{Extensions, HeaderName, HeaderValue, Request};
use tracing::Span;

/// The check of a layer. The trait is private, so other crates cannot add checks.
pub(in crate::middleware) trait Check: Clone {
    /// Checks the request as far as possible without waiting.
    fn begin<B>(&self, request: &mut Request<B>) -> FirstLook;

    /// The headers that the verdict depends on.
    fn reads(&self) -> Vec<HeaderName> {
        Vec::new()
    }
}

/// The immediate result of a check.
pub(in crate::middleware) struct FirstLook {
    pub(in crate::middleware) step: Step,
    /// The span for everything inside the layer.
    pub(in crate::middleware) span: Span,
    /// The request id for the response.
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

    /// Changes the rest of the check, after the answer of an authenticator.
    pub(super) fn map_rest(self, change: impl FnOnce(AfterAuth) -> AfterAuth) -> Self {
        match self {
            Self::Waiting(answer, rest) => Self::Waiting(answer, change(rest)),
            Self::Decided(_) => self,
        }
    }
}

/// The rest of the check, after the answer of an authenticator.
#[derive(Clone, Copy, Debug)]
pub(in crate::middleware) struct AfterAuth {
    /// Whether a request without a token passes.
    pub(super) optional: bool,
    /// Whether the check then compares the token with the request context.
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
