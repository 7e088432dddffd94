//! The service of the layers that check requests.

use super::{
    check::{Check, FirstLook, Step},
    future::{RequireFuture, WaitingRequest},
    reply::Reply,
};
use crate::{
    context::X_REQUEST_ID,
    id::RequestId,
    rejection::{Dialect, RejectWith},
    request::RequestHead,
};
use http::{HeaderValue, Method, Request, Response};
use std::task::{Context, Poll};
use tower_service::Service;

/// Middleware that lets a request pass only if its check allows it.
///
/// See the [module docs](super) for its types, and for the readiness of the inner service.
#[derive(Clone, Debug)]
pub struct RequireService<S, C, R> {
    pub(super) inner: S,
    pub(super) check: C,
    pub(super) reject_with: R,
    pub(super) pass_preflight: bool,
    pub(super) opens_streams: bool,
    /// The headers that the check reads, as a `Vary` value.
    pub(super) vary: Option<HeaderValue>,
}

impl<S, C, R> RequireService<S, C, R> {
    /// The inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S, C, R, ReqBody, ResBody> Service<Request<ReqBody>> for RequireService<S, C, R>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    C: Check,
    R: RejectWith<ResBody> + Clone,
{
    type Response = Response<R::Body>;
    type Error = S::Error;
    type Future = RequireFuture<S, S::Future, R, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let dialect = Dialect::on(&request, self.opens_streams);
        let to_head = request.method() == Method::HEAD;
        let passes_unchecked = self.pass_preflight && RequestHead::of(&request).is_preflight();
        let FirstLook { step, span, echo } = if passes_unchecked {
            Step::Decided(Ok(())).into()
        } else {
            self.check.begin(&mut request)
        };
        // An `EventSource` gets a refusal as an event, which has the request id. If this check sets no id,
        // an outer layer has put it into the header.
        let request_id = (dialect == Dialect::EventSource).then(|| {
            let id = echo.as_ref().or_else(|| request.headers().get(X_REQUEST_ID))?;
            RequestId::new(id.to_str().ok()?).ok()
        });
        let reply = Reply {
            reject_with: self.reject_with.clone(),
            dialect,
            request_id: request_id.flatten(),
            to_head,
            span,
            echo,
            vary: self.vary.clone(),
        };
        match step {
            Step::Decided(Ok(())) => {
                let response = reply.span.in_scope(|| self.inner.call(request));
                RequireFuture::calling(response, reply)
            }
            Step::Decided(Err(rejection)) => {
                // Releases the resources that readiness reserved: the inner service will not be called.
                self.inner = self.inner.clone();
                RequireFuture::refused(rejection, reply)
            }
            Step::Waiting(answer, rest) => {
                // Releases the resources that readiness reserved while the authenticator works. The future
                // polls the request's clone until it is ready, and then calls it.
                let inner = self.inner.clone();
                self.inner = inner.clone();
                let held = WaitingRequest { request, inner, rest };
                RequireFuture::waiting(answer, held, reply)
            }
        }
    }
}
