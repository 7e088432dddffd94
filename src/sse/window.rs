//! Counts what a body has given out and its host has not written yet.

use crate::sync::Mutex;
use bytes::Bytes;
use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
};

/// The longest piece of a large event, in bytes.
const PIECE: usize = 32 * 1024;
/// How much may be unwritten, in bytes.
const MOST: usize = 64 * 1024;
/// How much may be unwritten while a marked frame is unwritten, in bytes. The mark may cover only a few
/// bytes. Once it is written, there is still room for one frame, which has less than 26 KiB: 16 KiB of
/// events, the beginning of one more event, and 8 KiB of its data.
const MOST_MARKED: usize = 38 * 1024;
/// A frame gets a mark if this many bytes or frames are unwritten with it, and no other frame has a mark.
const MARK: Size = Size { bytes: 8 * 1024, frames: 4 };
/// While a marked frame is unwritten, the body gives out another frame only if no more than this is
/// unwritten. hyper buffers 16 frames and then stops polling, so the body must reach this limit first.
const LIMIT: Size = Size { bytes: 8 * 1024, frames: 8 };

/// How much was given out.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    bytes: usize,
    frames: usize,
}

/// Limits what a body has given out and its host has not written: at most 64 KiB.
///
/// A host such as hyper keeps the frames that its socket does not take, and drops each frame once it is
/// written. Some frames have a mark: when a marked frame is dropped, all frames before it are written as
/// well. A host that copies each frame and drops it at once must limit what it keeps by itself.
///
/// In numbers: while a marked frame is unwritten, the body gives out a frame or a piece only if at most
/// [`LIMIT`] is unwritten, and at most [`MOST_MARKED`] is unwritten after it. Once the host has written the
/// marked frame, the body gives out one more frame or piece, up to [`MOST`]. That one has its own mark.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// What was given out, and may not be written yet.
    unwritten: Size,
    /// The marked frame that is not written yet, and what was unwritten up to its end.
    mark: Option<(Arc<Mark>, Size)>,
}

#[derive(Debug, Default)]
struct Mark(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    written: bool,
    waker: Option<Waker>,
}

/// A frame that sets its mark when it is dropped.
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
            let mut state = self.mark.0.lock();
            state.written = true;
            state.waker.take()
        };
        // Outside the lock, because a waker may run any code.
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Window {
    /// Counts a frame that is about to be given out.
    pub(super) fn give(&mut self, bytes: Bytes) -> Bytes {
        self.unwritten.bytes += bytes.len();
        self.unwritten.frames += 1;
        let is_enough = self.unwritten.bytes >= MARK.bytes || self.unwritten.frames >= MARK.frames;
        if self.mark.is_some() || !is_enough {
            return bytes;
        }
        let mark = Arc::<Mark>::default();
        self.mark = Some((Arc::clone(&mark), self.unwritten));
        Bytes::from_owner(Marked { bytes, mark })
    }

    /// How long the next piece of a large event may be, in bytes. There must be room for a frame.
    pub(super) fn piece(&self) -> usize {
        let most = if self.mark.is_some() { MOST_MARKED } else { MOST };
        PIECE.min(most.saturating_sub(self.unwritten.bytes))
    }

    /// Whether a marked frame is not written yet.
    pub(super) fn waits(&self) -> bool {
        self.mark.as_ref().is_some_and(|(mark, _)| !mark.0.lock().written)
    }

    /// Ready while another frame may be given out.
    pub(super) fn poll_room(&mut self, cx: &Context<'_>) -> Poll<()> {
        if let Some((mark, up_to)) = &self.mark {
            let mut state = mark.0.lock();
            if !state.written {
                if self.unwritten.bytes <= LIMIT.bytes && self.unwritten.frames <= LIMIT.frames {
                    return Poll::Ready(());
                }
                let registered = state.waker.as_ref().is_some_and(|w| w.will_wake(cx.waker()));
                if !registered {
                    state.waker = Some(cx.waker().clone());
                }
                return Poll::Pending;
            }
            drop(state);
            self.unwritten.bytes -= up_to.bytes;
            self.unwritten.frames -= up_to.frames;
            self.mark = None;
        }
        Poll::Ready(())
    }
}
