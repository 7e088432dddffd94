//! Guarded streams, rejections and endings for tonic.
//!
//! The layers themselves do not need tonic: put
//! `RequireTenantScope::new(verifier).reject_with(GrpcStatus)` into `tonic::transport::Server::layer`, or
//! around one service.

mod status;
mod stream;
#[cfg(test)]
mod tests;

pub use stream::GrpcStream;
