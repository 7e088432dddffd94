//! Tokens that an attacker would send, and what jsonwebtoken alone makes of them.
//!
//! RFC 8725 names the classes. Nearly every token here is signed with the *right* key, so that
//! nothing but the rule under test can refuse it, and stands next to a control that differs from
//! it in one thing and passes. [`Alone`](service::Alone) keeps the comparison honest: it says what
//! jsonwebtoken decides when it knows issuer and audience, and is held against it.

mod claims;
mod headers;
mod keys;
mod service;
mod signatures;
mod size;
mod spelling;
