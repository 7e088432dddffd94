//! Refuses WebSocket upgrades with a close code, which a page in a browser can read.

use crate::{
    context::X_REQUEST_ID,
    rejection::{Rejection, forbid_storing},
    ws::Handshake,
};
use http::{Request, Response, header};
use pin_project_lite::pin_project;
use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tower_layer::Layer;
use tower_service::Service;

/// Accepts a WebSocket upgrade that inner layers or the handler refuse, and closes the connection at once
/// with the close code of the refusal. The close reason is the `code` of the refusal.
///
/// For every refused upgrade, a browser gives the page only the code 1006. With this layer outside of the
/// others, the page gets 4401, 4403 or 1013, and can react to it. On the other hand, other clients lose
/// the HTTP status, and each refused upgrade costs a connection for up to two seconds. So this layer is
/// optional.
///
/// It works with hyper, which axum's server uses, over HTTP/1.1 and HTTP/2. Other requests and responses
/// pass unchanged.
///
/// ```
/// use axum::{Router, routing::any};
/// use tower_tenancy::{CloseRefusedUpgrades, RequireTenantScope};
/// # async fn talk() {}
/// # fn router(tenancy: RequireTenantScope) -> Router {
/// Router::new().route("/ws/{thread}", any(talk)).layer(tenancy).layer(CloseRefusedUpgrades)
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct CloseRefusedUpgrades;

impl<S> Layer<S> for CloseRefusedUpgrades {
    type Service = CloseRefusedService<S>;

    fn layer(&self, inner: S) -> CloseRefusedService<S> {
        CloseRefusedService { inner }
    }
}

/// Middleware that closes refused upgrades. Made by [`CloseRefusedUpgrades`].
#[derive(Clone, Copy, Debug)]
pub struct CloseRefusedService<S> {
    inner: S,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for CloseRefusedService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Default,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = CloseRefusedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let handshake = Handshake::of(&request).ok();
        CloseRefusedFuture { response: self.inner.call(request), handshake }
    }
}

pin_project! {
    /// Response future of [`CloseRefusedService`].
    #[must_use = "futures do nothing unless polled"]
    pub struct CloseRefusedFuture<F> {
        #[pin]
        response: F,
        handshake: Option<Handshake>,
    }
}

impl<F, ResBody, E> Future for CloseRefusedFuture<F>
where
    F: Future<Output = Result<Response<ResBody>, E>>,
    ResBody: Default,
{
    type Output = Result<Response<ResBody>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.response.poll(cx))?;
        let refused = response.extensions().get::<Rejection>();
        // A handler may accept the upgrade and still leave a rejection in the extensions.
        let status = response.status();
        let handshake = this.handshake.take().filter(|asked| !asked.is_accepted_by(status));
        let (Some(rejection), Some(handshake)) = (refused, handshake) else {
            return Poll::Ready(Ok(response));
        };
        let mut accepted = handshake.close(rejection.kind().close_code(), rejection.code());
        let (parts, _) = response.into_parts();
        // Keeps the request id, the rejection, and the extensions that inner layers set for outer ones.
        if let Some(id) = parts.headers.get(X_REQUEST_ID) {
            accepted.headers_mut().insert(X_REQUEST_ID, id.clone());
        }
        for value in parts.headers.get_all(header::VARY) {
            accepted.headers_mut().append(header::VARY, value.clone());
        }
        forbid_storing(accepted.headers_mut());
        *accepted.extensions_mut() = parts.extensions;
        Poll::Ready(Ok(accepted.map(|()| ResBody::default())))
    }
}

impl<F> fmt::Debug for CloseRefusedFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloseRefusedFuture").finish_non_exhaustive()
    }
}
