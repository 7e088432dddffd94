//! What each layer asks of a request.
#![expect(private_interfaces, unnameable_types, reason = "the trait of checks is sealed")]

use crate::{
    auth::{
        AuthContext, AuthFuture, AuthRequest, Authenticator, FoundToken, Policy, Texts,
        TokenSources, Unmet, Verdict, bears_token, two_tokens,
    },
    context::{
        Envs, Identified, Named, ReadsContext, RequestContext, X_ENV, X_REQUEST_ID, X_TENANT_ID,
    },
    head::RequestHead,
    rejection::{Rejection, RejectionKind},
    scope::Contexts,
};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Request, header};
use std::{fmt, mem, sync::Arc};
use tracing::{Span, field};

/// A check of one request, done by a layer. Sealed: the aliases of
/// [`Require`](super::Require) are all there are.
pub trait Check: Clone + sealed::Check {}

impl<C: Clone + sealed::Check> Check for C {}

pub(super) mod sealed {
    use super::{Begun, Extensions, HeaderName, Rejection, Request};
    use crate::auth::AuthContext;

    pub trait Check {
        /// Looks at the request, and writes down what it finds.
        fn begin<B>(&self, request: &mut Request<B>, begun: &mut Begun);

        /// Goes on where an authenticator had to wait.
        fn finish(
            &self,
            extensions: &mut Extensions,
            answer: Result<AuthContext, Rejection>,
        ) -> Result<(), Rejection>;

        /// Names the headers that the verdict depends on.
        fn reads(&self, _names: &mut Vec<HeaderName>) {}
    }
}

/// What a check found at first sight.
pub(super) struct Begun {
    pub(super) verdict: Step,
    /// Everything inside the layer runs in it.
    pub(super) span: Span,
    /// The request id, for the response.
    pub(super) echo: Option<HeaderValue>,
}

pub(super) enum Step {
    Decided(Result<(), Rejection>),
    Waiting(AuthFuture),
}

impl Default for Begun {
    fn default() -> Self {
        Self { verdict: Step::Decided(Ok(())), span: Span::none(), echo: None }
    }
}

/// The check of [`RequireRequestContext`](super::RequireRequestContext).
#[derive(Clone, Debug, Default)]
pub struct ContextCheck {
    pub(super) envs: Envs,
    pub(super) query: bool,
    pub(super) reads: Option<ReadsContext>,
}

impl ContextCheck {
    fn read<B>(&self, request: &mut Request<B>, begun: &mut Begun) -> Result<(), Rejection> {
        let Identified { id, sent: header, stands, replaced } =
            Identified::of(request.headers(), request.extensions());
        begun.span = tracing::info_span!(
            "request",
            method = request.method().as_str(),
            path = request.uri().path(),
            request_id = id.as_str(),
            tenant = field::Empty,
            env = field::Empty
        );
        if let Some(why) = replaced {
            begun.span.in_scope(|| {
                let why = why.to_string();
                tracing::debug!(
                    why = why.as_str(),
                    "the request id that was sent is replaced by a generated one"
                );
            });
        }
        begun.echo = header.or_else(|| HeaderValue::try_from(id.as_str()).ok());
        let mut sent = Named::new();
        if self.query {
            sent = Named::take(request.uri_mut())?;
        }
        let redeemed = Contexts::redeemed(request.extensions()).transpose()?;
        if let Some(auth) = &redeemed {
            if sent != Named::new() {
                return Err(Rejection::new(RejectionKind::ContextInvalid)
                    .with_detail("The ticket names tenant and env. Leave them out of the query."));
            }
            let bound = auth.ticket();
            sent = sent
                .tenant(bound.map(|bound| bound.tenant.as_str()))
                .env(bound.map(|bound| bound.env.as_str()));
        }
        let placed = match &self.reads {
            Some(reads) => begun.span.in_scope(|| reads.read(RequestHead::of(request))),
            None => Named::new(),
        };
        let context =
            RequestContext::read(RequestHead::of(request), &sent, &placed, id, &self.envs)?;
        begun.span.record("tenant", context.tenant().as_str());
        begun.span.record("env", context.env().as_str());
        if let Some(id) = &begun.echo {
            if !stands {
                // In the place of all that were sent.
                request.headers_mut().insert(X_REQUEST_ID, id.clone());
            }
            share_with_tower_http(request.extensions_mut(), id);
        }
        Contexts::set_request(request.extensions_mut(), context);
        Ok(())
    }
}

