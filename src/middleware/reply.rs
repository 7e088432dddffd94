//! The response of a layer: its own refusal, or the response of the inner service.

use super::vary;
use crate::{
    context::X_REQUEST_ID,
    id::RequestId,
    rejection::{
        Dialect, Plain, RejectWith, Rejection, belongs_to_body, forbid_sniffing, forbid_storing,
    },
};
use http::{HeaderValue, Response};
use std::mem;
use tracing::Span;

/// The data that a layer needs to finish the response to one request.
pub(super) struct Reply<R> {
    pub(super) reject_with: R,
    pub(super) dialect: Dialect,
    /// The request id for the notice to an `EventSource`.
    pub(super) request_id: Option<RequestId>,
    pub(super) to_head: bool,
    pub(super) span: Span,
    pub(super) echo: Option<HeaderValue>,
    pub(super) vary: Option<HeaderValue>,
}

impl<R> Reply<R> {
    /// Makes the response of a request that this layer refuses.
    pub(super) fn refuse<B>(&mut self, mut rejection: Rejection) -> Response<R::Body>
    where
        R: RejectWith<B>,
    {
        let response = self.span.in_scope(|| {
            rejection.log();
            self.render(&rejection)
        });
        self.finish(response, Some(rejection))
    }

    /// Passes on the response of the inner service.
    pub(super) fn pass<B>(&mut self, mut response: Response<B>) -> Response<R::Body>
    where
        R: RejectWith<B>,
    {
        let Some(mut rejection) = response.extensions_mut().remove::<Rejection>() else {
            let response = self.reject_with.pass(response);
            return self.finish(response, None);
        };
        // An inner service refused the request. Logs the rejection, unless an inner layer has done so.
        let response = self.span.in_scope(|| {
            rejection.log();
            let plain = response.extensions_mut().remove::<Plain>();
            match plain.and_then(|plain| plain.still(&response, self.to_head)) {
                // An extractor knows neither this layer's style nor the dialect of the request.
                Some(plain) => self.render_again(response, &plain),
                None => self.reject_with.pass(response),
            }
        });
        self.finish(response, Some(rejection))
    }

    /// Renders the rejection in the dialect of the request and in the style of this layer. Outer layers do
    /// not render it again.
    fn render<B>(&self, rejection: &Rejection) -> Response<R::Body>
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

    /// Renders the rejection of an inner service again. Keeps the headers of its response, except for those
    /// that describe the body.
    fn render_again<B>(&self, plain: Response<B>, rejection: &Rejection) -> Response<R::Body>
    where
        R: RejectWith<B>,
    {
        let mut response = self.render(rejection);
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

    /// Adds the headers of every response, and those of every refusal.
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
            // Outer layers use it to count refusals and to change their style.
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
