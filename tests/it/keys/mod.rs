//! Rotating keys, failing issuers and several issuers: tests with a real issuer on loopback.

mod issuers;
mod rotation;
mod sources;
mod support;
mod trouble;
mod waiting;
