//! The compiler's first error names the trait that the parameter must implement.
use axum::extract::Path;
use tower_tenancy::{MemoryRegistry, ThreadAccess};

async fn handler(_: ThreadAccess<Path<u64>, MemoryRegistry>) {}

fn main() {}
