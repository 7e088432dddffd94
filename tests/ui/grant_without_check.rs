//! A scope is not a grant: code must check the thread first.
use futures_util::stream;
use tower_tenancy::{StreamEvent, TenantScope};

fn handler(scope: TenantScope) {
    let _stream = scope.guard(stream::empty::<StreamEvent>());
}

fn main() {}
