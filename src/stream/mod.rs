//! The adapter: any stream of events, held against a grant at the last moment.

#[cfg(test)]
mod tests;

use crate::{
    access::{ProofWatch, ThreadGrant, Woken},
    clock::Clock,
    delivery::{Delivery, Gap, Item, Outbound},
    ending::Ending,
    event::StampedEvent,
    id::RequestId,
    rejection::{BoxError, Chain},
};
use futures_core::Stream;
use pin_project_lite::pin_project;
use std::{
    fmt,
    ops::ControlFlow,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::{Duration, SystemTime},
};
use tracing::Span;

/// Most items of the source that one poll looks at without giving anything out.
const POLL_BUDGET: usize = 64;

/// An item of a stream that can be guarded: whatever is `Into<Delivery>`, or a `Result` of it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no tenant, env and thread, so it cannot be put on a guarded stream",
    note = "make a `StreamEvent` of it: `StreamEvent::new(grant.routing().clone(), \"type\", &data)`"
)]
pub trait IntoDelivery {
    /// The delivery, or why the source failed.
    ///
    /// # Errors
    ///
    /// The source's own.
    fn into_delivery(self) -> Result<Delivery, BoxError>;
}

#[diagnostic::do_not_recommend]
impl<T: Into<Delivery>> IntoDelivery for T {
    fn into_delivery(self) -> Result<Delivery, BoxError> {
        Ok(self.into())
    }
}

#[diagnostic::do_not_recommend]
impl<T: Into<Delivery>, E: Into<BoxError>> IntoDelivery for Result<T, E> {
    fn into_delivery(self) -> Result<Delivery, BoxError> {
        self.map(Into::into).map_err(Into::into)
    }
}

/// What to do when a source gives an event of another thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnMismatch {
    /// Leave the event out and go on.
    #[default]
    Drop,
    /// End the stream with [`Ending::SourceFailed`].
    Close,
}

impl ThreadGrant {
    /// Guards `stream`: what comes out belongs to the grant's thread, bears the request's id, and
    /// ends with the proof.
    ///
    /// The items are events, positions and gaps, or `Result`s of them: a subscription to a log, or
    /// the application's own stream.
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
    /// A stream that provably belongs to one grant. Made by [`ThreadGrant::guard`].
    ///
    /// It checks the tenant, env and thread of each item when it gives it out, never earlier, and
    /// the proof before each item: not one event comes after the token's expiry plus leeway or after
    /// a withdrawal, however busy or idle the source is. The last item is an [`Outbound::End`].
    ///
    /// A connection whose client does not read is not polled, and nothing is written to it.
    #[must_use = "streams do nothing unless polled"]
    pub struct GuardedStream<S> {
        #[pin]
        source: S,
        grant: ThreadGrant,
        watch: ProofWatch,
        on_mismatch: OnMismatch,
        mismatches: Option<Arc<AtomicU64>>,
        last_word: Option<Ending>,
        ended: bool,
        // The span of the request, in which the source runs as well.
        span: Span,
    }
}

impl<S> GuardedStream<S> {
    /// What to do when the source gives an event of another thread. It never gets out.
    pub fn on_mismatch(mut self, choice: OnMismatch) -> Self {
        self.on_mismatch = choice;
        self
    }

    /// Counts events of other threads in `counter`, which many streams may share.
    ///
    /// Anything but 0 is a bug in whatever made the source, and worth waking somebody up.
    pub fn count_mismatches(mut self, counter: Arc<AtomicU64>) -> Self {
        self.mismatches = Some(counter);
        self
    }

    /// The grant that the stream is held against: for a handler that publishes as well.
    pub fn grant(&self) -> &ThreadGrant {
        &self.grant
    }

    #[cfg(feature = "ws")]
    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    /// Ends the stream if its proof is over at this time, and gives the ending: for what was taken
    /// from the stream and is not written yet.
    pub(crate) fn end_with_proof(self: Pin<&mut Self>, now: SystemTime) -> Option<Ending> {
        let this = self.project();
        let ending = this.watch.ended(now)?;
        *this.ended = true;
        this.span.in_scope(|| log_end(this.grant, ending));
        Some(ending)
    }

    /// Waits for the end of the proof, and ends the stream with it, or for as long as `limit` says:
    /// while the client takes nothing in.
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

    /// Ends the stream for this reason: its client is not told, or not by the stream.
    pub(crate) fn end(self: Pin<&mut Self>, ending: Ending) {
        let this = self.project();
        *this.ended = true;
        this.span.in_scope(|| log_end(this.grant, ending));
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        self.watch.clock()
    }
}

/// How a poll of many went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Polled {
    /// Something was given, at this time.
    Given(SystemTime),
    /// Nothing was ready; the alarm fired at this time.
    AlarmFired(SystemTime),
    /// The end was given, now or earlier.
    Ended,
}

