//! What is written into a frame.

use crate::{
    delivery::Outbound,
    ending::{Ending, jittered},
    event::{Cursor, StreamEvent},
    event_stream::{Block, OPEN, members},
    id::RequestId,
};
use std::time::Duration;

/// A frame takes no more events once it is this long: back-pressure stays in the log.
pub(super) const FRAME: usize = 16 * 1024;

/// From this length on, what comes after an event's trace id is shared by its readers, and given out
/// in pieces. Below, a copy costs less than another frame.
pub(super) const SHARED: usize = 8 * 1024;

/// Tells where reading starts, or goes on: the first block of a stream. It has data, since Firefox and
/// Safari drop a block without data, and its `id` with it.
pub(super) fn open(
    frame: &mut String,
    trace_id: &RequestId,
    position: Option<Cursor>,
    retry: Option<Duration>,
) {
    let block = Block::new(frame).event(OPEN).id(position).retry(retry);
    block.notice(members([("code", OPEN)]), Some(trace_id)).end();
}

/// Gives the event whose rest is still to be written.
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
            // Most frames hold one event: these take just what they need. Where there is a second
            // there are more, and room for all is made at once. A large one is the last of its frame.
            if frame.is_empty() || is_large {
                frame.reserve_exact(needed);
            } else if frame.capacity() - frame.len() < needed {
                frame.reserve_exact(needed.max(FRAME.saturating_sub(frame.len())));
            }
            pieces.iter().for_each(|piece| frame.push_str(piece));
            return is_large.then(|| stamped.event().clone());
        }
        Outbound::Position(position) => open(frame, trace_id, Some(position.cursor()), None),
        // Notice and new position are one block, so that nothing can cut them apart.
        Outbound::Gap(gap) => {
            let block = Block::new(frame).event(Ending::Gap.code()).id(gap.resumes_at());
            block.notice(gap.members(), Some(trace_id)).end();
        }
        // The gap itself was the notice.
        Outbound::End(Ending::Gap) => {}
        Outbound::End(ending) => {
            let retry = ending.retry_after(retry).map(jittered);
            let block = Block::new(frame).event(ending.code()).retry(retry);
            block.notice(ending.members(), Some(trace_id)).end();
        }
    }
    None
}
