//! A guarded stream as a tonic response stream.

use super::status::status_of;
use crate::{
    delivery::Outbound,
    ending::Ending,
    id::RequestId,
    stream::{GuardedStream, IntoDelivery},
};
use futures_core::Stream;
use pin_project_lite::pin_project;
use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tonic::Status;

/// How many items in a row `message` may leave out before the stream yields to other tasks.
const SKIP_BUDGET: usize = 64;

impl<S> GuardedStream<S> {
    /// The stream as a tonic response stream. `message` makes its items of events, positions and gaps. It
    /// ends with the status of its [`Ending`].
    ///
    /// `message` also gets the id of the request, because notices have it as `meta.trace_id`, like
    /// events. It returns `None` for items that clients do not get. It never gets an [`Outbound::End`],
    /// which becomes the status. The status has the id of the request in the metadata `x-request-id`.
    ///
    /// ```
    /// use futures_util::Stream;
    /// use tonic::{Request, Response, Status};
    /// use tower_tenancy::{
    ///     LastEventId, MemoryLog, MemoryRegistry, TenantScope, delivery::Outbound,
    ///     verify_thread_access,
    /// };
    ///
    /// struct Subscribe { thread_id: String, last_event_id: String }
    ///
    /// async fn subscribe(
    ///     request: Request<Subscribe>,
    ///     threads: &MemoryRegistry,
    ///     log: &MemoryLog,
    /// ) -> Result<Response<impl Stream<Item = Result<String, Status>>>, Status> {
    ///     let scope = TenantScope::from_extensions(request.extensions())?;
    ///     let asked = request.get_ref();
    ///     let from = LastEventId::parse(&asked.last_event_id)?;
    ///     let grant = verify_thread_access(threads, scope, &asked.thread_id).await?;
    ///     let events = grant.subscribe(log, from).await?;
    ///     Ok(Response::new(grant.guard(events).into_grpc(|outbound, _| match outbound {
    ///         Outbound::Event(event) => Some(event.to_json()),
    ///         _ => None,
    ///     })))
    /// }
    /// ```
    pub fn into_grpc<M, F>(self, message: F) -> GrpcStream<S, F>
    where
        F: FnMut(Outbound, &RequestId) -> Option<M>,
    {
        GrpcStream { guarded: self, message, retry: Duration::from_secs(3), ended: false }
    }
}

pin_project! {
    /// A guarded stream as a tonic response stream. Made by [`GuardedStream::into_grpc`].
    #[must_use = "streams do nothing unless polled"]
    pub struct GrpcStream<S, F> {
        #[pin]
        guarded: GuardedStream<S>,
        message: F,
        retry: Duration,
        ended: bool,
    }
}

impl<S, F> GrpcStream<S, F> {
    /// The delay before the client reconnects by itself, after an ending that asks for a delay. The
    /// client gets a random delay between this value and twice this value. For [`Ending::Limit`], it is
    /// ten times as long. Default: 3 seconds.
    pub fn retry(mut self, delay: Duration) -> Self {
        self.retry = delay;
        self
    }
}

impl<S, F, M> Stream for GrpcStream<S, F>
where
    S: Stream,
    S::Item: IntoDelivery,
    F: FnMut(Outbound, &RequestId) -> Option<M>,
{
    type Item = Result<M, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        for _ in 0..SKIP_BUDGET {
            if *this.ended {
                return Poll::Ready(None);
            }
            let outbound = ready!(this.guarded.as_mut().poll_next(cx));
            *this.ended = matches!(outbound, None | Some(Outbound::End(_)));
            match outbound {
                None | Some(Outbound::End(Ending::Complete)) => return Poll::Ready(None),
                Some(Outbound::End(ending)) => {
                    let trace_id = this.guarded.grant().scope().request_id();
                    return Poll::Ready(Some(Err(status_of(ending, trace_id, *this.retry))));
                }
                Some(outbound) => {
                    let trace_id = this.guarded.grant().scope().request_id();
                    if let Some(message) = (this.message)(outbound, trace_id) {
                        return Poll::Ready(Some(Ok(message)));
                    }
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S: fmt::Debug, F> fmt::Debug for GrpcStream<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcStream").field("guarded", &self.guarded).finish_non_exhaustive()
    }
}
