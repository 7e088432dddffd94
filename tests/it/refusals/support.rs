//! Services that answer, and their answers.

use crate::layers::verifier;
use axum::{
    Router,
    body::Body,
    response::{IntoResponse as _, Response},
    routing::any,
};
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use tower::{Layer, Service, ServiceExt as _};
use tower_tenancy::{Rejection, RejectionKind, RequireTenantScope};

/// The response of `layer` around `router`.
pub(super) async fn answer<L>(layer: L, router: Router, request: Request<()>) -> Response
where
    L: Layer<Router>,
    L::Service: Service<Request<Body>, Response = Response, Error = std::convert::Infallible>,
{
    layer.layer(router).oneshot(request.map(|()| Body::empty())).await.unwrap()
}

pub(super) fn handler(answer: impl Fn() -> Response + Clone + Send + Sync + 'static) -> Router {
    Router::new().route("/", any(move || std::future::ready(answer())))
}

pub(super) fn forbidden() -> Rejection {
    Rejection::new(RejectionKind::ThreadForbidden)
}

/// A layer with its own, recognisable style.
pub(super) fn styled() -> RequireTenantScope<impl Fn(&Rejection) -> Response + Clone> {
    RequireTenantScope::new(verifier()).reject_with(|rejection: &Rejection| {
        (StatusCode::IM_A_TEAPOT, rejection.code()).into_response()
    })
}

pub(super) async fn text(response: Response) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8_lossy(&bytes).into_owned()
}
