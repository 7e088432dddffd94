//! The outermost layer of a service that takes tickets.

use crate::{
    event::{LAST_EVENT_ID, LastEventId},
    origin::Head,
    query,
    rejection::{Rejection, RejectionKind},
    scope::Contexts,
    ticket::{Opening, Redeemed, TICKET_QUERY, TicketIssuer, TicketKey, TicketRecord},
};
use http::{HeaderValue, Request, Response};
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
/// ticket. (In axum that is not `Router::layer`: the router keeps the original URI before its layers
/// run.) It refuses nothing itself: a ticket that proves nothing is refused by the layers inside, in
/// their style and with their request id, and so is one on a route whose layers do not
/// [take tickets](crate::RequireTenantScope::or_ticket). A request without a ticket passes unchanged.
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
    type Future = RedeemFuture<S, S::Future, ReqBody, ResBody>;

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
        RedeemFuture { state, issuer: self.issuer.clone(), first: None }
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Redeemed, Rejection>> + Send>>;

pin_project! {
    /// Response future of [`RedeemService`].
    #[must_use = "futures do nothing unless polled"]
    pub struct RedeemFuture<S, F, ReqBody, ResBody> {
        #[pin]
        state: State<S, F, ReqBody, ResBody>,
        issuer: TicketIssuer,
        // A ticket that was used for the first time, until its stream is open.
        first: Option<(TicketKey, TicketRecord)>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F, ReqBody, ResBody> {
        Redeeming { answer: Answer, held: Option<(S, Request<ReqBody>)> },
        Calling { #[pin] response: F },
        GivingBack {
            done: Pin<Box<dyn Future<Output = ()> + Send>>,
            response: Option<Response<ResBody>>,
        },
    }
}

impl<S, F, ReqBody, ResBody, E> Future for RedeemFuture<S, F, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>, Error = E, Future = F>,
    F: Future<Output = Result<Response<ResBody>, E>>,
{
    type Output = Result<Response<ResBody>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Calling { response } => {
                    let response = ready!(response.poll(cx))?;
                    let refused = response.extensions().get::<Rejection>();
                    let ours = refused.is_some_and(|rejection| rejection.kind().is_retryable());
                    let Some((key, record)) = this.first.take().filter(|_| ours) else {
                        return Poll::Ready(Ok(response));
                    };
                    // The browser is asked to come back, with the same URL.
                    let issuer = this.issuer.clone();
                    let done = Box::pin(async move { issuer.give_back(key, record).await });
                    this.state.set(State::GivingBack { done, response: Some(response) });
                }
                StateProj::GivingBack { done, response } => {
                    ready!(done.as_mut().poll(cx));
                    return match response.take() {
                        Some(response) => Poll::Ready(Ok(response)),
                        None => Poll::Pending, // polled again after it was done
                    };
                }
                StateProj::Redeeming { answer, held } => {
                    let answer = ready!(answer.as_mut().poll(cx));
                    let Some((mut inner, mut request)) = held.take() else {
                        return Poll::Pending; // as above
                    };
                    let answer = answer.map(|redeemed| {
                        start(&mut request, redeemed.start());
                        let auth = redeemed.auth.clone();
                        *this.first = redeemed.into_first();
                        auth
                    });
                    Contexts::set_redeemed(request.extensions_mut(), answer);
                    let response = inner.call(request);
                    this.state.set(State::Calling { response });
                }
            }
        }
    }
}

/// Says where the stream starts, unless the request does.
fn start<B>(request: &mut Request<B>, from: Option<&str>) {
    let said = LastEventId::of(request.headers(), request.uri());
    if let (Some(from), Ok(None)) = (from, said)
        && let Ok(from) = HeaderValue::try_from(from)
    {
        request.headers_mut().insert(LAST_EVENT_ID, from);
    }
}

impl<S, F, ReqBody, ResBody> fmt::Debug for RedeemFuture<S, F, ReqBody, ResBody> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedeemFuture").finish_non_exhaustive()
    }
}
