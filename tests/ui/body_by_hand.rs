//! Nor can its types be written out by hand.
use futures_util::stream;
use tower_tenancy::{GuardedStream, SseBody, StreamEvent};

fn main() {
    let events = stream::empty::<StreamEvent>();
    let guarded = GuardedStream { source: events };
    let _body = SseBody { guarded };
}
