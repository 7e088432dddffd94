//! JSON that comes from outside, read in one strict pass: claims, JOSE headers, JWK sets, and the
//! messages of clients.
//!
//! RFC 8259 leaves much of what a text means to its reader: which of two members of one name counts,
//! what half of a surrogate pair is, how large a number may be, how deep values may be nested. Two
//! readers that choose differently see two texts, and a strict one sees none. So all of that is
//! refused, at every depth (I-JSON, RFC 7493, asks the same of a sender).

mod fault;
mod number;
mod object;
mod scanner;
mod string;
#[cfg(test)]
mod tests;

pub(crate) use fault::Fault;
#[cfg(feature = "jwt")]
pub(crate) use object::Json;
pub(crate) use object::{Member, Object};
pub(crate) use scanner::MAX_DEPTH;
