//! The adapter: any stream of events, held against a grant at the last moment.

use crate::{
    access::ThreadGrant,
    auth::{Revoked, revoked},
    clock::{Clock, Sleep},
    delivery::{Delivery, Gap, Outbound},
    ending::Ending,
    event::StampedEvent,
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
/// Farthest ahead that the timer is set. The time of day is looked at then, and may have jumped.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

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
    /// ends with the token.
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
        let auth = self.scope().auth();
        GuardedStream {
            source: stream,
            valid_until: auth.valid_until(),
            clock: Arc::clone(auth.clock()),
            revoked: revoked(auth.revocations()),
            grant: self,
            alarm: None,
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
    /// the time of day before each item: not one event comes after the token's expiry plus leeway,
    /// however busy or idle the source is. The last item is an [`Outbound::End`].
    ///
    /// A connection whose client does not read is not polled, and nothing is written to it; that
    /// it is closed in the end is up to the server's write timeout.
    #[must_use = "streams do nothing unless polled"]
    pub struct GuardedStream<S> {
        #[pin]
        source: S,
        grant: ThreadGrant,
        // As the grant's token says. Here as well, so that looking at it follows no pointer.
        valid_until: SystemTime,
        clock: Arc<dyn Clock>,
        // Ready once what the stream was opened with is withdrawn.
        revoked: Option<Revoked>,
        // Armed when the source is first idle: a busy one looks at the time itself. The one alarm of
        // the stream: a transport's heartbeat rings it as well.
        alarm: Option<Sleep>,
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

    /// Ends the stream if what it was opened with does not hold any more, and tells whether it did:
    /// between two parts of something that was given out, where nothing more can be said.
    pub(crate) fn end_if_void(self: Pin<&mut Self>) -> bool {
        let this = self.project();
        let ending = void(this.grant, this.revoked, *this.valid_until, this.clock.now());
        if let Some(ending) = ending {
            let _in_span = this.span.enter();
            *this.ended = true;
            told_of_end(this.grant, ending);
        }
        ending.is_some()
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }
}

/// How a poll of many went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Polled {
    /// Something was given, at this time.
    Given(SystemTime),
    /// Nothing was, and it is this time: as late as was asked for.
    Rang(SystemTime),
    /// The last word was given, now or earlier.
    Ended,
}

impl<S> GuardedStream<S>
where
    S: Stream,
    S::Item: IntoDelivery,
{
    /// Gives `sink` what is ready, until it has enough. If there is nothing, it is pending for as long
    /// as `patience` says, asked when the one alarm of the stream is set.
    pub(crate) fn poll_each(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        patience: impl FnOnce(SystemTime) -> Duration,
        mut sink: impl FnMut(Outbound) -> ControlFlow<()>,
    ) -> Poll<Polled> {
        let mut this = self.project();
        if *this.ended {
            return Poll::Ready(Polled::Ended);
        }
        let _in_span = this.span.enter();
        let grant = &*this.grant;
        let mut given = None;
        let mut left_out = 0;
        let ending = loop {
            if let Some(ending) = this.last_word.take() {
                break ending;
            }
            if left_out == POLL_BUDGET {
                cx.waker().wake_by_ref();
                return given.map_or(Poll::Pending, |at| Poll::Ready(Polled::Given(at)));
            }
            let polled = this.source.as_mut().poll_next(cx);
            if polled.is_pending() {
                if let Some(at) = given {
                    // Whoever was given something polls again.
                    return Poll::Ready(Polled::Given(at));
                }
                if let Some(revoked) = this.revoked
                    && revoked.as_mut().poll(cx).is_ready()
                {
                    break Ending::AccessRevoked;
                }
                // Nobody is given anything now, and the alarm rings by the end of the token.
                if let Some(alarm) = this.alarm
                    && alarm.as_mut().poll(cx).is_pending()
                {
                    return Poll::Pending;
                }
            }
            // The time of day is the authority, and asked before anything is given out: also what a
            // source that is never idle has ready.
            let now = this.clock.now();
            if let Some(ending) = void(grant, this.revoked, *this.valid_until, now) {
                break ending;
            }
            let Poll::Ready(item) = polled else {
                if this.alarm.take().is_some() {
                    return Poll::Ready(Polled::Rang(now));
                }
                let left = this.valid_until.duration_since(now).unwrap_or_default();
                let mut alarm = this.clock.sleep(left.min(patience(now)).min(LONGEST_SLEEP));
                if alarm.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Polled::Rang(now));
                }
                *this.alarm = Some(alarm);
                return Poll::Pending;
            };
            let delivery = match item.map(IntoDelivery::into_delivery) {
                Some(Ok(delivery)) => delivery,
                Some(Err(error)) => {
                    failed(grant, &*error);
                    break Ending::SourceFailed;
                }
                None => break Ending::Complete,
            };
            // The rule: nothing of another thread gets out, be it an event or a position.
            let is_ours = delivery.thread() == Some(grant.key());
            let flow = match delivery {
                Delivery::End(ending) => break ending,
                Delivery::Event(event) if is_ours => {
                    let trace_id = grant.scope().request_id().clone();
                    sink(Outbound::Event(StampedEvent::new(event, trace_id)))
                }
                Delivery::Position(position) if is_ours => sink(Outbound::Position(position)),
                Delivery::Gap(gap) if is_ours => {
                    told_of(grant, &gap);
                    *this.last_word = gap.resumes_at().is_none().then_some(Ending::Gap);
                    sink(Outbound::Gap(gap))
                }
                foreign @ (Delivery::Event(_) | Delivery::Position(_) | Delivery::Gap(_)) => {
                    left_out += 1;
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
        told_of_end(grant, ending);
        let _last = sink(Outbound::End(ending));
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
                |_| LONGEST_SLEEP,
                |outbound| {
                    next = Some(outbound);
                    ControlFlow::Break(())
                },
            );
            match ready!(polled) {
                Polled::Given(_) | Polled::Ended => return Poll::Ready(next),
                Polled::Rang(_) => {}
            }
        }
    }
}

