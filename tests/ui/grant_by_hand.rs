//! Only the thread check can make a grant.
use std::sync::{Arc, OnceLock};
use tower_tenancy::{Routing, TenantScope, ThreadGrant, id::ThreadKey};

fn by_hand(scope: TenantScope, key: ThreadKey, routing: OnceLock<Arc<Routing>>) -> ThreadGrant {
    ThreadGrant { scope, key, routing }
}

fn main() {}
