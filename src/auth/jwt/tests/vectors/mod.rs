//! Vectors that others made. Our keys and our signature check must agree with them, on every backend
//! that is compiled in.
//!
//! Where we disagree, the test lists the vector and the reason. It fails when we agree after all.

mod bare;
mod jose;
mod rfc;
mod support;