#[cfg(feature = "tower-http")]
fn share_with_tower_http(extensions: &mut Extensions, id: &HeaderValue) {
    extensions.insert(tower_http::request_id::RequestId::new(id.clone()));
}

#[cfg(not(feature = "tower-http"))]
fn share_with_tower_http(_: &mut Extensions, _: &HeaderValue) {}

impl sealed::Check for ContextCheck {
    fn begin<B>(&self, request: &mut Request<B>, begun: &mut Begun) {
        begun.verdict = Step::Decided(self.read(request, begun));
    }

    fn finish(
        &self,
        _: &mut Extensions,
        answer: Result<AuthContext, Rejection>,
    ) -> Result<(), Rejection> {
        answer.map(|_| ())
    }

    fn reads(&self, names: &mut Vec<HeaderName>) {
        names.extend([X_TENANT_ID, X_ENV]);
    }
}

/// The check of [`RequireAuth`](super::RequireAuth).
#[derive(Clone)]
pub struct AuthCheck {
    authenticator: Arc<dyn Authenticator>,
    pub(super) sources: TokenSources,
    pub(super) optional: bool,
    pub(super) ticket: bool,
}

impl AuthCheck {
    pub(super) fn new(authenticator: Arc<dyn Authenticator>) -> Self {
        Self { authenticator, sources: TokenSources::header(), optional: false, ticket: false }
    }

    /// Asks the authenticator, and hands it one token: where one was found elsewhere, it does not see
    /// the password for a gate in front, which it might take for another.
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
}

impl fmt::Debug for AuthCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthCheck")
            .field("sources", &self.sources)
            .field("optional", &self.optional)
            .finish_non_exhaustive()
    }
}

/// So that no trace of the headers shows the token.
fn mark_sensitive(headers: &mut HeaderMap) {
    if headers.get_all(header::AUTHORIZATION).iter().nth(1).is_some() {
        // An entry makes room for itself first, so it is not what one header is looked up with.
        if let header::Entry::Occupied(mut values) = headers.entry(header::AUTHORIZATION) {
            values.iter_mut().for_each(|value| value.set_sensitive(true));
        }
    } else if let Some(value) = headers.get_mut(header::AUTHORIZATION) {
        value.set_sensitive(true);
    }
}

impl sealed::Check for AuthCheck {
    fn begin<B>(&self, request: &mut Request<B>, begun: &mut Begun) {
        mark_sensitive(request.headers_mut());
        let verdict = match self.sources.take(request) {
            Err(rejection) => Verdict::Ready(Err(rejection)),
            Ok(found) => match Contexts::redeemed(request.extensions()) {
                None => self.ask(request, &found),
                Some(_)
                    if matches!(found, FoundToken::Elsewhere(_))
                        || bears_token(request.headers()) =>
                {
                    Verdict::Ready(Err(two_tokens()))
                }
                Some(redeemed) if self.ticket => Verdict::Ready(redeemed),
                // What a ticket proves is for a stream of one thread, and this may be anything.
                Some(redeemed) => Verdict::Ready(redeemed.and_then(|_| {
                    Err(Rejection::new(RejectionKind::InsufficientScope)
                        .with_detail("A ticket opens streams only. Send the token here."))
                })),
            },
        };
        begun.verdict = match verdict {
            Verdict::Ready(answer) => Step::Decided(self.finish(request.extensions_mut(), answer)),
            Verdict::Later(future) => Step::Waiting(future),
        };
    }

    fn finish(
        &self,
        extensions: &mut Extensions,
        answer: Result<AuthContext, Rejection>,
    ) -> Result<(), Rejection> {
        let auth = match answer {
            Ok(auth) => auth.remaining().map(|_| Some(auth))?,
            Err(none) if self.optional && none.kind() == RejectionKind::AuthMissing => None,
            Err(rejection) => return Err(rejection),
        };
        Contexts::set_auth(extensions, auth);
        Ok(())
    }