/// Why nothing may be given out any more, if that is so.
fn void(
    grant: &ThreadGrant,
    revoked: &Option<Revoked>,
    valid_until: SystemTime,
    now: SystemTime,
) -> Option<Ending> {
    // Without a switch there is nothing to look at.
    if revoked.is_some() && grant.scope().auth().is_revoked() {
        return Some(Ending::AccessRevoked);
    }
    (now >= valid_until).then_some(Ending::AuthExpired)
}

fn told_of_end(grant: &ThreadGrant, ending: Ending) {
    tracing::debug!(
        code = ending.code(),
        thread = %grant.key().to_path(),
        request_id = %grant.scope().request_id(),
        "a stream ended"
    );
}

fn failed(grant: &ThreadGrant, error: &(dyn std::error::Error + 'static)) {
    tracing::error!(
        thread = %grant.key().to_path(),
        request_id = %grant.scope().request_id(),
        error = %Chain(error),
        "the source of a stream failed"
    );
}

/// A hole in what a client sees is worth a line.
fn told_of(grant: &ThreadGrant, gap: &Gap) {
    tracing::info!(
        thread = %grant.key().to_path(),
        request_id = %grant.scope().request_id(),
        reason = ?gap.reason(),
        requested = %gap.requested(),
        oldest = %gap.oldest(),
        "a client missed events, and is told"
    );
}

/// Something of another thread was about to be written: the one line that must wake somebody.
fn audit(grant: &ThreadGrant, foreign: &Delivery) {
    let (what, event_type, cursor) = match foreign {
        Delivery::Event(event) => ("event", Some(event.event_type().as_str()), event.cursor()),
        Delivery::Position(position) => ("position", None, Some(position.cursor())),
        Delivery::Gap(gap) => ("gap", None, Some(gap.requested())),
        Delivery::End(_) => ("end", None, None),
    };
    tracing::error!(
        target: "tower_tenancy::audit",
        granted = %grant.key().to_path(),
        foreign = foreign.thread().map(|thread| tracing::field::display(thread.to_path())),
        what,
        event_type,
        cursor = cursor.map(tracing::field::display),
        subject = %grant.scope().subject(),
        request_id = %grant.scope().request_id(),
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

#[cfg(test)]
mod tests {
    use super::OnMismatch;
    use crate::{
        access::tests::grant,
        auth::{AuthContext, Revocation},
        clock::{from_unix, manual::ManualClock},
        delivery::{Delivery, Gap, GapReason, Outbound, Position},
        ending::Ending,
        event::{StreamEvent, tests::routing},
        id::Subject,
        rejection::BoxError,
        scope::{TenantScope, tests as scopes},
    };
    use futures_util::{FutureExt as _, Stream, StreamExt as _, stream};
    use proptest::{collection::vec, prop_assert, prop_assert_eq, proptest};
    use std::{
        sync::{
            Arc,
            atomic::{AtomicU64, Ordering},
        },
        time::Duration,
    };

    fn event(tenant: &str, thread: &str) -> StreamEvent {
        StreamEvent::new(routing(tenant, thread), "x", "y").unwrap()
    }

    /// What comes out of a guarded stream that never has to wait.
    fn drained<S: Stream<Item = Outbound>>(stream: S) -> (Vec<StreamEvent>, Option<Ending>) {
        let mut events = Vec::new();
        let mut ending = None;
        for outbound in stream.collect::<Vec<_>>().now_or_never().expect("ready") {
            assert_eq!(ending, None, "the end is the last item");
            match outbound {
                Outbound::Event(stamped) => {
                    assert_eq!(stamped.trace_id().as_str(), "req-1");
                    events.push(stamped.event().clone());
                }
                Outbound::End(reason) => ending = Some(reason),
                Outbound::Position(_) | Outbound::Gap(_) => {}
            }
        }
        (events, ending)
    }

    proptest! {
        #[test]
        fn no_mismatch_gets_out_of_arbitrary_streams(
            // A small hostile pool: prefixes of each other, same ids in two tenants.
            routes in vec(("a|b|a-b|ab", "a|b|a-b|ab"), 0..60),
            close: bool,
        ) {
            let counter = Arc::new(AtomicU64::new(0));
            let events: Vec<_> = routes.iter().map(|(t, th)| event(t, th)).collect();
            let guarded = grant(scopes::scope("a"), "b").guard(stream::iter(events));
            let choice = if close { OnMismatch::Close } else { OnMismatch::Drop };
            let guarded = guarded.on_mismatch(choice).count_mismatches(counter.clone());
            let (out, ending) = drained(guarded);

            let ours = |(tenant, thread): &&(String, String)| tenant == "a" && thread == "b";
            prop_assert!(out.iter().all(|e| e.routing() == &*routing("a", "b")));
            let foreign = routes.iter().filter(|route| !ours(route)).count();
            if close {
                prop_assert_eq!(out.len(), routes.iter().take_while(ours).count());
                prop_assert_eq!(counter.load(Ordering::Relaxed), u64::from(foreign > 0));
            } else {
                prop_assert_eq!(out.len(), routes.len() - foreign);
                prop_assert_eq!(counter.load(Ordering::Relaxed), foreign as u64);
            }
            let failed = close && foreign > 0;
            let expected = if failed { Ending::SourceFailed } else { Ending::Complete };
            prop_assert_eq!(ending, Some(expected));
        }
    }

    #[test]
    fn the_env_of_an_event_counts_too() {
        let dev: crate::event::Routing = "a/dev/b".parse().unwrap();
        let source = stream::iter([StreamEvent::new(dev, "x", "y").unwrap()]);
        assert!(drained(grant(scopes::scope("a"), "b").guard(source)).0.is_empty());
    }

    #[test]
    fn positions_and_gaps_of_another_thread_are_held_back_too() {
        let cursor = "0000000000000001-1".parse().unwrap();
        let foreign = routing("a", "other");
        let gap = Gap::new(&foreign, GapReason::Trimmed, cursor, cursor, Some(cursor));
        let source = [Delivery::from(Position::new(&foreign, cursor)), gap.into()];
        let counter = Arc::new(AtomicU64::new(0));
        let guarded = grant(scopes::scope("a"), "b").guard(stream::iter(source));
        let out = guarded.count_mismatches(counter.clone()).collect::<Vec<_>>();
        let out = out.now_or_never().expect("ready");
        assert!(matches!(out[..], [Outbound::End(Ending::Complete)]), "{out:?}");
        assert_eq!(counter.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_source_that_fails_ends_the_stream_for_that_reason() {
        let source = stream::iter([Ok(event("a", "b")), Err("boom"), Ok(event("a", "b"))]);
        let (out, ending) = drained(grant(scopes::scope("a"), "b").guard(source));
        assert_eq!((out.len(), ending), (1, Some(Ending::SourceFailed)));
    }

    fn expiring(clock: &ManualClock, at: u64, leeway: u64) -> TenantScope {
        let auth = AuthContext::new(Subject::new("ada").unwrap(), from_unix(at))
            .with_leeway(Duration::from_secs(leeway))
            .with_clock(clock.shared())
            .with_tenants(["a"])
            .with_envs(["prod"]);
        TenantScope::agree(&scopes::request("a", "prod"), &auth).unwrap()
    }

    #[tokio::test]
    async fn an_idle_stream_ends_with_the_token_and_its_leeway() {
        let clock = ManualClock::at(1000);
        let source = stream::pending::<StreamEvent>();
        let guarded = grant(expiring(&clock, 8000, 60), "b").guard(source);
        let mut guarded = guarded.boxed();
        assert!(guarded.next().now_or_never().is_none());
        // Past the farthest alarm, and then to the very second.
        for step in [3600, 3400, 59] {
            clock.advance(Duration::from_secs(step));
            assert!(guarded.next().now_or_never().is_none(), "{step}");
        }
        let waiting = tokio::spawn(async move { guarded.next().await });
        tokio::task::yield_now().await;
        clock.advance(Duration::from_secs(1));
        let last = waiting.await.unwrap();
        assert!(matches!(last, Some(Outbound::End(Ending::AuthExpired))), "{last:?}");
    }

    #[tokio::test]
    async fn a_source_that_is_never_idle_does_not_outlive_the_token() {
        let clock = ManualClock::at(1000);
        let ticking = clock.clone();
        let source = stream::repeat_with(move || {
            ticking.advance(Duration::from_secs(1));
            event("a", "b")
        });
        let guarded = grant(expiring(&clock, 1100, 0), "b").guard(source);
        let out: Vec<_> = guarded.collect().await;
        assert_eq!(out.len(), 100, "one event a second, and at the last one the end");
        assert!(matches!(out.last(), Some(Outbound::End(Ending::AuthExpired))));
    }

    #[test]
    fn a_source_that_is_never_idle_does_not_outlive_what_was_withdrawn() {
        let (session, mut left) = (Revocation::new(), 3);
        let switch = session.clone();
        let source = stream::repeat_with(move || {
            left -= 1;
            if left == 0 {
                switch.revoke();
            }
            event("a", "b")
        });
        let auth = scopes::auth(&["a"], &["prod"]).with_revocation(session);
        let scope = TenantScope::agree(&scopes::request("a", "prod"), &auth).unwrap();
        let (out, ending) = drained(grant(scope, "b").guard(source.take(100)));
        assert_eq!((out.len(), ending), (2, Some(Ending::AccessRevoked)));
    }

    #[tokio::test]
    async fn an_idle_stream_ends_when_what_it_was_opened_with_is_withdrawn() {
        let session = Revocation::new();
        let auth = scopes::auth(&["a"], &["prod"]).with_revocation(session.clone());
        let scope = TenantScope::agree(&scopes::request("a", "prod"), &auth).unwrap();
        let mut guarded = grant(scope, "b").guard(stream::pending::<StreamEvent>()).boxed();
        let waiting = tokio::spawn(async move { guarded.next().await });
        tokio::task::yield_now().await;
        session.revoke();
        let last = tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap().unwrap();
        assert!(matches!(last, Some(Outbound::End(Ending::AccessRevoked))), "{last:?}");
    }

    #[tokio::test]
    async fn a_flood_of_foreign_events_yields_to_other_tasks() {
        let source = stream::repeat_with(|| event("a", "other"));
        let mut guarded = grant(scopes::scope("a"), "b").guard(source).boxed();
        assert!(
            guarded.next().now_or_never().is_none(),
            "the poll ends though the source does not"
        );
    }

    #[test]
    fn whatever_is_a_delivery_or_a_result_of_one_can_be_guarded() {
        let cursor = "0000000000000001-1".parse().unwrap();
        let position = Position::new(&routing("a", "b"), cursor);
        let plain = stream::iter([Delivery::Event(event("a", "b")), position.into()]);
        assert_eq!(drained(grant(scopes::scope("a"), "b").guard(plain)).0.len(), 1);
        let results = stream::iter([Ok::<_, BoxError>(event("a", "b"))]);
        assert_eq!(drained(grant(scopes::scope("a"), "b").guard(results)).0.len(), 1);
    }
}
