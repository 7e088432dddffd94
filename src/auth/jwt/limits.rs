//! How much of a token is looked at before anybody is known.

/// Longest `kid` that is looked up, in bytes.
pub(super) const MAX_KID: usize = 128;

/// Most keys that are tried for one token: what a token may cost before anybody is known, whoever sent it.
pub(super) const MAX_TRIES: usize = 4;

/// How much of an unexpected claim a log line shows, in characters.
pub(super) const MAX_SHOWN: usize = 200;
