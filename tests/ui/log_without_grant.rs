//! Code can read a log only through a grant, which has the key.
use tower_tenancy::{Env, EventLog, MemoryLog, TenantId, ThreadId, id::ThreadKey};

fn read(log: MemoryLog, tenant: TenantId, env: Env, thread: ThreadId) {
    let _opened = log.open(&ThreadKey::new(tenant, env, thread));
}

fn main() {}
