//! Guarded streams, rejections and endings in tonic's terms.
//!
//! The layers themselves need no tonic: put
//! `RequireTenantScope::new(verifier).reject_with(GrpcStatus)` into
//! `tonic::transport::Server::layer`, or around one service.

use crate::{
    delivery::Outbound,
    ending::{Ending, jittered},
    id::RequestId,
    middleware::RequireService,
    rejection::{RETRY_PUSHBACK, Rejection, TENANCY_CODE},
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
use tonic::{Code, Status, metadata::MetadataValue, server::NamedService};

/// Most items in a row that the application leaves out before other tasks have their turn.
const SKIP_BUDGET: usize = 64;

impl<S> GuardedStream<S> {
    /// The stream as a tonic response stream: items are what `message` makes of events, positions
    /// and gaps, and it ends with the status of its [`Ending`].
    ///
    /// `message` is given the request that the stream belongs to as well: notices name it as events do,
    /// as `meta.trace_id`. It gives `None` for what clients are not told. It is never asked about an
    /// [`Outbound::End`]: that is the status, with the request in the metadata `x-request-id`.
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
    /// How long a client waits that is told to come back by itself, before it is spread at random.
    /// Default: 3 seconds.
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

fn status_of(ending: Ending, trace_id: &RequestId, retry: Duration) -> Status {
    let delay = ending.retry_after(retry).map(jittered);
    let mut status = status(ending.grpc_code(), ending.code(), ending.detail(), delay);
    if let Ok(trace_id) = MetadataValue::try_from(trace_id.as_str()) {
        status.metadata_mut().insert("x-request-id", trace_id);
    }
    status
}

fn status(grpc: u8, code: &'static str, detail: &str, retry: Option<Duration>) -> Status {
    let mut status = Status::new(Code::from_i32(grpc.into()), detail);
    let metadata = status.metadata_mut();
    metadata.insert(TENANCY_CODE, MetadataValue::from_static(code));
    if let Some(delay) = retry {
        let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        metadata.insert(RETRY_PUSHBACK, MetadataValue::from(millis));
    }
    status
}

impl From<Rejection> for Status {
    /// With the stable code in the metadata `tenancy-code`, and `cache-control: no-store`. The log is told: to make a status of a
    /// rejection is to refuse.
    fn from(mut rejection: Rejection) -> Self {
        rejection.log();
        let kind = rejection.kind();
        let mut status =
            status(kind.grpc_code(), kind.code(), rejection.detail(), rejection.retry_after());
        status.metadata_mut().insert("cache-control", MetadataValue::from_static("no-store"));
        status.set_source(std::sync::Arc::new(rejection));
        status
    }
}

/// So that a layer can stand around one service of a server.
impl<S: NamedService, C, R> NamedService for RequireService<S, C, R> {
    const NAME: &'static str = S::NAME;
}

#[cfg(test)]
mod tests {
    use crate::{
        access::tests::grant,
        delivery::{Delivery, Outbound},
        ending::Ending,
        event::{StreamEvent, tests::routing},
        rejection::{RETRY_PUSHBACK, Rejection, RejectionKind},
        scope::tests::scope,
    };
    use futures_util::{FutureExt as _, StreamExt as _, stream};
    use tonic::Status;

    #[test]
    fn every_ending_has_the_status_of_the_table() {
        for ending in Ending::ALL {
            let event = StreamEvent::new(routing("t_a", "th"), "x", "y").unwrap();
            let source = stream::iter([Delivery::from(event), (*ending).into()]);
            let items = grant(scope("t_a"), "th").guard(source).into_grpc(|outbound, _| {
                let Outbound::Event(event) = outbound else { return None };
                Some(event.to_json())
            });
            let mut items: Vec<_> = items.collect::<Vec<_>>().now_or_never().expect("ready");
            if *ending == Ending::Complete {
                assert_eq!(items.len(), 1);
                continue;
            }
            let status = items.pop().unwrap().unwrap_err();
            assert_eq!(items.len(), 1, "one event before");
            assert_eq!(status.code() as u8, ending.grpc_code(), "{ending:?}");
            assert_eq!(status.metadata().get("tenancy-code").unwrap(), ending.code());
            assert_eq!(status.metadata().get("x-request-id").unwrap(), "req-1");
            let pushback = status.metadata().contains_key(RETRY_PUSHBACK);
            assert_eq!(pushback, ending.is_retryable(), "{ending:?}");
        }
    }

    #[test]
    fn a_rejection_is_a_status_with_its_code() {
        for kind in RejectionKind::ALL {
            let status = Status::from(Rejection::new(kind));
            assert_eq!(status.code() as u8, kind.grpc_code());
            assert_eq!(status.metadata().get("tenancy-code").unwrap(), kind.code());
            assert_eq!(status.metadata().get("cache-control").unwrap(), "no-store");
            assert_eq!(status.metadata().contains_key(RETRY_PUSHBACK), kind.is_retryable());
        }
    }

    #[test]
    fn a_source_of_which_nothing_is_told_yields_to_other_tasks() {
        let event = StreamEvent::new(routing("t_a", "th"), "x", "y").unwrap();
        let source = stream::repeat(event);
        let silent = grant(scope("t_a"), "th").guard(source).into_grpc(|_, _| None::<()>);
        assert!(Box::pin(silent).next().now_or_never().is_none());
    }
}
