//! The check that reads the request context.

use super::step::{Check, FirstLook, Step};
use crate::{
    context::{
        ContextParts, ContextReader, Envs, RequestContext, RequestIdFound, X_ENV, X_REQUEST_ID,
        X_TENANT_ID,
    },
    id::RequestId,
    rejection::{Rejection, RejectionKind},
    request::RequestHead,
    scope::Contexts,
};
use http::{Extensions, HeaderName, HeaderValue, Request};
use tracing::{Span, field};

/// The check of [`RequireRequestContext`](crate::RequireRequestContext).
#[derive(Clone, Debug, Default)]
pub struct ContextCheck {
    pub(in crate::middleware) envs: Envs,
    pub(in crate::middleware) query: bool,
    pub(in crate::middleware) reader: Option<ContextReader>,
}

impl ContextCheck {
    fn read<B>(
        &self,
        request: &mut Request<B>,
        id: RequestId,
        span: &Span,
    ) -> Result<RequestContext, Rejection> {
        let mut sent = ContextParts::new();
        if self.query {
            sent = ContextParts::take(request.uri_mut())?;
        }
        let redeemed = Contexts::redeemed(request.extensions()).transpose()?;
        if let Some(auth) = &redeemed {
            if sent != ContextParts::new() {
                return Err(Rejection::new(RejectionKind::ContextInvalid)
                    .with_detail("The ticket names tenant and env. Leave them out of the query."));
            }
            let bound = auth.ticket();
            sent = sent
                .tenant(bound.map(|bound| bound.tenant.as_str()))
                .env(bound.map(|bound| bound.env.as_str()));
        }
        let read = match &self.reader {
            Some(reader) => span.in_scope(|| reader.read(RequestHead::of(request))),
            None => ContextParts::new(),
        };
        RequestContext::read(RequestHead::of(request), &sent, &read, id, &self.envs)
    }
}

impl Check for ContextCheck {
    fn begin<B>(&self, request: &mut Request<B>) -> FirstLook {
        let RequestIdFound { id, sent, is_only_header, replaced } =
            RequestIdFound::of(request.headers(), request.extensions());
        let span = tracing::info_span!(
            "request",
            method = request.method().as_str(),
            path = request.uri().path(),
            request_id = id.as_str(),
            tenant = field::Empty,
            env = field::Empty
        );
        if let Some(why) = replaced {
            span.in_scope(|| {
                let why = why.to_string();
                tracing::debug!(why = why.as_str(), "replaced the request id with a generated one");
            });
        }
        let echo = sent.or_else(|| HeaderValue::try_from(id.as_str()).ok());
        let verdict = self.read(request, id, &span).map(|context| {
            span.record("tenant", context.tenant().as_str());
            span.record("env", context.env().as_str());
            if let Some(id) = &echo {
                if !is_only_header {
                    // Replaces all values of the header.
                    request.headers_mut().insert(X_REQUEST_ID, id.clone());
                }
                share_with_tower_http(request.extensions_mut(), id);
            }
            Contexts::set_request(request.extensions_mut(), context);
        });
        FirstLook { step: Step::Decided(verdict), span, echo }
    }

    fn reads(&self) -> Vec<HeaderName> {
        vec![X_TENANT_ID, X_ENV]
    }
}

impl AsMut<Self> for ContextCheck {
    fn as_mut(&mut self) -> &mut Self {
        self
    }
}

#[cfg(feature = "tower-http")]
fn share_with_tower_http(extensions: &mut Extensions, id: &HeaderValue) {
    extensions.insert(tower_http::request_id::RequestId::new(id.clone()));
}

#[cfg(not(feature = "tower-http"))]
fn share_with_tower_http(_: &mut Extensions, _: &HeaderValue) {}
