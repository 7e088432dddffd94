//! A guarded stream as server-sent events ([WHATWG HTML section 9.2][sse]), for any host.
//!
//! A stream opens at once with the notice `stream.open`: it has `retry:` and, if there is a position, the
//! `id:` where reading starts. An event has `id:`, `event:` (not for the type `message`) and `data:`,
//! with the whole envelope on one line. All notices are named events with data. Only `stream.open` and a
//! gap notice have an `id:`, because only they set the client's cursor. Comments keep quiet streams
//! alive.
//!
//! [sse]: https://html.spec.whatwg.org/multipage/server-sent-events.html

mod blocks;
mod body;
mod cut_off;
#[cfg(test)]
mod tests;
mod window;

pub use body::SseBody;
pub use cut_off::CutOff;
