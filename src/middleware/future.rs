//! The response future of the layers.

use super::{check::AfterAuth, reply::Reply};
use crate::{
    auth::{AuthContext, AuthFuture},
    rejection::{RejectWith, Rejection},
};
use http::{Request, Response};
use pin_project_lite::pin_project;
use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tower_service::Service;

pin_project! {
    /// Response future of [`RequireService`](super::RequireService).
    ///
    /// Its drop cancels the running check or inner call.
    #[must_use = "futures do nothing unless polled"]
    pub struct RequireFuture<S, F, R, ReqBody> {
        #[pin]
        state: State<S, F, ReqBody>,
        reply: Reply<R>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F, ReqBody> {
        Refused { rejection: Option<Rejection> },
        Waiting { answer: AuthFuture, held: Option<Box<WaitingRequest<S, ReqBody>>> },
        Queueing { held: Option<Box<WaitingRequest<S, ReqBody>>> },
        Calling { #[pin] response: F },
    }
}

/// A request that waits for the answer of an authenticator, and then for the readiness of the inner
/// service. The future boxes it, because most answers are ready at once.
pub(super) struct WaitingRequest<S, ReqBody> {
    pub(super) request: Request<ReqBody>,
    /// A clone of the inner service that has not been polled ready.
    pub(super) inner: S,
    /// The rest of the check.
    pub(super) rest: AfterAuth,
}

impl<S, F, R, ReqBody> RequireFuture<S, F, R, ReqBody> {
    pub(super) fn calling(response: F, reply: Reply<R>) -> Self {
        Self { state: State::Calling { response }, reply }
    }

    pub(super) fn refused(rejection: Rejection, reply: Reply<R>) -> Self {
        Self { state: State::Refused { rejection: Some(rejection) }, reply }
    }

    pub(super) fn waiting(
        answer: AuthFuture,
        held: WaitingRequest<S, ReqBody>,
        reply: Reply<R>,
    ) -> Self {
        Self { state: State::Waiting { answer, held: Some(Box::new(held)) }, reply }
    }
}

impl<S, F, R, ReqBody, ResBody, E> Future for RequireFuture<S, F, R, ReqBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>, Error = E, Future = F>,
    F: Future<Output = Result<Response<ResBody>, E>>,
    R: RejectWith<ResBody>,
{
    type Output = Result<Response<R::Body>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let reply = this.reply;
        loop {
            match this.state.as_mut().project() {
                StateProj::Calling { response } => {
                    let response = ready!(reply.span.in_scope(|| response.poll(cx)))?;
                    return Poll::Ready(Ok(reply.pass(response)));
                }
                StateProj::Refused { rejection } => match rejection.take() {
                    Some(rejection) => return Poll::Ready(Ok(reply.refuse(rejection))),
                    None => return Poll::Pending, // polled again after completion
                },
                StateProj::Waiting { answer, held } => {
                    let answer = ready!(reply.span.in_scope(|| answer.as_mut().poll(cx)));
                    let Some(mut held) = held.take() else {
                        return Poll::Pending; // as above
                    };
                    let WaitingRequest { request, rest, .. } = &mut *held;
                    let allowed =
                        reply.span.in_scope(|| rest.finish(request.extensions_mut(), answer));
                    match allowed {
                        Ok(()) => this.state.set(State::Queueing { held: Some(held) }),
                        Err(rejection) => return Poll::Ready(Ok(reply.refuse(rejection))),
                    }
                }
                StateProj::Queueing { held: waiting } => {
                    let Some(held) = waiting else {
                        return Poll::Pending; // as above
                    };
                    ready!(reply.span.in_scope(|| held.inner.poll_ready(cx)))?;
                    let Some(WaitingRequest { request, mut inner, .. }) =
                        waiting.take().map(|held| *held)
                    else {
                        return Poll::Pending; // as above
                    };
                    // The token may have expired while the request waited.
                    if let Ok(Some(auth)) = AuthContext::optional(request.extensions())
                        && let Err(over) = auth.remaining()
                    {
                        return Poll::Ready(Ok(reply.refuse(over)));
                    }
                    let response = reply.span.in_scope(|| inner.call(request));
                    this.state.set(State::Calling { response });
                }
            }
        }
    }
}

impl<S, F, R, ReqBody> fmt::Debug for RequireFuture<S, F, R, ReqBody> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequireFuture").finish_non_exhaustive()
    }
}
