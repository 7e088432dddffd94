//! The limits and times of a session.

use crate::inbound::OnForeignMembers;
use std::time::Duration;

#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    pub(super) retry: Duration,
    pub(super) heartbeat: Duration,
    pub(super) timeout: Duration,
    pub(super) max_message: usize,
    pub(super) on_foreign_members: OnForeignMembers,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            retry: Duration::from_secs(3),
            heartbeat: Duration::from_secs(15),
            timeout: Duration::from_secs(45),
            max_message: 64 * 1024,
            on_foreign_members: OnForeignMembers::default(),
        }
    }
}
