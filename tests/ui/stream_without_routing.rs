//! A stream can be guarded only if its items name tenant, env and thread.
use futures_util::stream;
use tower_tenancy::ThreadGrant;

fn handler(grant: ThreadGrant) {
    let _stream = grant.guard(stream::empty::<String>());
}

fn main() {}
