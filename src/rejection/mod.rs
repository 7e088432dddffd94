//! The typed reason for a refusal, and the response that reports it to the client.
//!
//! The client gets a [`Rejection`] in the dialect of its request: `application/problem+json` ([RFC 9457])
//! with a `WWW-Authenticate` challenge ([RFC 6750 section 3]) where there is one; a gRPC status; or a
//! short event stream, for a browser's `EventSource` that should try again. With [`RejectWith`], an
//! application makes responses in its own style.
//!
//! ```
//! use tower_tenancy::{Rejection, RejectionKind};
//!
//! let rejection = Rejection::new(RejectionKind::TenantMismatch);
//! assert_eq!(rejection.status(), 403);
//! assert_eq!(rejection.code(), "tenant.mismatch");
//! ```
//!
//! There are also kinds for an application's own refusals, such as a 404 or a 409: see [`RejectionKind`].
//!
//! [RFC 9457]: https://www.rfc-editor.org/rfc/rfc9457
//! [RFC 6750 section 3]: https://www.rfc-editor.org/rfc/rfc6750#section-3

mod cause;
mod dialect;
mod event_source;
mod grpc_status;
mod headers;
mod kind;
mod media_type;
mod problem;
mod reject_with;
#[cfg(test)]
mod tests;
mod value;
mod wrapped_body;

pub use cause::BoxError;
pub(crate) use cause::Chain;
pub use dialect::Dialect;
#[cfg(feature = "tonic")]
pub(crate) use grpc_status::{RETRY_PUSHBACK, TENANCY_CODE};
pub(crate) use headers::{belongs_to_body, forbid_sniffing, forbid_storing};
pub use kind::RejectionKind;
pub use media_type::require_json;
pub(crate) use problem::Plain;
#[cfg(feature = "axum")]
pub(crate) use problem::problem;
pub use reject_with::{ByContentType, GrpcStatus, RejectWith, WrapBody};
pub use value::Rejection;
pub(crate) use value::TARGET;
pub use wrapped_body::WrappedBody;
