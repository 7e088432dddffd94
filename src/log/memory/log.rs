//! The log itself: finds threads, appends to them and erases them.

use super::{
    account::Resource,
    reader::MemoryReader,
    retention::make_room,
    ring::{Ring, size},
    shared::Shared,
    thread::Thread,
};
use crate::{
    event::{Cursor, NewEvent, StreamEvent},
    id::{TenantId, ThreadKey},
    log::{error::LogError, event_log::EventLog, extent::Extent},
};
use std::{
    fmt,
    future::{Future, ready},
    sync::{Arc, atomic::Ordering},
};

/// An [`EventLog`] in memory. It limits events, bytes, age and threads. Clones share it.
///
/// By default it keeps the newest 10,000 events of each thread, at most 8 MiB of them, for at most one
/// hour. In total it keeps at most 256 MiB and 100,000 threads. The [builder](Self::builder) changes
/// these limits.
///
/// If the log exceeds a total, each pair of tenant and env has a fair share of it: the limit divided by
/// the number of pairs that use it. Only pairs above their share lose events, and those that use most
/// lose first. A pair within its share loses nothing, however much the others publish. A pair above its
/// share first loses whole threads that nobody reads, the least recently written first. If that is not
/// enough, its largest threads lose the older half of their events. The log does not remove a thread
/// that has a reader to make room. A reader that missed events gets a [`Gap`](crate::Gap).
///
/// If the application erases a thread or a tenant, the log frees its memory at once and ends its readers.
///
/// The log does not survive the process: a client with a cursor from before a restart gets a gap.
#[derive(Clone)]
pub struct MemoryLog(pub(super) Arc<Shared>);

impl MemoryLog {
    pub(super) fn thread(&self, key: &ThreadKey) -> Arc<Thread> {
        let shared = &*self.0;
        let shard = shared.shard(key);
        if let Some(thread) = shard.0.read().get(key) {
            return Arc::clone(thread);
        }
        let mut threads = shard.0.write();
        let thread = threads.entry(key.clone()).or_insert_with(|| {
            shared.threads.used.fetch_add(1, Ordering::Relaxed);
            Arc::new(Thread::new(shared.accounts.open(key)))
        });
        let thread = Arc::clone(thread);
        drop(threads);
        // This function still holds the new thread, so `make_room` does not remove it.
        if shared.threads.is_exceeded() {
            make_room(shared, Resource::Threads, shared.clock.now());
        }
        thread
    }

    pub(super) fn open_now(&self, key: &ThreadKey) -> Result<(Extent, MemoryReader), LogError> {
        loop {
            match MemoryReader::open(Arc::clone(&self.0), self.thread(key)) {
                // An erased thread is no longer in its map, so the next turn finds or makes another.
                Err(LogError::Erased) => {}
                opened => return opened,
            }
        }
    }

    pub(super) fn append_now(&self, event: NewEvent) -> Result<StreamEvent, LogError> {
        let shared = &*self.0;
        let now = shared.clock.now();
        let (thread, sealed, deferred) = loop {
            let thread = self.thread(event.key());
            let mut ring = thread.ring.lock();
            if ring.erased {
                // As above.
                continue;
            }
            let sealed = event.seal(Cursor::new(ring.epoch, ring.next), now);
            if size(&sealed) > shared.limits.bytes {
                return Err(LogError::TooLarge { max: shared.limits.bytes });
            }
            let push = |ring: &mut Ring| ring.push(sealed.clone(), now, shared.limits);
            let deferred = shared.counting(&thread, &mut ring, push);
            thread.head.store(ring.extent().head().seq(), Ordering::Release);
            drop(ring);
            break (thread, sealed, deferred);
        };
        deferred.run();
        if shared.bytes.is_exceeded() {
            make_room(shared, Resource::Bytes, now);
        }
        // Held until here, so that `make_room` does not remove the event that was just written.
        drop(thread);
        Ok(sealed)
    }

    pub(super) fn erase_thread_now(&self, key: &ThreadKey) {
        let erased = self.0.shard(key).0.write().remove(key);
        if let Some(thread) = erased {
            self.0.end(key, &thread);
        }
    }

    fn erase_tenant_now(&self, tenant: &TenantId) {
        for shard in &self.0.shards {
            let theirs = |key: &ThreadKey, _: &mut Arc<Thread>| key.tenant() == tenant;
            let erased: Vec<_> = shard.0.write().extract_if(theirs).collect();
            for (key, thread) in erased {
                self.0.end(&key, &thread);
            }
        }
    }
}

impl fmt::Debug for MemoryLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLog")
            .field("limits", &self.0.limits)
            .field("threads", &self.0.threads.used())
            .field("bytes", &self.0.bytes.used())
            .finish_non_exhaustive()
    }
}

impl EventLog for MemoryLog {
    type Reader = MemoryReader;

    fn append(
        &self,
        event: NewEvent,
    ) -> impl Future<Output = Result<StreamEvent, LogError>> + Send {
        ready(self.append_now(event))
    }

    fn erase_thread(
        &self,
        thread: &ThreadKey,
    ) -> impl Future<Output = Result<(), LogError>> + Send {
        self.erase_thread_now(thread);
        ready(Ok(()))
    }

    fn erase_tenant(&self, tenant: &TenantId) -> impl Future<Output = Result<(), LogError>> + Send {
        self.erase_tenant_now(tenant);
        ready(Ok(()))
    }

    fn open(
        &self,
        thread: &ThreadKey,
    ) -> impl Future<Output = Result<(Extent, MemoryReader), LogError>> + Send {
        ready(self.open_now(thread))
    }
}
