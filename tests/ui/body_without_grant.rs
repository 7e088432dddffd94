//! A stream becomes a body only through a grant.
use futures_util::stream;
use tower_tenancy::StreamEvent;

fn main() {
    let events = stream::empty::<StreamEvent>();
    let _body = events.into_sse();
}
