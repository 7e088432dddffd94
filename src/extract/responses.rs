//! `IntoResponse` for rejections and streams.

use crate::{
    rejection::{Rejection, problem},
    sse::SseBody,
    stream::IntoDelivery,
};
use axum_core::{
    body::Body,
    response::{IntoResponse, Response},
};
use futures_core::Stream;

impl IntoResponse for Rejection {
    /// Makes a problem+json response. The nearest outer layer of this crate renders the rejection again, in
    /// the dialect of the request and in the application's own style. It does not do so if a service in
    /// between has changed the status, the content type or the body.
    fn into_response(self) -> Response {
        problem(&self).map(Body::from)
    }
}

impl<S> IntoResponse for SseBody<S>
where
    S: Stream + Send + 'static,
    S::Item: IntoDelivery,
{
    fn into_response(self) -> Response {
        self.into_http().map(Body::new)
    }
}
