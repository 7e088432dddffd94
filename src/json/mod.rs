//! A strict parser, in one pass, for JSON from outside: claims, JOSE headers, JWK sets, and the messages
//! of clients.
//!
//! RFC 8259 leaves some choices to the parser: which of two members with the same name counts, what half
//! of a surrogate pair means, how large a number may be, and how deep values may be nested. So two
//! parsers can read one text differently. This parser refuses every text that depends on such a choice,
//! at every depth. I-JSON (RFC 7493) forbids duplicate names and unpaired surrogates, too, and advises
//! against such numbers.

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
