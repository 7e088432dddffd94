//! Other threads in the same log: each has a few events, and a reader that waits for more.

use futures_util::FutureExt as _;
use http_body_util::BodyExt as _;
use std::time::Duration;
use tower_tenancy::{BoxError, LastEventId, MemoryLog, ThreadGrant};

const EVENTS: usize = 3;
/// The heartbeat interval: so long that no heartbeat is sent. The other threads must not cost CPU time.
const QUIET: Duration = Duration::from_secs(86_400);

/// Makes grants for threads, without a request for each of them.
pub(crate) type Grants = Box<dyn Fn(&str) -> Result<ThreadGrant, BoxError>>;

/// Fills `log` with this many threads.
pub(crate) async fn gather(
    log: &MemoryLog,
    grants: &Grants,
    threads: usize,
) -> Result<(), BoxError> {
    for thread in 0..threads {
        let grant = grants(&format!("other-{thread}"))?;
        for _ in 0..EVENTS {
            grant.publisher(log).publish("message", "hello").await?;
        }
        let events = grant.subscribe(log, LastEventId::Live).await?;
        let body = grant.guard(events).into_sse().heartbeat(QUIET);
        tokio::spawn(body.collect().map(drop));
    }
    // Let each reader begin to wait.
    tokio::task::yield_now().await;
    Ok(())
}
