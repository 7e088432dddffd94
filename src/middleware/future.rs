//! The response of a checked request, or its refusal.

use super::{Check, vary};
use crate::{
    auth::{AuthContext, AuthFuture},
    context::X_REQUEST_ID,
    id::RequestId,
    rejection::{
        Dialect, Plain, RejectWith, Rejection, belongs_to_body, forbid_sniffing, forbid_storing,
    },
};
use http::{HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use std::{
    fmt, mem,
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
        Queueing { held: Option<Box<Held<S, C, ReqBody>>> },
        Calling { #[pin] response: F },
    }
}

/// What waits for an authenticator's answer, and then for the inner service to be ready. Kept out of
/// line: most answers are there at once.
pub(super) struct Held<S, C, ReqBody> {
    pub(super) request: Request<ReqBody>,
    /// An instance of the inner service that reserves nothing yet.
    pub(super) inner: S,
    pub(super) check: C,
}

/// How the request is answered, whatever the answer.
pub(super) struct Reply<R> {
    pub(super) reject_with: R,
    pub(super) dialect: Dialect,
    /// Whom an `EventSource` is told that the notice is for.
    pub(super) request_id: Option<RequestId>,
    pub(super) to_head: bool,
    pub(super) span: Span,
    pub(super) echo: Option<HeaderValue>,
    pub(super) vary: Option<HeaderValue>,
}

impl<R> Reply<R> {
    /// Refuses on this layer's own account.
    fn refuse<B>(&mut self, mut rejection: Rejection) -> Response<R::Body>
    where
        R: RejectWith<B>,
    {
        let response = self.span.in_scope(|| {
            rejection.log();
            self.tell(&rejection)
        });
        self.finish(response, Some(rejection))
    }

    /// Answers with what the inner service answers.
    fn pass<B>(&mut self, mut response: Response<B>) -> Response<R::Body>
    where
        R: RejectWith<B>,
    {
        let Some(mut rejection) = response.extensions_mut().remove::<Rejection>() else {
            let response = self.reject_with.pass(response);
            return self.finish(response, None);
        };
        // A refusal from inside. The log is told here, unless a layer further in did.
        let response = self.span.in_scope(|| {
            rejection.log();
            let plain = response.extensions_mut().remove::<Plain>();
            match plain.and_then(|plain| plain.still(&response, self.to_head)) {
                // An extractor cannot know how this layer refuses, nor who asks.
                Some(told) => self.tell_anew(response, &told),
                None => self.reject_with.pass(response),
            }
        });
        self.finish(response, Some(rejection))
    }

    /// The rejection in the dialect of the request and in the style of this layer: no layer outside
    /// tells it once more.
    fn tell<B>(&self, rejection: &Rejection) -> Response<R::Body>
    where
        R: RejectWith<B>,
    {
        let mut response = match &self.request_id {
            Some(id) => {
                let named = rejection.clone().with_request_id(id.clone());
                self.reject_with.reject(&named, self.dialect)
            }
            None => self.reject_with.reject(rejection, self.dialect),
        };
        response.extensions_mut().remove::<Plain>();
        response
    }

    /// Puts the rejection in the place of what was said in plain words. What others inside said
    /// about the response, and not about its body, stays.
    fn tell_anew<B>(&self, plain: Response<B>, rejection: &Rejection) -> Response<R::Body>
    where
        R: RejectWith<B>,
    {
        let mut response = self.tell(rejection);
        let (mut parts, _) = plain.into_parts();
        for name in parts.headers.keys().filter(|name| !belongs_to_body(name)) {
            for value in parts.headers.get_all(name) {
                response.headers_mut().append(name, value.clone());
            }
        }
        parts.extensions.extend(mem::take(response.extensions_mut()));
        *response.extensions_mut() = parts.extensions;
        response
    }

    /// What every answer bears, and what every refusal does.
    fn finish<B>(
        &mut self,
        mut response: Response<B>,
        rejection: Option<Rejection>,
    ) -> Response<B> {
        if let Some(rejection) = rejection {
            forbid_storing(response.headers_mut());
            if self.dialect != Dialect::Grpc {
                forbid_sniffing(response.headers_mut());
            }
            // Layers outside count and restyle by it.
            response.extensions_mut().insert(rejection);
        }
        if let Some(names) = &self.vary {
            vary::add(response.headers_mut(), names);
        }
        if let Some(id) = self.echo.take() {
            response.headers_mut().insert(X_REQUEST_ID, id);
        }
        response
    }
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
                    let Some(mut held) = held.take() else {
                        return Poll::Pending; // as above
                    };
                    let Held { request, check, .. } = &mut *held;
                    let allowed =
                        reply.span.in_scope(|| check.finish(request.extensions_mut(), answer));
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
                    let Some(Held { request, mut inner, .. }) = waiting.take().map(|held| *held)
                    else {
                        return Poll::Pending; // as above
                    };
                    // The queue may have been long.
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

impl<S, F, C, R, ReqBody> fmt::Debug for RequireFuture<S, F, C, R, ReqBody> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequireFuture").finish_non_exhaustive()
    }
}
