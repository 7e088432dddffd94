//! The outermost layer of a service that accepts tickets.

use crate::{
    event::{LAST_EVENT_ID, LastEventId},
    rejection::{Rejection, RejectionKind},
    request::{RequestHead, query},
    scope::Contexts,
    ticket::{Opened, Opening, Redeemed, TICKET_QUERY, TicketIssuer},
};
use http::{HeaderValue, Request, Response, StatusCode};
use pin_project_lite::pin_project;
use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tower_layer::Layer;
use tower_service::Service;

/// Removes the ticket from the request's URI, and passes the ticket's tenant, env and caller to the inner
/// layers, in place of headers.
///
/// Make it the outermost layer, around tracing and around the whole router, so that no log line and no
/// handler contains the ticket. In axum, `Router::layer` is not enough: the router stores the original URI
/// before its layers run. This layer does not refuse requests. The inner layers refuse an invalid ticket,
/// in their style and with their request id. They also refuse a ticket on a route whose layers do not
/// [accept tickets](crate::RequireTenantScope::or_ticket). A request without a ticket passes unchanged.
///
/// While the request waits for the ticket store, it does not hold the resources that the inner service's
/// readiness reserved, such as a permit of a concurrency limit. Before the call of the inner service, it
/// waits for readiness again.
///
/// If a ticket opens no stream because of a server-side failure (a 429 or 503, or an error of the inner
/// service), the layer gives it back to the store, and the client can use it again. If the client leaves
/// before there is a response, the ticket stays used.
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
    type Future = RedeemFuture<S, S::Future, ReqBody, ResBody, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let state = match query::take(request.uri_mut(), TICKET_QUERY) {
            Ok(None) => State::Calling { response: self.inner.call(request) },
            Ok(Some(secret)) => {
                let opening = Opening::of(RequestHead::of(&request));
                let issuer = self.issuer.clone();
                let answer = Box::pin(async move { issuer.redeem(&secret, opening).await });
                // Drops the instance that was polled ready, with the resources that it reserved. The future
                // polls the request's clone until it is ready, when the store has answered.
                let inner = self.inner.clone();
                self.inner = inner.clone();
                State::Redeeming { answer, held: Some((inner, request)) }
            }
            Err(query::Repeated) => {
                let rejection = Rejection::new(RejectionKind::ContextInvalid)
                    .with_detail("The request has more than one ticket. Send one.");
                Contexts::set_redeemed(request.extensions_mut(), Err(rejection));
                State::Calling { response: self.inner.call(request) }
            }
        };
        RedeemFuture { state, issuer: self.issuer.clone(), opened: None }
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Redeemed, Rejection>> + Send>>;

pin_project! {
    /// Response future of [`RedeemService`].
    ///
    /// If it is dropped after the call of the store, the ticket stays used.
    #[must_use = "futures do nothing unless polled"]
    pub struct RedeemFuture<S, F, ReqBody, ResBody, E> {
        #[pin]
        state: State<S, F, ReqBody, ResBody, E>,
        issuer: TicketIssuer,
        // A ticket that this request used for the first time, until its stream is open.
        opened: Option<Opened>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F, ReqBody, ResBody, E> {
        Redeeming { answer: Answer, held: Option<(S, Request<ReqBody>)> },
        /// The store has answered. The inner service is not ready yet.
        Waiting { inner: S, request: Option<Request<ReqBody>> },
        Calling { #[pin] response: F },
        GivingBack {
            done: Pin<Box<dyn Future<Output = ()> + Send>>,
            outcome: Option<Result<Response<ResBody>, E>>,
        },
    }
}

/// Whether a server-side failure prevented the stream.
fn is_server_side_failure<B, E>(outcome: &Result<Response<B>, E>) -> bool {
    outcome.as_ref().map_or(true, |response| {
        let refused = response.extensions().get::<Rejection>();
        // Refusals of other crates' layers have only a status.
        let busy = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE];
        refused.is_some_and(|rejection| rejection.kind().is_retryable())
            || busy.contains(&response.status())
    })
}

impl<S, F, ReqBody, ResBody, E> Future for RedeemFuture<S, F, ReqBody, ResBody, E>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>, Error = E, Future = F>,
    F: Future<Output = Result<Response<ResBody>, E>>,
{
    type Output = Result<Response<ResBody>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let outcome = match this.state.as_mut().project() {
                StateProj::Calling { response } => ready!(response.poll(cx)),
                StateProj::GivingBack { done, outcome } => {
                    ready!(done.as_mut().poll(cx));
                    return match outcome.take() {
                        Some(outcome) => Poll::Ready(outcome),
                        None => Poll::Pending, // polled again after completion
                    };
                }
                StateProj::Redeeming { answer, held } => {
                    let answer = ready!(answer.as_mut().poll(cx));
                    let Some((inner, mut request)) = held.take() else {
                        return Poll::Pending; // as above
                    };
                    let answer = answer.map(|redeemed| {
                        start(&mut request, redeemed.start());
                        *this.opened = redeemed.opened();
                        redeemed.auth
                    });
                    Contexts::set_redeemed(request.extensions_mut(), answer);
                    this.state.set(State::Waiting { inner, request: Some(request) });
                    continue;
                }
                StateProj::Waiting { inner, request } => match ready!(inner.poll_ready(cx)) {
                    Ok(()) => {
                        let Some(request) = request.take() else {
                            return Poll::Pending; // as above
                        };
                        let response = inner.call(request);
                        this.state.set(State::Calling { response });
                        continue;
                    }
                    Err(error) => Err(error),
                },
            };
            let Some(opened) = this.opened.take().filter(|_| is_server_side_failure(&outcome))
            else {
                return Poll::Ready(outcome);
            };
            // A browser retries with the same URL.
            let issuer = this.issuer.clone();
            let done = Box::pin(async move { issuer.give_back(opened).await });
            this.state.set(State::GivingBack { done, outcome: Some(outcome) });
        }
    }
}

/// Sets the start of the stream to the ticket's start, unless the request names a start itself.
fn start<B>(request: &mut Request<B>, from: Option<&str>) {
    let said = LastEventId::of(request.headers(), request.uri());
    if let (Some(from), Ok(None)) = (from, said)
        && let Ok(from) = HeaderValue::try_from(from)
    {
        request.headers_mut().insert(LAST_EVENT_ID, from);
    }
}

impl<S, F, ReqBody, ResBody, E> fmt::Debug for RedeemFuture<S, F, ReqBody, ResBody, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedeemFuture").finish_non_exhaustive()
    }
}
