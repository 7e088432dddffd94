//! Tokens of attackers, and the verdict of jsonwebtoken alone on them.
//!
//! RFC 8725 describes these classes of attacks. The *right* key signs nearly every token here, so that only
//! the rule under test can refuse it. Each attack has a control: a token that differs in one detail and
//! passes. [`Alone`](service::Alone) is the verdict of jsonwebtoken with the same issuer and audience. The
//! tests check this verdict, too.

mod claims;
mod headers;
mod keys;
mod service;
mod signatures;
mod size;
mod spelling;
