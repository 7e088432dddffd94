//! Access to threads: the registry of threads, and the check that makes a [`ThreadGrant`].

mod grant;
mod member;
mod memory;
mod proof;
mod record;
mod registry;
mod roster;
#[cfg(test)]
mod tests;
mod verify;

pub use grant::ThreadGrant;
pub use member::Member;
pub use memory::{MemoryRegistry, Registered};
pub(crate) use proof::{Proof, ProofWatch, Woken};
pub use record::ThreadRecord;
pub use registry::{DynThreadRegistry, NamesThread, ThreadRegistry};
pub use verify::verify_thread_access;
