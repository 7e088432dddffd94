//! The compiler's first error says what is missing.
use axum::extract::Path;
use tower_tenancy::{MemoryRegistry, ThreadAccess};

async fn handler(_: ThreadAccess<Path<u64>, MemoryRegistry>) {}

fn main() {}