    fn reads(&self, names: &mut Vec<HeaderName>) {
        names.extend(self.sources.header_names());
    }
}

/// The check of [`TenantEnvGuard`](super::TenantEnvGuard).
#[derive(Clone, Copy, Debug)]
pub struct GuardCheck;

impl sealed::Check for GuardCheck {
    fn begin<B>(&self, request: &mut Request<B>, begun: &mut Begun) {
        begun.verdict = Step::Decided(Contexts::conclude(request.extensions_mut()));
    }

    fn finish(
        &self,
        extensions: &mut Extensions,
        _: Result<AuthContext, Rejection>,
    ) -> Result<(), Rejection> {
        Contexts::conclude(extensions)
    }
}

/// The check of [`RequireClaims`](super::RequireClaims).
#[derive(Clone, Debug, Default)]
pub struct ClaimsCheck(Arc<Policy>);

impl ClaimsCheck {
    /// Adds a requirement.
    pub(super) fn with(mut self, add: impl FnOnce(&mut Policy)) -> Self {
        add(Arc::make_mut(&mut self.0));
        self
    }

    fn allow(&self, auth: &AuthContext) -> Result<(), Rejection> {
        let invalid = |why: &'static str| {
            Err(Rejection::new(RejectionKind::AuthInvalid).with_detail(why).with_source(why))
        };
        let insufficient = |what: &str, needed: String, has: &Texts| {
            let rejection = Rejection::new(RejectionKind::InsufficientScope)
                .with_detail(format!("The token needs {what}: {needed}."));
            match has.unread() {
                Some(found) => rejection.with_source(format!(
                    "the token has none, since the claim is malformed: found {found}"
                )),
                None => rejection,
            }
        };
        match self.0.check(auth) {
            Ok(()) => Ok(()),
            Err(Unmet::Audience) => invalid("The token is not meant for this part of the service."),
            Err(Unmet::AccessToken) => invalid(
                "The token is no access token of RFC 9068: its `typ` is not `at+jwt`, or it lacks a claim.",
            ),
            Err(Unmet::Lifetime) => {
                invalid("The token lives longer than is allowed here, or does not say how long.")
            }
            Err(Unmet::Scopes(scopes)) => {
                let scope = scopes.join(" ");
                let has = &auth.0.scopes;
                Err(insufficient("these scopes", scope.clone(), has).with_scope(scope))
            }
            Err(Unmet::Roles(roles)) => {
                Err(insufficient("one of these roles", roles.join(", "), &auth.0.roles))
            }
        }
    }
}

impl sealed::Check for ClaimsCheck {
    fn begin<B>(&self, request: &mut Request<B>, begun: &mut Begun) {
        let auth = AuthContext::from_extensions(request.extensions());
        begun.verdict = Step::Decided(auth.and_then(|auth| self.allow(auth)));
    }

    fn finish(
        &self,
        extensions: &mut Extensions,
        _: Result<AuthContext, Rejection>,
    ) -> Result<(), Rejection> {
        self.allow(AuthContext::from_extensions(extensions)?)
    }
}

/// The check of [`RequireTenantScope`](super::RequireTenantScope).
#[derive(Clone, Debug)]
pub struct ScopeCheck {
    pub(super) context: ContextCheck,
    pub(super) auth: AuthCheck,
}

impl sealed::Check for ScopeCheck {
    fn begin<B>(&self, request: &mut Request<B>, begun: &mut Begun) {
        self.context.begin(request, begun);
        if matches!(begun.verdict, Step::Decided(Ok(()))) {
            let span = mem::replace(&mut begun.span, Span::none());
            span.in_scope(|| self.auth.begin(request, begun));
            begun.span = span;
        }
        if matches!(begun.verdict, Step::Decided(Ok(()))) {
            GuardCheck.begin(request, begun);
        }
    }

    fn finish(
        &self,
        extensions: &mut Extensions,
        answer: Result<AuthContext, Rejection>,
    ) -> Result<(), Rejection> {
        self.auth.finish(extensions, answer)?;
        Contexts::conclude(extensions)
    }

    fn reads(&self, names: &mut Vec<HeaderName>) {
        self.context.reads(names);
        self.auth.reads(names);
    }
}
