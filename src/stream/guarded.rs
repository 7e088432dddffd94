//! The stream that [`ThreadGrant::guard`] makes.

use super::{item::IntoDelivery, observe::log_end};
use crate::{
    access::{ProofWatch, ThreadGrant, Woken},
    clock::Clock,
    ending::Ending,
};
use futures_core::Stream;
use pin_project_lite::pin_project;
use std::{
    fmt,
    pin::Pin,
    sync::{Arc, atomic::AtomicU64},
    task::{Context, Poll, ready},
    time::{Duration, SystemTime},
};
use tracing::Span;

/// What happens when a source gives an event of another thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnMismatch {
    /// The stream leaves the event out and continues.
    #[default]
    Drop,
    /// The stream ends with [`Ending::SourceFailed`].
    Close,
}

impl ThreadGrant {
    /// Guards `stream`: every item that comes out belongs to the grant's thread and has the id of the
    /// request. The stream ends when the proof ends.
    ///
    /// The source is a subscription to a log, or the application's own stream. Its items are events,
    /// positions and gaps, or `Result`s of them.
    ///
    /// ```
    /// # use futures_util::Stream;
    /// use futures_util::{StreamExt as _, stream};
    /// use tower_tenancy::{SseBody, StreamEvent, ThreadGrant};
    ///
    /// /// Tokens of an agent, straight to the client.
    /// fn tokens(
    ///     grant: ThreadGrant,
    ///     tokens: impl Stream<Item = String>,
    /// ) -> SseBody<impl Stream<Item = Result<StreamEvent, tower_tenancy::event::InvalidEvent>>> {
    ///     let routing = grant.routing().clone();
    ///     let events =
    ///         tokens.map(move |text| StreamEvent::new(routing.clone(), "agent.token", &text));
    ///     grant.guard(events).into_sse()
    /// }
    /// ```
    pub fn guard<S>(self, stream: S) -> GuardedStream<S>
    where
        S: Stream,
        S::Item: IntoDelivery,
    {
        GuardedStream {
            source: stream,
            watch: self.proof().watch(),
            grant: self,
            on_mismatch: OnMismatch::default(),
            mismatches: None,
            last_word: None,
            ended: false,
            span: Span::current(),
        }
    }
}

pin_project! {
    /// A stream that gives out only items of one grant's thread. Made by [`ThreadGrant::guard`].
    ///
    /// It checks the tenant, env and thread of each item at the moment when it gives the item out. It
    /// also checks the proof before each item. No event comes out after the token's expiry plus leeway,
    /// or after a revocation. This holds for a busy source and for an idle source. The last item is an
    /// [`Outbound::End`](crate::delivery::Outbound::End).
    ///
    /// While a client does not read, the host does not poll its stream, and nothing is written.
    #[must_use = "streams do nothing unless polled"]
    pub struct GuardedStream<S> {
        #[pin]
        pub(super) source: S,
        pub(super) grant: ThreadGrant,
        pub(super) watch: ProofWatch,
        pub(super) on_mismatch: OnMismatch,
        pub(super) mismatches: Option<Arc<AtomicU64>>,
        pub(super) last_word: Option<Ending>,
        pub(super) ended: bool,
        // The span of the request. The source runs in it as well.
        pub(super) span: Span,
    }
}

impl<S> GuardedStream<S> {
    /// What happens when the source gives an event of another thread. In either case the event does not
    /// go out.
    pub fn on_mismatch(mut self, choice: OnMismatch) -> Self {
        self.on_mismatch = choice;
        self
    }

    /// Counts events of other threads in `counter`. Many streams may share one counter.
    ///
    /// A number other than 0 shows a bug in the source: alert on it.
    pub fn count_mismatches(mut self, counter: Arc<AtomicU64>) -> Self {
        self.mismatches = Some(counter);
        self
    }

    /// The grant of this stream, for a handler that also publishes.
    pub fn grant(&self) -> &ThreadGrant {
        &self.grant
    }

    #[cfg(feature = "ws")]
    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    /// Ends the stream if its proof has ended at this time, and returns the ending. Call it before you
    /// write an item that was taken from the stream earlier.
    pub(crate) fn end_with_proof(self: Pin<&mut Self>, now: SystemTime) -> Option<Ending> {
        let this = self.project();
        let ending = this.watch.ended(now)?;
        *this.ended = true;
        this.span.in_scope(|| log_end(this.grant, ending));
        Some(ending)
    }

    /// Waits until the proof ends or `limit` has passed. If the proof ends, the stream ends. Call it
    /// while the client does not read.
    pub(crate) fn poll_end(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        limit: impl FnOnce(SystemTime) -> Duration,
    ) -> Poll<Woken> {
        let this = self.project();
        let woken = ready!(this.watch.poll(cx, limit));
        if let Woken::ProofEnded(ending) = woken {
            *this.ended = true;
            this.span.in_scope(|| log_end(this.grant, ending));
        }
        Poll::Ready(woken)
    }

    /// Ends the stream for this reason. The client gets no item for it.
    pub(crate) fn end(self: Pin<&mut Self>, ending: Ending) {
        let this = self.project();
        *this.ended = true;
        this.span.in_scope(|| log_end(this.grant, ending));
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        self.watch.clock()
    }
}

impl<S: fmt::Debug> fmt::Debug for GuardedStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedStream")
            .field("source", &self.source)
            .field("grant", &self.grant)
            .finish_non_exhaustive()
    }
}
