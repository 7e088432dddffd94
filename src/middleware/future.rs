//! The response of a checked request, or its refusal.

use super::Check;
use crate::{
    auth::AuthFuture,
    context::X_REQUEST_ID,
    rejection::{Client, RejectWith, Rejection, problem},
};
use http::{HeaderValue, Request, Response, header};
use pin_project_lite::pin_project;
use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tower_service::Service;
use tracing::Span;

pin_project! {
    /// Response future of [`RequireService`](super::RequireService).
    ///
    /// Dropping it drops whichever is running, the check or the inner call.
    #[must_use = "futures do nothing unless polled"]
    pub struct RequireFuture<S, F, C, R, ReqBody> {
        #[pin]
        state: State<S, F, C, ReqBody>,
        reply: Reply<R>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F, C, ReqBody> {
        Refused { rejection: Option<Rejection> },
        Waiting { answer: AuthFuture, held: Option<Box<Held<S, C, ReqBody>>> },
        Calling { #[pin] response: F },
    }
}

/// What waits for an authenticator's answer. Kept out of line: most answers are there at once.
pub(super) struct Held<S, C, ReqBody> {
    pub(super) request: Request<ReqBody>,
    /// The instance of the inner service that was polled ready.
    pub(super) ready: S,
    pub(super) check: C,
}

/// How the request is answered, whatever the answer.
pub(super) struct Reply<R> {
    pub(super) reject_with: R,
    pub(super) client: Client,
    pub(super) span: Span,
    pub(super) echo: Option<HeaderValue>,
}

impl<R> Reply<R> {
    fn refuse<B>(&mut self, mut rejection: Rejection) -> Response<R::Body>
    where
        R: RejectWith<B>,
    {
        let response = self.span.in_scope(|| {
            rejection.log();
            rejection.dress();
            self.reject_with.reject(&rejection, self.client)
        });
        self.echoing(response, Some(rejection))
    }

    fn pass<B>(&mut self, mut response: Response<B>) -> Response<R::Body>
    where
        R: RejectWith<B>,
    {
        let mut rejection = response.extensions_mut().remove::<Rejection>();
        if let Some(inner) =
            rejection.take_if(|inner| !inner.is_dressed() && untouched(&response, inner))
        {
            // An extractor cannot know how this layer refuses, nor who asks.
            let plain = problem(&inner);
            let mut dressed = self.refuse(inner);
            let (parts, _) = response.into_parts();
            let kept = parts.headers.keys().filter(|name| {
                !plain.headers().contains_key(*name) && *name != header::CONTENT_LENGTH
            });
            for name in kept {
                for value in parts.headers.get_all(name) {
                    dressed.headers_mut().append(name, value.clone());
                }
            }
            return dressed;
        }
        // Told in a way of its own; the log is told here, unless a layer further in did.
        if let Some(inner) = &mut rejection {
            self.span.in_scope(|| inner.log());
        }
        let response = self.reject_with.pass(response);
        self.echoing(response, rejection)
    }

    /// Layers outside count and restyle by the rejection in the extensions.
    fn echoing<B>(
        &mut self,
        mut response: Response<B>,
        rejection: Option<Rejection>,
    ) -> Response<B> {
        if let Some(rejection) = rejection {
            response.extensions_mut().insert(rejection);
        }
        if let Some(id) = self.echo.take() {
            response.headers_mut().insert(X_REQUEST_ID, id);
        }
        response
    }
}

/// Whether the response still is what [`problem`] made of the rejection: a handler or a layer
/// inside may have put its own answer in its place.
fn untouched<B>(response: &Response<B>, rejection: &Rejection) -> bool {
    let content_type = response.headers().get(header::CONTENT_TYPE);
    response.status() == rejection.status()
        && content_type.is_some_and(|value| value == "application/problem+json")
}

impl<S, F, C, R, ReqBody> RequireFuture<S, F, C, R, ReqBody> {
    pub(super) fn calling(response: F, reply: Reply<R>) -> Self {
        Self { state: State::Calling { response }, reply }
    }

    pub(super) fn refused(rejection: Rejection, reply: Reply<R>) -> Self {
        Self { state: State::Refused { rejection: Some(rejection) }, reply }
    }

    pub(super) fn waiting(answer: AuthFuture, held: Held<S, C, ReqBody>, reply: Reply<R>) -> Self {
        Self { state: State::Waiting { answer, held: Some(Box::new(held)) }, reply }
    }
}

impl<S, F, C, R, ReqBody, ResBody, E> Future for RequireFuture<S, F, C, R, ReqBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>, Error = E, Future = F>,
    F: Future<Output = Result<Response<ResBody>, E>>,
    C: Check,
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
                    None => return Poll::Pending, // polled again after it was done
                },
                StateProj::Waiting { answer, held } => {
                    let answer = ready!(reply.span.in_scope(|| answer.as_mut().poll(cx)));
                    let Some(Held { mut request, mut ready, check }) =
                        held.take().map(|held| *held)
                    else {
                        return Poll::Pending; // as above
                    };
                    let called = reply.span.in_scope(|| {
                        check.finish(request.extensions_mut(), answer)?;
                        Ok(ready.call(request))
                    });
                    match called {
                        Ok(response) => this.state.set(State::Calling { response }),
                        Err(rejection) => return Poll::Ready(Ok(reply.refuse(rejection))),
                    }
                }
            }
        }
    }
}

impl<S, F, C, R, ReqBody> fmt::Debug for RequireFuture<S, F, C, R, ReqBody> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequireFuture").finish_non_exhaustive()
    }
}
