//! Who may use a thread: the check that alone makes a [`ThreadGrant`].

mod grant;
mod memory;
mod proof;
mod registry;
mod roster;
#[cfg(test)]
pub(crate) mod tests;

pub use grant::{ThreadGrant, verify_thread_access};
pub use memory::{MemoryRegistry, Registered};
pub(crate) use proof::{Proof, ProofWatch, Woken};
pub use registry::{Member, NamesThread, ThreadRecord, ThreadRegistry};
