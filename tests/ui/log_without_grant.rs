//! A log is read through a grant: nobody else has a key.
use tower_tenancy::{Env, EventLog, MemoryLog, TenantId, ThreadId, id::ThreadKey};

fn read(log: MemoryLog, tenant: TenantId, env: Env, thread: ThreadId) {
    let _opened = log.open(&ThreadKey::new(tenant, env, thread));
}

fn main() {}
