//! Code cannot make the types of a body by hand.
use futures_util::stream;
use tower_tenancy::{GuardedStream, SseBody, StreamEvent};

fn main() {
    let events = stream::empty::<StreamEvent>();
    let guarded = GuardedStream::new(events);
    let _body = SseBody::new(guarded);
}
