//! A scope is made by the guard alone.
use tower_tenancy::{AuthContext, RequestContext, TenantScope};

fn by_hand(request: RequestContext, auth: AuthContext) -> TenantScope {
    TenantScope { request, auth }
}

fn main() {}
