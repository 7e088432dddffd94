//! The state that the task of a set shares with its handles.

use super::{fetch::Work, state::State};
use crate::sync::{Mutex, RwLock};
use std::sync::{Arc, OnceLock};
use tokio::sync::{mpsc, watch};

pub(super) struct Shared {
    pub(super) state: RwLock<State>,
    pub(super) work: Arc<Work>,
    /// The issuer of the keys, for log lines. It is the issuer of the first verifier that uses the set and
    /// has an issuer.
    pub(super) issuer: OnceLock<String>,
    /// Wakes the task for a fetch. If the task has ended, the channel is closed. When the last handle is
    /// dropped, this sender is dropped, which ends the task. If you lock both this and the state, lock this
    /// first.
    pub(super) wake: Mutex<mpsc::Sender<()>>,
    /// The number of fetches that have ended. It changes together with the state.
    pub(super) fetches: watch::Sender<u64>,
}

impl Shared {
    /// Records the end of a fetch.
    pub(super) fn settle(&self, outcome: impl FnOnce(&mut State)) {
        self.write(|state| {
            outcome(state);
            self.fetches.send_modify(|fetches| *fetches += 1);
        });
    }

    pub(super) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.read())
    }

    /// Runs `change` under the lock, so nobody sees half of a change.
    pub(super) fn write<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.write())
    }
}
