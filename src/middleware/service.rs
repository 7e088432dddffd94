//! The one service behind every layer.

use super::{
    Check, RequireFuture,
    check::{Begun, Step},
    future::{Held, Reply},
};
use crate::{
    origin::Head,
    rejection::{Client, RejectWith},
};
use http::{Request, Response};
use std::{
    mem,
    task::{Context, Poll},
};
use tower_service::Service;

/// Middleware that lets a request through only if its check allows it.
///
/// See the [module docs](super) for its shape, and how it keeps readiness.
#[derive(Clone, Copy, Debug)]
pub struct RequireService<S, C, R> {
    inner: S,
    check: C,
    reject_with: R,
    pass_preflight: bool,
}

impl<S, C, R> RequireService<S, C, R> {
    pub(super) const fn new(inner: S, check: C, reject_with: R, pass_preflight: bool) -> Self {
        Self { inner, check, reject_with, pass_preflight }
    }

    /// The service inside.
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
    type Future = RequireFuture<S, S::Future, C, R, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let client = Client::of(request.method(), request.headers());
        let mut begun = Begun::default();
        if !(self.pass_preflight && Head::of(&request).is_preflight()) {
            self.check.begin(&mut request, &mut begun);
        }
        let Begun { verdict, span, echo } = begun;
        let reply = Reply { reject_with: self.reject_with.clone(), client, span, echo };
        match verdict {
            Step::Decided(Ok(())) => {
                let response = reply.span.in_scope(|| self.inner.call(request));
                RequireFuture::calling(response, reply)
            }
            Step::Decided(Err(rejection)) => {
                // What readiness reserved is given back; the inner service will not be called.
                self.inner = self.inner.clone();
                RequireFuture::refused(rejection, reply)
            }
            Step::Waiting(answer) => {
                // The instance that was polled ready goes with the request; a clone stays.
                let clone = self.inner.clone();
                let ready = mem::replace(&mut self.inner, clone);
                let held = Held { request, ready, check: self.check.clone() };
                RequireFuture::waiting(answer, held, reply)
            }
        }
    }
}
