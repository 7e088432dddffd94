//! How many tickets are kept at most.

use crate::ticket::record::TicketRecord;

/// What is kept at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Tickets of one caller, and their bytes.
    pub(super) per_holder: usize,
    pub(super) per_holder_bytes: usize,
    /// What a ticket counts at least, in bytes: so that bytes bound the number, too.
    pub(super) least: usize,
    /// Bytes of one tenant and env.
    pub(super) per_account_bytes: usize,
    /// Bytes in all.
    pub(super) in_all_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            per_holder: 64,
            per_holder_bytes: 1 << 20,
            least: 3 << 10,
            per_account_bytes: 30 << 20,
            in_all_bytes: 300 << 20,
        }
    }
}

impl Limits {
    /// What a ticket counts, in bytes.
    pub(super) fn count(&self, record: &TicketRecord) -> usize {
        record.kept_bytes().saturating_add(OVERHEAD).max(self.least)
    }
}

/// What a ticket keeps besides its record, in bytes: its places in the maps, also if it is the only one
/// of its caller and account, and the switch of its connection.
pub(super) const OVERHEAD: usize = 2304;
