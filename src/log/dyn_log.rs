//! A log that the application chooses at run time.

use super::{
    error::LogError,
    event_log::{EventLog, LogReader},
    extent::Extent,
};
use crate::{
    event::{NewEvent, StreamEvent},
    id::{TenantId, ThreadKey},
};
use std::{fmt, future::Future, pin::Pin, sync::Arc};

/// Any [`EventLog`], chosen at run time. Clones share it.
///
/// Each call costs one allocation and one dynamic call more than a call of the log itself. A reader
/// costs one more dynamic call for each event.
///
/// ```
/// use tower_tenancy::{MemoryLog, log::DynEventLog};
///
/// fn log(threads: Option<usize>) -> DynEventLog {
///     match threads {
///         Some(most) => DynEventLog::new(MemoryLog::builder().max_threads(most).build()),
///         None => DynEventLog::new(MemoryLog::new()),
///     }
/// }
/// # log(Some(10));
/// ```
#[derive(Clone)]
pub struct DynEventLog(Arc<dyn ErasedLog>);

impl DynEventLog {
    /// Wraps `log`, and hides its type.
    #[must_use]
    pub fn new(log: impl EventLog) -> Self {
        Self(Arc::new(log))
    }
}

impl fmt::Debug for DynEventLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynEventLog").finish_non_exhaustive()
    }
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, LogError>> + Send + 'a>>;
type DynReader = Box<dyn LogReader>;

/// [`EventLog`] with boxed futures.
trait ErasedLog: Send + Sync {
    fn append(&self, event: NewEvent) -> Answer<'_, StreamEvent>;
    fn open<'a>(&'a self, thread: &'a ThreadKey) -> Answer<'a, (Extent, DynReader)>;
    fn erase_thread<'a>(&'a self, thread: &'a ThreadKey) -> Answer<'a, ()>;
    fn erase_tenant<'a>(&'a self, tenant: &'a TenantId) -> Answer<'a, ()>;
}

impl<L: EventLog> ErasedLog for L {
    fn append(&self, event: NewEvent) -> Answer<'_, StreamEvent> {
        Box::pin(EventLog::append(self, event))
    }

    fn open<'a>(&'a self, thread: &'a ThreadKey) -> Answer<'a, (Extent, DynReader)> {
        Box::pin(async move {
            let (extent, reader) = EventLog::open(self, thread).await?;
            let reader: DynReader = Box::new(reader);
            Ok((extent, reader))
        })
    }

    fn erase_thread<'a>(&'a self, thread: &'a ThreadKey) -> Answer<'a, ()> {
        Box::pin(EventLog::erase_thread(self, thread))
    }

    fn erase_tenant<'a>(&'a self, tenant: &'a TenantId) -> Answer<'a, ()> {
        Box::pin(EventLog::erase_tenant(self, tenant))
    }
}

impl EventLog for DynEventLog {
    type Reader = DynReader;

    async fn append(&self, event: NewEvent) -> Result<StreamEvent, LogError> {
        self.0.append(event).await
    }

    async fn open(&self, thread: &ThreadKey) -> Result<(Extent, DynReader), LogError> {
        self.0.open(thread).await
    }

    async fn erase_thread(&self, thread: &ThreadKey) -> Result<(), LogError> {
        self.0.erase_thread(thread).await
    }

    async fn erase_tenant(&self, tenant: &TenantId) -> Result<(), LogError> {
        self.0.erase_tenant(tenant).await
    }
}
