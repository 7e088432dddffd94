//! Tokens that an attacker would send, and what jsonwebtoken alone makes of them.
//!
//! RFC 8725 names the classes. The *right* key signs nearly every token here, so that only the rule
//! under test can refuse it. Next to each stands a control, which differs in one thing and passes.
//! [`Alone`](service::Alone) is the verdict of jsonwebtoken with the same issuer and audience, and the
//! tests check that, too.

mod claims;
mod headers;
mod keys;
mod service;
mod signatures;
mod size;
mod spelling;
