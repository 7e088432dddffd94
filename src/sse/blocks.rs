//! The text of a frame.

use crate::{
    delivery::Outbound,
    ending::{Ending, jittered},
    event::{Cursor, StreamEvent},
    event_stream::{Block, OPEN, members},
    id::RequestId,
};
use std::time::Duration;

/// A frame of this length or more takes no further event. Further events wait in the source.
pub(super) const FRAME: usize = 16 * 1024;

/// If the text after the trace id of an event has this length or more, all readers of the event share
/// this text, and the body gives it out in pieces. A shorter text is copied, because a copy costs less
/// than another frame.
pub(super) const SHARED: usize = 8 * 1024;

/// Writes the notice with the position where reading starts or continues. It is the first block of a
/// stream. It has data, because Firefox and Safari drop a block without data, together with its `id`.
pub(super) fn open(
    frame: &mut String,
    trace_id: &RequestId,
    position: Option<Cursor>,
    retry: Option<Duration>,
) {
    let block = Block::new(frame).event(OPEN).id(position).retry(retry);
    block.notice(members([("code", OPEN)]), Some(trace_id)).end();
}

/// Writes one item. Returns the event if it is large: the caller must then write its rest.
pub(super) fn write(
    frame: &mut String,
    outbound: &Outbound,
    trace_id: &RequestId,
    retry: Duration,
) -> Option<StreamEvent> {
    match outbound {
        Outbound::Event(stamped) => {
            let mut pieces = stamped.block();
            let [.., rest] = &mut pieces;
            let is_large = rest.len() >= SHARED;
            if is_large {
                *rest = "";
            }
            let needed = pieces.iter().map(|piece| piece.len()).sum();
            // Most frames have one event, so reserve only what it needs. A frame with a second event
            // usually gets more events, so reserve a whole frame then. A large event is the last event of
            // its frame.
            if frame.is_empty() || is_large {
                frame.reserve_exact(needed);
            } else if frame.capacity() - frame.len() < needed {
                frame.reserve_exact(needed.max(FRAME.saturating_sub(frame.len())));
            }
            pieces.iter().for_each(|piece| frame.push_str(piece));
            return is_large.then(|| stamped.event().clone());
        }
        Outbound::Position(position) => open(frame, trace_id, Some(position.cursor()), None),
        // The notice and the new position are one block, so that the client never gets one without the
        // other.
        Outbound::Gap(gap) => {
            let block = Block::new(frame).event(Ending::Gap.code()).id(gap.resumes_at());
            block.notice(gap.members(), Some(trace_id)).end();
        }
        Outbound::End(ending) => {
            let retry = ending.retry_after(retry).map(jittered);
            let block = Block::new(frame).event(ending.code()).retry(retry);
            block.notice(ending.members(), Some(trace_id)).end();
        }
    }
    None
}
