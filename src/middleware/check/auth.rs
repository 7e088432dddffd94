//! The check that calls an authenticator.

use super::step::{AfterAuth, Check, FirstLook, Step};
use crate::{
    auth::{AuthRequest, Authenticator, FoundToken, TokenSources, Verdict, has_token, two_tokens},
    rejection::{Rejection, RejectionKind},
    scope::Contexts,
};
use http::{HeaderMap, HeaderName, Request, header};
use std::{fmt, sync::Arc};

/// The check of [`RequireAuth`](crate::RequireAuth).
#[derive(Clone)]
pub struct AuthCheck {
    authenticator: Arc<dyn Authenticator>,
    pub(in crate::middleware) sources: TokenSources,
    pub(in crate::middleware) optional: bool,
    pub(in crate::middleware) ticket: bool,
}

impl AuthCheck {
    pub(in crate::middleware) fn new(authenticator: Arc<dyn Authenticator>) -> Self {
        Self { authenticator, sources: TokenSources::header(), optional: false, ticket: false }
    }

    /// Calls the authenticator, and gives it only one token. If the token comes from another place than
    /// the `Authorization` header, that header may hold a password for a gateway. This hides it from the
    /// authenticator.
    fn ask<B>(&self, request: &mut Request<B>, found: &FoundToken) -> Verdict {
        let aside = match found {
            FoundToken::Elsewhere(_) => request.headers_mut().remove(header::AUTHORIZATION),
            FoundToken::Header | FoundToken::Nowhere => None,
        };
        let verdict = self.authenticator.authenticate(&AuthRequest::with_token(request, found));
        if let Some(value) = aside {
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        verdict
    }

    /// Checks the token, or starts the check.
    pub(super) fn step<B>(&self, request: &mut Request<B>) -> Step {
        mark_sensitive(request.headers_mut());
        let rest = AfterAuth { optional: self.optional, guard: false };
        match self.verdict(request) {
            Verdict::Ready(answer) => Step::Decided(rest.finish(request.extensions_mut(), answer)),
            Verdict::Later(answer) => Step::Waiting(answer, rest),
        }
    }

    fn verdict<B>(&self, request: &mut Request<B>) -> Verdict {
        let found = match self.sources.take(request) {
            Ok(found) => found,
            Err(rejection) => return Verdict::Ready(Err(rejection)),
        };
        match Contexts::redeemed(request.extensions()) {
            None => self.ask(request, &found),
            Some(_)
                if matches!(found, FoundToken::Elsewhere(_)) || has_token(request.headers()) =>
            {
                Verdict::Ready(Err(two_tokens()))
            }
            Some(redeemed) if self.ticket => Verdict::Ready(redeemed),
            // A ticket is valid only for the stream of one thread, and this route may do something else.
            Some(redeemed) => Verdict::Ready(redeemed.and_then(|_| {
                Err(Rejection::new(RejectionKind::InsufficientScope)
                    .with_detail("A ticket only opens streams. Send the token here."))
            })),
        }
    }
}

impl Check for AuthCheck {
    fn begin<B>(&self, request: &mut Request<B>) -> FirstLook {
        self.step(request).into()
    }

    fn reads(&self) -> Vec<HeaderName> {
        self.sources.header_names()
    }
}

impl AsMut<Self> for AuthCheck {
    fn as_mut(&mut self) -> &mut Self {
        self
    }
}

impl fmt::Debug for AuthCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthCheck")
            .field("sources", &self.sources)
            .field("optional", &self.optional)
            .finish_non_exhaustive()
    }
}

/// Marks the `Authorization` headers as sensitive, so that their values are not logged.
fn mark_sensitive(headers: &mut HeaderMap) {
    if headers.get_all(header::AUTHORIZATION).iter().nth(1).is_some() {
        // `entry` may grow the map, so the common case of one header does not use it.
        if let header::Entry::Occupied(mut values) = headers.entry(header::AUTHORIZATION) {
            values.iter_mut().for_each(|value| value.set_sensitive(true));
        }
    } else if let Some(value) = headers.get_mut(header::AUTHORIZATION) {
        value.set_sensitive(true);
    }
}
