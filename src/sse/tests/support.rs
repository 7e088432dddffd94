//! Streams, bodies and hosts for the tests.

use crate::sse::SseBody;
use crate::{
    auth::Revocation,
    delivery::Delivery,
    event::{Cursor, EventType, NewEvent, StreamEvent},
    scope::TenantScope,
    testing::{
        ManualClock,
        fixtures::{self as scopes, grant, routing, scope},
    },
};
use futures_util::{FutureExt as _, Stream, stream};
use http_body_util::BodyExt as _;
use std::time::{Duration, UNIX_EPOCH};

/// A message from a log.
pub(super) fn message(cursor: Cursor) -> Delivery {
    let event_type = EventType::new("message").unwrap();
    let draft = NewEvent::new(routing("t_a", "th"), event_type, "hi", None).unwrap();
    draft.seal(cursor, UNIX_EPOCH).into()
}

/// An event of a stream without a log.
pub(super) fn own() -> Delivery {
    StreamEvent::new(routing("t_a", "th"), "x.y", "hi").unwrap().into()
}

pub(super) fn body<S: Stream<Item = Delivery>>(source: S) -> SseBody<S> {
    grant(scope("t_a"), "th").guard(source).into_sse()
}

/// The frames that are ready now.
pub(super) fn frames<S>(body: &mut std::pin::Pin<Box<SseBody<S>>>) -> Vec<String>
where
    S: Stream,
    S::Item: crate::stream::IntoDelivery,
{
    let mut frames = Vec::new();
    while let Some(Some(frame)) = body.frame().now_or_never() {
        let data = frame.unwrap().into_data().unwrap();
        frames.push(String::from_utf8(data.to_vec()).unwrap());
    }
    frames
}

pub(super) fn all<S: Stream<Item = Delivery>>(source: S) -> String {
    frames(&mut Box::pin(body(source))).concat()
}

/// A scope on this clock that `switch` can revoke.
pub(super) fn withdrawable(clock: &ManualClock, switch: &Revocation) -> TenantScope {
    let auth = scopes::auth(&["t_a"], &["prod"]).with_clock(clock.shared());
    let auth = auth.with_revocation(switch.clone());
    TenantScope::agree(&scopes::request("t_a", "prod"), &auth).unwrap()
}

/// All frames that are ready, as a host keeps them if its client reads nothing.
pub(super) fn kept<S>(body: &mut std::pin::Pin<Box<SseBody<S>>>) -> Vec<bytes::Bytes>
where
    S: Stream,
    S::Item: crate::stream::IntoDelivery,
{
    let frames = std::iter::from_fn(|| body.frame().now_or_never().flatten());
    // If the window did not stop the body, this bound would.
    frames.take(1000).map(|frame| frame.unwrap().into_data().unwrap()).collect()
}

pub(super) fn bytes_of(frames: &[bytes::Bytes]) -> usize {
    frames.iter().map(bytes::Bytes::len).sum()
}

/// An endless stream of events of this many bytes.
pub(super) fn endless(bytes: usize) -> impl Stream<Item = StreamEvent> {
    stream::repeat(StreamEvent::new(routing("t_a", "th"), "x.y", &"x".repeat(bytes)).unwrap())
}

/// A stream on this clock, with a heartbeat of ten seconds.
pub(super) fn beating<S: Stream<Item = Delivery>>(
    clock: &ManualClock,
    source: S,
) -> std::pin::Pin<Box<SseBody<S>>> {
    let auth = scopes::auth(&["t_a"], &["prod"]).with_clock(clock.shared());
    let scope = TenantScope::agree(&scopes::request("t_a", "prod"), &auth).unwrap();
    let guarded = grant(scope, "th").guard(source);
    Box::pin(guarded.into_sse().heartbeat(Duration::from_secs(10)))
}
