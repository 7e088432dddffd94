//! Limits on the work that an unverified token causes.

/// The longest `kid` that is looked up, in bytes.
pub(super) const MAX_KID: usize = 128;

/// The most keys that are tried for one token. Anybody can send a token, so this bounds the cost of a token.
pub(super) const MAX_TRIES: usize = 4;

/// How many characters of an unexpected claim a log line shows.
pub(super) const MAX_SHOWN: usize = 200;
