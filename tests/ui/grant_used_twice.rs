//! A grant opens only one stream.
use futures_util::stream;
use tower_tenancy::{StreamEvent, ThreadGrant};

fn handler(grant: ThreadGrant) {
    let _first = grant.guard(stream::empty::<StreamEvent>());
    let _second = grant.guard(stream::empty::<StreamEvent>());
}

fn main() {}
