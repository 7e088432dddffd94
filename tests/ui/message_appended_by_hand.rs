//! Only a grant or a publisher, which check the proof, can append a client's message to a log.
use tower_tenancy::{EventLog as _, MemoryLog, OnForeignMembers, ThreadGrant};

async fn say(grant: ThreadGrant, log: MemoryLog) {
    let message = grant.receive("{}", OnForeignMembers::Refuse).unwrap();
    log.append(message).await.unwrap();
}

fn main() {}
