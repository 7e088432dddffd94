//! The limits of the store.

use crate::ticket::record::TicketRecord;

/// The limits of the store.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The number and the bytes of the tickets of one caller.
    pub(super) per_holder: usize,
    pub(super) per_holder_bytes: usize,
    /// The least that a ticket counts, in bytes. So the byte limits also limit the number of tickets.
    pub(super) least: usize,
    /// The bytes of one tenant and env.
    pub(super) per_account_bytes: usize,
    /// The bytes of all tickets.
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
    /// How many bytes a ticket counts.
    pub(super) fn count(&self, record: &TicketRecord) -> usize {
        record.kept_bytes().saturating_add(OVERHEAD).max(self.least)
    }
}

/// The bytes of a ticket besides its record: its entries in the maps, even if it is the only ticket of
/// its caller and account, and the revocation of its connection.
pub(super) const OVERHEAD: usize = 2304;
