//! Validated names: tenant, env, thread, request id and subject.
//!
//! Every id has one spelling, a bounded length and a bounded charset. Ids are compared byte for byte;
//! nothing is trimmed, folded or normalised.
//!
//! Tenants, envs, threads and types of actors follow one rule, `[A-Za-z0-9._:@~-]{1,128}`: what
//! identity providers and databases make ids of (UUIDs, `org_2x`, `acme.example`, `user@example.com`,
//! `arn:x:y`, random base64url that begins with `-`), and nothing that needs escaping in JSON, in a
//! header, in a log line or as one segment of a path. An id of dots alone is refused, for `.` and `..`
//! are no segments of a path (RFC 3986 section 5.2.4).
//!
//! No id can hold a `/`, so that is what a key may join them with: see [`ThreadKey::to_path`]. An id
//! can hold `.`, `:`, `-`, `_`, `@` and `~`: two ids that are joined by one of those can be mistaken for
//! two others.
//!
//! `t_unknown`, `undefined` and `null`, in any case, are placeholders: front ends and scripts send them
//! where nobody filled an id in. They are never an id.

mod key;
mod names;
mod rules;
mod shown;
#[cfg(test)]
mod tests;
mod text;
mod validated;

pub use key::ThreadKey;
pub use names::{ActorType, Env, RequestId, Subject, TenantId, ThreadId};
pub use rules::InvalidId;
pub(crate) use rules::NOT_VISIBLE;
pub(crate) use shown::few;
pub(crate) use text::Text;
#[cfg(any(feature = "tickets", feature = "token-cache"))]
pub(crate) use text::{ALLOCATION, kept_aside};
pub(crate) use validated::validated_text;
