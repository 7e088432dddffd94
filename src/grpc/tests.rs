//! Every ending and every rejection as a status.

use crate::{
    delivery::{Delivery, Outbound},
    ending::Ending,
    event::StreamEvent,
    rejection::{RETRY_PUSHBACK, Rejection, RejectionKind},
    testing::fixtures::{grant, routing, scope},
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
        assert_eq!(items.len(), 1, "one event comes before the status");
        assert_eq!(status.code() as u8, ending.grpc_code(), "{ending:?}");
        assert_eq!(status.metadata().get("tenancy-code").unwrap(), ending.code());
        assert_eq!(status.metadata().get("x-request-id").unwrap(), "req-1");
        let pushback = status.metadata().contains_key(RETRY_PUSHBACK);
        assert_eq!(pushback, ending.is_retryable(), "{ending:?}");
    }
}

#[test]
fn a_rejection_is_a_status_with_its_code() {
    for kind in RejectionKind::ALL.iter().copied() {
        let status = Status::from(Rejection::new(kind));
        assert_eq!(status.code() as u8, kind.grpc_code());
        assert_eq!(status.metadata().get("tenancy-code").unwrap(), kind.code());
        assert_eq!(status.metadata().get("cache-control").unwrap(), "no-store");
        assert_eq!(status.metadata().contains_key(RETRY_PUSHBACK), kind.is_retryable());
    }
}

#[test]
fn a_stream_that_leaves_out_every_item_yields_to_other_tasks() {
    let event = StreamEvent::new(routing("t_a", "th"), "x", "y").unwrap();
    let source = stream::repeat(event);
    let silent = grant(scope("t_a"), "th").guard(source).into_grpc(|_, _| None::<()>);
    assert!(Box::pin(silent).next().now_or_never().is_none());
}
