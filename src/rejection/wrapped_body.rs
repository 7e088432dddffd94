//! A response body: the body of the inner service, or a refusal.

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::{
    pin::Pin,
    task::{Context, Poll},
};

pin_project_lite::pin_project! {
    /// The body of the inner service, or a refusal. Made by [`WrapBody`](super::WrapBody).
    #[derive(Debug)]
    pub struct WrappedBody<B> {
        #[pin]
        body: Either<B>,
    }
}

pin_project_lite::pin_project! {
    #[derive(Debug)]
    #[project = EitherProj]
    enum Either<B> {
        Inner { #[pin] inner: B },
        Refusal { bytes: Option<Bytes> },
    }
}

impl<B> WrappedBody<B> {
    pub(super) fn inner(inner: B) -> Self {
        Self { body: Either::Inner { inner } }
    }

    pub(super) fn refusal(bytes: Bytes) -> Self {
        Self { body: Either::Refusal { bytes: Some(bytes) } }
    }
}

impl<B: Body<Data = Bytes>> Body for WrappedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().body.project() {
            EitherProj::Inner { inner } => inner.poll_frame(cx),
            EitherProj::Refusal { bytes } => Poll::Ready(bytes.take().map(Frame::data).map(Ok)),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Either::Inner { inner } => inner.is_end_stream(),
            Either::Refusal { bytes } => bytes.as_ref().is_none_or(Bytes::is_empty),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Either::Inner { inner } => inner.size_hint(),
            Either::Refusal { bytes } => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64)
            }
        }
    }
}
