//! Validated names: tenant, env, thread, request id and subject.
//!
//! Every id has one spelling, a maximum length and a fixed set of characters. The crate compares ids
//! byte for byte, and never trims or normalizes them.
//!
//! Tenants, envs, threads and types of actors follow one rule: `[A-Za-z0-9._:@~-]{1,128}`. It allows
//! the ids that identity providers and databases make: UUIDs, `org_2x`, `acme.example`,
//! `user@example.com`, `arn:x:y`, and random base64url that begins with `-`. It allows no character that
//! needs escaping in JSON, in a header, in a log line, or in one segment of a path. An id must not
//! consist of dots only, because `.` and `..` have a special meaning in a path (RFC 3986 section 5.2.4).
//!
//! No id can contain a `/`. So a key may join ids with it: see [`ThreadKey::to_path`]. Do not join ids
//! with `.`, `:`, `-`, `_`, `@` or `~`: ids can contain these, so two different pairs of ids could give
//! the same text.
//!
//! `t_unknown`, `undefined` and `null`, in any case, are placeholders. Front ends and scripts send them
//! when they do not have the id. A placeholder is never an id.

mod key;
mod names;
mod rules;
mod shown;
#[cfg(test)]
mod tests;
pub(crate) mod text;
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
