//! Code can read a subscription only after it is guarded.
use futures_util::StreamExt as _;
use tower_tenancy::{Delivery, LastEventId, MemoryLog, ThreadGrant};

async fn stream_by_hand(grant: ThreadGrant, log: MemoryLog) {
    let mut events = grant.subscribe(&log, LastEventId::Live).await.unwrap();
    while let Some(Ok(delivery)) = events.next().await {
        if let Delivery::Event(event) = delivery {
            println!("data: {}\n\n", event.data());
        }
    }
}

fn main() {}
