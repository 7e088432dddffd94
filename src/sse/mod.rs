//! A guarded stream as server-sent events ([WHATWG HTML section 9.2][sse]), for any host.
//!
//! A stream opens at once with `retry:` and, if it has a position, a priming `id:` that names
//! where reading starts. Events are `id:`, `event:` (left out for `message`) and `data:`, the whole
//! envelope on one line. Notices are named events with data and no `id:`, so that they reach a
//! page and move no cursor. Comments keep quiet streams alive.
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
