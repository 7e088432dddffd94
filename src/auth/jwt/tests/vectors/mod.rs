//! Published test vectors. Our keys and our signature check must agree with them, on every backend that is
//! compiled in.
//!
//! If we disagree with a vector, the test lists the vector and the reason. The test fails if we agree with a
//! listed vector.

mod bare;
mod jose;
mod rfc;
mod support;
