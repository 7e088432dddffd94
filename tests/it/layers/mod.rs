//! Tests of each layer alone, and of all layers in order. A refused request must not reach the handler.

mod claims;
mod log;
mod order;
mod request_id;
mod style;
mod support;

pub(crate) use support::{counting, key, later, logged, request, setting, verifier, without};
