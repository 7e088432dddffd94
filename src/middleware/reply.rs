//! How a layer answers: with its refusal, or with what the service inside answers.

use super::vary;
use crate::{
    context::X_REQUEST_ID,
    id::RequestId,
    rejection::{
        Dialect, Plain, RejectWith, Rejection, belongs_to_body, nobody_sniffs, nobody_stores,
    },
};
use http::{HeaderValue, Response};
use std::mem;
use tracing::Span;

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

    /// Answers with what the inner service answers.
    pub(super) fn pass<B>(&mut self, mut response: Response<B>) -> Response<R::Body>
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
                Some(told) => self.render_again(response, &told),
                None => self.reject_with.pass(response),
            }
        });
        self.finish(response, Some(rejection))
    }

    /// The rejection in the dialect of the request and in the style of this layer: no layer outside
    /// tells it once more.
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

    /// Puts the rejection in the place of what was said in plain words. What others inside said
    /// about the response, and not about its body, stays.
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

    /// What every answer bears, and what every refusal does.
    fn finish<B>(
        &mut self,
        mut response: Response<B>,
        rejection: Option<Rejection>,
    ) -> Response<B> {
        if let Some(rejection) = rejection {
            nobody_stores(response.headers_mut());
            if self.dialect != Dialect::Grpc {
                nobody_sniffs(response.headers_mut());
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
