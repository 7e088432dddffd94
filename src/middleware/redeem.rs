//! The outermost layer of a service that takes tickets.

use crate::{
    auth::AuthContext,
    origin::Head,
    query,
    rejection::{Rejection, RejectionKind},
    scope::Contexts,
    ticket::{Opening, TICKET_QUERY, TicketIssuer},
};
use http::{Request, Response};
use pin_project_lite::pin_project;
use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tower_layer::Layer;
use tower_service::Service;

/// Takes the ticket out of the request's URI, and gives its tenant, env and caller to the layers
/// inside in place of headers.
///
/// Stands outermost, around tracing and around the whole router: no log and no handler sees the
/// ticket. It refuses nothing itself: a ticket that proves nothing is refused by the layers inside,
/// in their style and with their request id. A request without a ticket passes unchanged.
///
/// ```
/// use axum::{Router, ServiceExt as _, extract::Request};
/// use tower::Layer as _;
/// use tower_tenancy::{RedeemTicket, TicketIssuer};
///
/// # async fn run(router: Router, tickets: TicketIssuer) -> std::io::Result<()> {
/// let service = RedeemTicket::new(tickets).layer(router);
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
/// axum::serve(listener, axum::ServiceExt::<Request>::into_make_service(service)).await
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct RedeemTicket {
    issuer: TicketIssuer,
}

impl RedeemTicket {
    /// Redeems the tickets of `issuer`.
    pub fn new(issuer: TicketIssuer) -> Self {
        Self { issuer }
    }
}

impl<S> Layer<S> for RedeemTicket {
    type Service = RedeemService<S>;

    fn layer(&self, inner: S) -> RedeemService<S> {
        RedeemService { inner, issuer: self.issuer.clone() }
    }
}

/// Middleware that redeems tickets. Made by [`RedeemTicket`].
#[derive(Clone, Debug)]
pub struct RedeemService<S> {
    inner: S,
    issuer: TicketIssuer,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for RedeemService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = RedeemFuture<S, S::Future, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let state = match query::take(request.uri_mut(), TICKET_QUERY) {
            Ok(None) => State::Calling { response: self.inner.call(request) },
            Ok(Some(secret)) => {
                let opening = Opening::of(Head::of(&request));
                let issuer = self.issuer.clone();
                let answer = Box::pin(async move { issuer.redeem(&secret, opening).await });
                // The instance that was polled ready goes with the request; a clone stays.
                let clone = self.inner.clone();
                let ready = mem::replace(&mut self.inner, clone);
                State::Redeeming { answer, held: Some((ready, request)) }
            }
            Err(query::Repeated) => {
                let rejection = Rejection::new(RejectionKind::ContextInvalid)
                    .with_detail("The request bears more than one ticket.");
                Contexts::set_redeemed(request.extensions_mut(), Err(rejection));
                State::Calling { response: self.inner.call(request) }
            }
        };
        RedeemFuture { state }
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<AuthContext, Rejection>> + Send>>;

pin_project! {
    /// Response future of [`RedeemService`].
    #[must_use = "futures do nothing unless polled"]
    pub struct RedeemFuture<S, F, ReqBody> {
        #[pin]
        state: State<S, F, ReqBody>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F, ReqBody> {
        Redeeming { answer: Answer, held: Option<(S, Request<ReqBody>)> },
        Calling { #[pin] response: F },
    }
}

impl<S, F, ReqBody, ResBody, E> Future for RedeemFuture<S, F, ReqBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>, Error = E, Future = F>,
    F: Future<Output = Result<Response<ResBody>, E>>,
{
    type Output = Result<Response<ResBody>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProj::Calling { response } => return response.poll(cx),
                StateProj::Redeeming { answer, held } => {
                    let answer = ready!(answer.as_mut().poll(cx));
                    let Some((mut inner, mut request)) = held.take() else {
                        return Poll::Pending; // polled again after it was done
                    };
                    Contexts::set_redeemed(request.extensions_mut(), answer);
                    let response = inner.call(request);
                    state.set(State::Calling { response });
                }
            }
        }
    }
}

impl<S, F, ReqBody> fmt::Debug for RedeemFuture<S, F, ReqBody> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedeemFuture").finish_non_exhaustive()
    }
}
