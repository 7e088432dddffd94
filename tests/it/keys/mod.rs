//! Keys that rotate, issuers that fail, and several of them: against a real issuer on loopback.

mod issuers;
mod rotation;
mod sources;
mod support;
mod trouble;
mod waiting;
