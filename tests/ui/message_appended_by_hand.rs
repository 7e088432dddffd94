//! A client's message gets into a log through its grant or a publisher, which ask the proof.
use tower_tenancy::{EventLog as _, MemoryLog, OnClaims, ThreadGrant};

async fn say(grant: ThreadGrant, log: MemoryLog) {
    let message = grant.receive("{}", OnClaims::Refuse).unwrap();
    log.append(message).await.unwrap();
}

fn main() {}
