//! What the log keeps of one thread at most.

use std::time::Duration;

#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) events: usize,
    pub(super) bytes: usize,
    pub(super) age: Duration,
}
