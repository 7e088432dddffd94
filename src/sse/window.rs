//! How much a body has given out that its host has not written yet.

use bytes::Bytes;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// The longest piece of a large event that is given out at once, in bytes.
pub(super) const PIECE: usize = 32 * 1024;
/// A frame is marked once this much is given out that no mark has seen written, in bytes.
const MARK: usize = 8 * 1024;
/// While more than this waits behind a mark, nothing is given out, in bytes.
const LIMIT: usize = 8 * 1024;

/// Bounds what a body has given out and its host has not written: at most 64 KiB.
///
/// A host such as hyper keeps the frames that its socket does not take, and drops each one once it
/// is written. Now and then a frame is marked: when it is dropped, all before it is written as well.
/// A host that copies what it is given, and drops it at once, bounds by itself what it keeps.
///
/// In numbers: behind a mark at most [`LIMIT`] and one [`PIECE`] are given out. Once the mark is
/// written, at most [`LIMIT`] + [`PIECE`] - [`MARK`] of that is left, and one more piece goes out
/// with a mark of its own.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// Given out, and not known to be written.
    unwritten: usize,
    /// A frame whose writing is waited for, and what was unwritten up to its end.
    mark: Option<(Arc<Mark>, usize)>,
}

#[derive(Debug, Default)]
struct Mark(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    written: bool,
    waker: Option<Waker>,
}

impl Mark {
    /// Every change is whole before the lock is given back.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A frame that tells its mark when it is dropped.
struct Marked {
    bytes: Bytes,
    mark: Arc<Mark>,
}

impl AsRef<[u8]> for Marked {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Marked {
    fn drop(&mut self) {
        let waker = {
            let mut state = self.mark.state();
            state.written = true;
            state.waker.take()
        };
        // Outside the lock: to wake may run any code.
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Window {
    /// Counts a frame that is about to be given out.
    pub(super) fn give(&mut self, bytes: Bytes) -> Bytes {
        self.unwritten += bytes.len();
        if self.mark.is_some() || self.unwritten < MARK {
            return bytes;
        }
        let mark = Arc::<Mark>::default();
        self.mark = Some((Arc::clone(&mark), self.unwritten));
        Bytes::from_owner(Marked { bytes, mark })
    }

    /// Ready while another frame may be given out.
    pub(super) fn poll_room(&mut self, cx: &Context<'_>) -> Poll<()> {
        if let Some((mark, up_to)) = &self.mark {
            let mut state = mark.state();
            if !state.written {
                if self.unwritten <= LIMIT {
                    return Poll::Ready(());
                }
                let registered = state.waker.as_ref().is_some_and(|w| w.will_wake(cx.waker()));
                if !registered {
                    state.waker = Some(cx.waker().clone());
                }
                return Poll::Pending;
            }
            drop(state);
            self.unwritten -= up_to;
            self.mark = None;
        }
        Poll::Ready(())
    }
}
