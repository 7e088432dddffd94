//! JSON that comes from outside, read in one strict pass: claims, JOSE headers, JWK sets, and the
//! messages of clients.
//!
//! RFC 8259 leaves much to the reader: which of two members with one name counts, what half of a
//! surrogate pair means, how large a number may be, and how deep values may be nested. Two readers
//! that choose differently understand one text in two ways. So a text that depends on such a choice is
//! refused, at every depth. I-JSON (RFC 7493) forbids a sender to send such a text.

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
