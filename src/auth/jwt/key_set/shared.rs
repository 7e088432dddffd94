//! What the handles of a set and its task share.

use super::{fetch::Work, state::State};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use tokio::sync::{mpsc, watch};

pub(super) struct Shared {
    pub(super) state: RwLock<State>,
    pub(super) work: Arc<Work>,
    /// Whose keys these are, for the log: the issuer of the first verifier that says it.
    pub(super) issuer: OnceLock<String>,
    /// Asks the task for a fetch. Closed where the task is gone, and closed with the last handle, which
    /// ends the task. Locked before the state.
    pub(super) wake: Mutex<mpsc::Sender<()>>,
    /// One more with each fetch that is over. Changes together with the state.
    pub(super) fetches: watch::Sender<u64>,
}

impl Shared {
    pub(super) fn lock_wake(&self) -> MutexGuard<'_, mpsc::Sender<()>> {
        self.wake.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A fetch is over.
    pub(super) fn settle(&self, outcome: impl FnOnce(&mut State)) {
        self.write(|state| {
            outcome(state);
            self.fetches.send_modify(|fetches| *fetches += 1);
        });
    }

    pub(super) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Every change is whole before the lock is given back.
    pub(super) fn write<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner))
    }
}
