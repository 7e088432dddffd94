//! Vectors that others made: our keys and our signature check must agree with them, on every
//! backend that is compiled in.
//!
//! Every disagreement is listed with its reason, and must still be one.

mod bare;
mod jose;
mod rfc;
mod support;
