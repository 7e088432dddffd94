//! The task that fetches keys for a set.

use super::{
    fetch::{Usable, Work},
    shared::Shared,
    shown::shown_error,
    state::State,
};
use crate::{auth::jwt::jwk_set::LeftOut, rejection::Chain};
use futures_util::future::{Either, select};
use std::{
    pin::pin,
    sync::{Arc, Weak},
};
use tokio::{runtime::Handle, sync::mpsc};

/// Fetches keys as long as the set has a handle.
pub(super) struct Task {
    shared: Weak<Shared>,
    work: Arc<Work>,
}

impl Task {
    /// Starts a task. The returned sender wakes the task. Dropping the sender ends the task.
    pub(super) fn start(shared: &Arc<Shared>, runtime: &Handle) -> mpsc::Sender<()> {
        let (wake, woken) = mpsc::channel(1);
        let task = Self { shared: Arc::downgrade(shared), work: Arc::clone(&shared.work) };
        runtime.spawn(task.run(woken));
        wake
    }

    async fn run(self, mut woken: mpsc::Receiver<()>) {
        // The last logged values, so that each change is logged once.
        let (mut left_out_before, mut error_before) = (LeftOut::default(), None);
        loop {
            // Hold neither a lock nor the set during a fetch, because the set may be dropped in the meantime.
            let Some(shared) = self.shared.upgrade() else { return };
            if woken.is_closed() {
                // A new task has replaced this one.
                return;
            }
            shared.write(State::take_up);
            drop(shared);
            let fetched = self.work.fetch().await;
            let Some(shared) = self.shared.upgrade() else { return };
            if woken.is_closed() {
                return;
            }
            let now = self.work.clock.now();
            let (source, issuer) = (self.work.source.name(), shared.issuer.get());
            match fetched {
                Ok((document, Usable { keys, left_out })) => {
                    if shared.read(|state| state.last_error().is_some()) {
                        let keys = keys.len();
                        tracing::info!(source, issuer, keys, "keys can be fetched again");
                    }
                    if left_out != left_out_before {
                        left_out.log(&source, issuer);
                        left_out_before = left_out;
                    }
                    error_before = None;
                    shared.settle(|state| state.succeed(document, keys, now));
                }
                Err(error) => {
                    let error = shown_error(&Chain(&*error).to_string());
                    let held =
                        shared.read(|state| state.held(now).map_or(0, |held| held.keys.len()));
                    let failure = Some((error.clone(), held > 0));
                    if failure == error_before {
                        tracing::debug!(
                            source,
                            issuer,
                            error,
                            held,
                            "keys still cannot be fetched"
                        );
                    } else if held == 0 {
                        tracing::error!(
                            source,
                            issuer,
                            error,
                            "keys cannot be fetched; there are no keys to use"
                        );
                    } else {
                        let what = "keys cannot be fetched; the old keys stay in use";
                        tracing::warn!(source, issuer, error, held, "{what}");
                    }
                    error_before = failure;
                    shared.settle(|state| state.fail(error, now));
                }
            }
            let mut due = shared.read(|state| state.due_in(now));
            drop(shared);
            loop {
                if let Either::Right((None, _)) =
                    select(self.work.clock.sleep(due), pin!(woken.recv())).await
                {
                    return;
                }
                let Some(shared) = self.shared.upgrade() else { return };
                if woken.is_closed() {
                    return;
                }
                // The requested fetch may have ended in the meantime.
                let now = self.work.clock.now();
                if shared.write(|state| state.is_to_fetch(now)) {
                    break;
                }
                due = shared.read(|state| state.due_in(now));
            }
        }
    }
}
