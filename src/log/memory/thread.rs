//! What the log keeps of one thread.

use super::{account::Account, ring::Ring};
use crate::sync::{AtomicU64, Mutex};
use std::sync::Arc;

pub(super) struct Thread {
    pub(super) ring: Mutex<Ring>,
    /// The number of the newest event, for readers that wait: while it stands, they need no lock.
    /// [`ERASED`] is told here as well.
    pub(super) head: AtomicU64,
    /// Of the thread's tenant and env.
    pub(super) account: Arc<Account>,
}

/// The head of a thread that was erased. No event ever has this number.
pub(super) const ERASED: u64 = u64::MAX;

impl Thread {
    pub(super) fn new(account: Arc<Account>) -> Self {
        Self { ring: Mutex::default(), head: AtomicU64::new(0), account }
    }
}
