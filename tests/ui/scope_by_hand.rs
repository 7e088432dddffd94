//! Only the guard can make a scope.
use tower_tenancy::{AuthContext, RequestContext, TenantScope};

fn by_hand(request: RequestContext, auth: AuthContext) -> TenantScope {
    TenantScope { request, auth }
}

fn main() {}
