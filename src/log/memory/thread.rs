//! One thread of the log.

use super::{account::Account, ring::Ring};
use crate::sync::{AtomicU64, Mutex};
use std::sync::Arc;

pub(super) struct Thread {
    pub(super) ring: Mutex<Ring>,
    /// The number of the newest event, or [`ERASED`]. While it does not change, waiting readers need no
    /// lock.
    pub(super) head: AtomicU64,
    /// The account of the thread's tenant and env.
    pub(super) account: Arc<Account>,
}

/// The head of an erased thread. No event has this number.
pub(super) const ERASED: u64 = u64::MAX;

impl Thread {
    pub(super) fn new(account: Arc<Account>) -> Self {
        Self { ring: Mutex::default(), head: AtomicU64::new(0), account }
    }
}