impl<S> GuardedStream<S>
where
    S: Stream,
    S::Item: IntoDelivery,
{
    /// Gives `sink` what is ready, and the request that it is for, until it breaks. If nothing is ready,
    /// it is pending for as long as `idle_limit` says, which is asked when the one alarm of the stream is
    /// set.
    pub(crate) fn poll_each(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        idle_limit: impl FnOnce(SystemTime) -> Duration,
        mut sink: impl FnMut(Outbound, &RequestId) -> ControlFlow<()>,
    ) -> Poll<Polled> {
        let mut this = self.project();
        if *this.ended {
            return Poll::Ready(Polled::Ended);
        }
        let _in_span = this.span.enter();
        let grant = &*this.grant;
        let trace_id = grant.scope().request_id();
        let mut given = None;
        let mut held_back = 0;
        let ending = loop {
            if held_back == POLL_BUDGET {
                cx.waker().wake_by_ref();
                return given.map_or(Poll::Pending, |at| Poll::Ready(Polled::Given(at)));
            }
            let next = match this.last_word {
                Some(_) => Poll::Ready(None),
                None => this.source.as_mut().poll_next(cx),
            };
            let Poll::Ready(next) = next else {
                // Whoever was given something polls again.
                if let Some(at) = given {
                    return Poll::Ready(Polled::Given(at));
                }
                match ready!(this.watch.poll(cx, idle_limit)) {
                    Woken::ProofEnded(ending) => break ending,
                    Woken::AlarmFired(now) => return Poll::Ready(Polled::AlarmFired(now)),
                }
            };
            // The proof is asked before anything is given out, the end included: also if the source
            // is never idle, and however long it took.
            let now = this.watch.clock().now();
            if let Some(ending) = this.watch.ended(now) {
                break ending;
            }
            if let Some(ending) = this.last_word.take() {
                break ending;
            }
            let item = match next.map(IntoDelivery::into_delivery) {
                Some(Ok(Delivery(item))) => item,
                Some(Err(error)) => {
                    log_failure(grant, &*error);
                    break Ending::SourceFailed;
                }
                None => break Ending::Complete,
            };
            // The rule: nothing of another thread gets out, be it an event or a position.
            let is_ours = item.thread() == Some(grant.key());
            let flow = match item {
                Item::End(ending) => break ending,
                Item::Event(event) if is_ours => {
                    let stamped = StampedEvent::new(event, trace_id.clone());
                    sink(Outbound::Event(stamped), trace_id)
                }
                Item::Position(position) if is_ours => sink(Outbound::Position(position), trace_id),
                Item::Gap(gap) if is_ours => {
                    log_gap(grant, &gap);
                    *this.last_word = gap.resumes_at().is_none().then_some(Ending::Gap);
                    sink(Outbound::Gap(gap), trace_id)
                }
                foreign @ (Item::Event(_) | Item::Position(_) | Item::Gap(_)) => {
                    held_back += 1;
                    if let Some(counter) = this.mismatches {
                        counter.fetch_add(1, Ordering::Relaxed);
                    }
                    audit(grant, &foreign);
                    if *this.on_mismatch == OnMismatch::Close {
                        break Ending::SourceFailed;
                    }
                    continue;
                }
            };
            given = Some(now);
            if flow.is_break() {
                return Poll::Ready(Polled::Given(now));
            }
        };
        *this.ended = true;
        log_end(grant, ending);
        let _last = sink(Outbound::End(ending), trace_id);
        Poll::Ready(Polled::Ended)
    }
}

impl<S> Stream for GuardedStream<S>
where
    S: Stream,
    S::Item: IntoDelivery,
{
    type Item = Outbound;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Outbound>> {
        let mut next = None;
        loop {
            let polled = self.as_mut().poll_each(
                cx,
                |_| Duration::MAX,
                |outbound, _| {
                    next = Some(outbound);
                    ControlFlow::Break(())
                },
            );
            match ready!(polled) {
                Polled::Given(_) | Polled::Ended => return Poll::Ready(next),
                Polled::AlarmFired(_) => {}
            }
        }
    }
}

fn log_end(grant: &ThreadGrant, ending: Ending) {
    tracing::debug!(
        code = ending.code(),
        thread = grant.key().to_path(),
        request_id = grant.scope().request_id().as_str(),
        "a stream ended"
    );
}

fn log_failure(grant: &ThreadGrant, error: &(dyn std::error::Error + 'static)) {
    tracing::error!(
        thread = grant.key().to_path(),
        request_id = grant.scope().request_id().as_str(),
        error = Chain(error).to_string(),
        "the source of a stream failed"
    );
}

/// A hole in what a client sees is worth a line.
fn log_gap(grant: &ThreadGrant, gap: &Gap) {
    tracing::info!(
        thread = grant.key().to_path(),
        request_id = grant.scope().request_id().as_str(),
        reason = gap.reason().as_str(),
        requested = %gap.requested(),
        oldest = %gap.oldest(),
        "a client missed events, and is told"
    );
}

/// Something of another thread was about to be written: the one line that must wake somebody.
fn audit(grant: &ThreadGrant, foreign: &Item) {
    let (what, event_type, cursor) = match foreign {
        Item::Event(event) => ("event", Some(event.event_type().as_str()), event.cursor()),
        Item::Position(position) => ("position", None, Some(position.cursor())),
        Item::Gap(gap) => ("gap", None, Some(gap.requested())),
        Item::End(_) => ("end", None, None),
    };
    tracing::error!(
        target: "tower_tenancy::audit",
        granted = grant.key().to_path(),
        foreign = foreign.thread().map(crate::id::ThreadKey::to_path),
        what,
        event_type,
        cursor = cursor.map(tracing::field::display),
        subject = grant.scope().subject().as_str(),
        request_id = grant.scope().request_id().as_str(),
        "something of another thread was held back from a stream"
    );
}

impl<S: fmt::Debug> fmt::Debug for GuardedStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedStream")
            .field("source", &self.source)
            .field("grant", &self.grant)
            .finish_non_exhaustive()
    }
}
