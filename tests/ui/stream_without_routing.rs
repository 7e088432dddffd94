//! What names no tenant, env and thread cannot be guarded.
use futures_util::stream;
use tower_tenancy::ThreadGrant;

fn handler(grant: ThreadGrant) {
    let _stream = grant.guard(stream::empty::<String>());
}

fn main() {}
