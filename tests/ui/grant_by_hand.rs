//! A grant is made by the thread check alone.
use std::sync::Arc;
use tower_tenancy::{Routing, TenantScope, ThreadGrant};

fn by_hand(scope: TenantScope, routing: Arc<Routing>) -> ThreadGrant {
    ThreadGrant { scope, routing }
}

fn main() {}
