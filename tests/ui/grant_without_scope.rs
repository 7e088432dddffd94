//! The thread check takes a scope, not the request's claims.
use tower_tenancy::{MemoryRegistry, RequestContext, ThreadId, verify_thread_access};

async fn check(context: RequestContext, thread: ThreadId) {
    let _grant = verify_thread_access(&MemoryRegistry::new(), &context, &thread).await;
}

fn main() {}
