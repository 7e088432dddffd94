//! Why a verifier cannot be built.

use super::{algorithm::Algorithm, limits::MAX_TRIES};

/// Why a verifier cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JwtConfigError {
    /// No key was given.
    #[error("the verifier has no key: give it a key or a key set")]
    NoKey,
    /// No crypto backend is compiled in.
    #[error("no crypto backend is compiled in: enable the feature `aws-lc-rs` or `rust-crypto`")]
    NoBackend,
    /// A key is malformed, too weak, private, or of a kind that cannot verify signatures.
    #[error("unusable key: {0}")]
    Key(&'static str),
    /// No key of a JWK set can be used. The text names the keys and gives the reasons.
    #[error("no key of the JWK set can be used: {0}")]
    NoUsableKey(String),
    /// Too many keys with the same `kid`, or without one, verify the same tokens.
    #[error(
        "{count} keys {} verify {algorithm:?}, and at most {MAX_TRIES} are tried for a token: \
         give each key its own `kid` with `JwtKey::with_kid`, as in the header of its tokens",
        kid.as_ref().map_or("without a `kid`".to_owned(), |kid| format!("with the `kid` {kid:?}"))
    )]
    #[non_exhaustive]
    TooManyAlike {
        /// The `kid` of the keys.
        kid: Option<String>,
        /// The algorithm that the keys verify.
        algorithm: Algorithm,
        /// How many keys there are.
        count: usize,
    },
    /// A verifier was given both keys and a key set.
    #[error(
        "a verifier has either keys or a key set, not both: build one verifier for each, and add them \
         to `TrustedIssuers`"
    )]
    KeysAndKeySet,
    /// A key set was started outside a tokio runtime. It needs a runtime to fetch its keys.
    #[error("a key set needs a tokio runtime to fetch its keys: start it inside a tokio runtime")]
    NoRuntime,
    /// A verifier in [`TrustedIssuers`](super::TrustedIssuers) requires no issuer.
    #[error(
        "the verifier requires no issuer: set the issuer with `.issuer(..)`, or use `set_fallback`"
    )]
    NoIssuer,
    /// The fallback verifier is for tokens without an issuer, but it requires one.
    #[error(
        "the fallback is for tokens without an issuer, but this verifier requires one: use `insert` instead"
    )]
    FallbackIssuer,
    /// A verifier in [`TrustedIssuers`](super::TrustedIssuers) does not say for which tenants its issuer may
    /// speak.
    #[error(
        "the verifier does not say for which tenants its issuer may speak: \
         name them with `.tenants([..])`, or call `.any_tenant()`"
    )]
    NoTenants,
    /// A default is a name that the issuer may not speak for.
    #[error(
        "the issuer may not speak for the default `{0}`: \
         add it to `.tenants(..)` or `.envs(..)`, or remove it from the defaults"
    )]
    DefaultOutOfBound(String),
    /// A claim name is not a JSON pointer (RFC 6901) to a claim: it is empty, or does not start with `/`.
    #[error("`{0}` is not a JSON pointer to a claim: it must start with `/`, such as `/tenant_id`")]
    ClaimName(String),
}
