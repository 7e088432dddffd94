//! Events of threads, and the envelope that clients receive. The crate encodes each event once.
//!
//! ```json
//! {"v":1,"id":"<cursor>","type":"message","ts":"2026-11-22T12:00:00.000Z",
//!  "routing":{"tenant_id":"t_alpha","env":"prod","thread_id":"th-1","actor_id":"u-1","actor_type":"human"},
//!  "meta":{"trace_id":"<request that receives it>","origin_trace_id":"<request that published it>","seq":42},
//!  "data":{"text":"hi"}}
//! ```
//!
//! A log gives an event its `id` and its `meta.seq`. An event outside a log has neither. The stream sets
//! `trace_id` at delivery: it is the id of the request that receives the event.

mod cursor;
mod envelope;
mod event_type;
mod json_text;
mod last_event_id;
mod routing;
mod stamped;
#[cfg(test)]
mod tests;

pub use cursor::{Cursor, Epoch, InvalidCursor, InvalidEpoch};
pub use envelope::{NewEvent, StreamEvent};
pub use event_type::{EventType, InvalidEvent};
pub use last_event_id::{LAST_EVENT_ID, LastEventId};
pub use routing::{InvalidRouting, Routing};
pub use stamped::StampedEvent;
