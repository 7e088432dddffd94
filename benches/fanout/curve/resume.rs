//! Measures the time to resume, without a socket: from the subscription until the body returns the first event.

use super::Table;
use crate::serve::guarded;
use futures_util::FutureExt as _;
use http_body::Body as _;
use std::{
    pin::pin,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};
use tower_tenancy::{
    BoxError, LastEventId, MemoryLog, Publisher, StreamEvent, ThreadGrant, event::Cursor,
};

const EVENTS: u64 = 1_000_000;
const REPEATS: usize = 1000;

pub(super) fn run() -> Result<Table, BoxError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let _in_runtime = runtime.enter();
    let grants = guarded::grants()?;
    // The log keeps all events.
    let log = MemoryLog::builder()
        .max_events(EVENTS as usize)
        .max_bytes(usize::MAX)
        .max_total_bytes(usize::MAX)
        .max_age(Duration::from_secs(86_400))
        .build();
    let head = fill(&log, &grants("th")?)?;
    let mut table = Table::new("missed,p50_us,p99_us");
    for missed in [1, 10, 100, 1000, 10_000, 100_000, EVENTS - 1] {
        let after = Cursor::new(head.epoch(), head.seq() - missed);
        let mut times = Vec::with_capacity(REPEATS);
        for _ in 0..REPEATS {
            times.push(first_event(&log, grants("th")?, after)?);
        }
        times.sort_unstable();
        let us = |time: Duration| time.as_secs_f64() * 1e6;
        let (p50, p99) = (us(times[REPEATS / 2]), us(times[REPEATS * 99 / 100]));
        table.row(&format!("{missed},{p50:.2},{p99:.2}"));
    }
    Ok(table)
}

/// Publishes events, and returns the position after the last one.
fn fill(log: &MemoryLog, grant: &ThreadGrant) -> Result<Cursor, BoxError> {
    let publisher = Publisher::without_proof(log.clone(), grant.routing().clone());
    let mut last: Option<StreamEvent> = None;
    for _ in 0..EVENTS {
        let published = publisher.publish("message", "hello").now_or_never();
        last = Some(published.ok_or("the log in memory must not wait")??);
    }
    last.and_then(|event| event.cursor()).ok_or_else(|| "no event".into())
}

fn first_event(log: &MemoryLog, grant: ThreadGrant, after: Cursor) -> Result<Duration, BoxError> {
    let start = Instant::now();
    let events = grant.subscribe(log, LastEventId::After(after)).now_or_never();
    let mut body = pin!(grant.guard(events.ok_or("the log in memory must not wait")??).into_sse());
    let polled = body.as_mut().poll_frame(&mut Context::from_waker(Waker::noop()));
    let time = start.elapsed();
    let Poll::Ready(Some(Ok(frame))) = polled else { return Err("no frame".into()) };
    let frame = frame.into_data().map_err(|_| "no data")?;
    let first = format!("\nid: {}\ndata: ", Cursor::new(after.epoch(), after.seq() + 1));
    // The frame has `stream.open`, and the event right after the cursor.
    let found = memchr::memmem::find(&frame, first.as_bytes()).is_some();
    if found { Ok(time) } else { Err("the first frame does not have the next event".into()) }
}
