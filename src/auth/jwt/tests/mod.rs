//! Tests of the rules for tokens, with every backend that is compiled in.
#![allow(clippy::wildcard_enum_match_arm, reason = "tests")]

mod algorithms;
mod attacks;
mod bounds;
#[cfg(all(feature = "jwks", feature = "token-cache"))]
mod cache;
mod claims;
mod dates;
mod issuers;
mod key_choice;
#[cfg(feature = "jwks")]
mod key_sets;
mod keys;
mod places;
mod purposes;
mod support;
mod syntax;
mod vectors;
