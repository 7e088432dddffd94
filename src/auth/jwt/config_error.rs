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
    /// No key of a JWK set can be used. The text names the keys and says why each is left out.
    #[error("no key of the JWK set can be used: {0}")]
    NoUsableKey(String),
    /// Too many keys with the same `kid`, or without one, verify the same tokens.
    #[error(
        "{count} keys {} verify {algorithm:?}, and at most {MAX_TRIES} are tried for a token: \
         give each key its own `kid` (`JwtKey::with_kid`), the one that its tokens have in their headers",
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
    /// A key set was started outside a tokio runtime. It needs one to fetch its keys.
    #[error("there is no tokio runtime to fetch keys in: start the key set inside one")]
    NoRuntime,
    /// One of several verifiers requires no issuer.
    #[error(
        "the verifier requires no issuer: name the issuer with `.issuer(..)`, or use `set_fallback`"
    )]
    NoIssuer,
    /// The fallback verifier requires an issuer, but it is for tokens that name no issuer.
    #[error(
        "the fallback requires an issuer, but it is for tokens that name none: use `insert` instead"
    )]
    FallbackIssuer,
    /// One of several verifiers does not say for which tenants its issuer may speak.
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
    /// A claim name is not a JSON pointer (RFC 6901): empty, or not starting with `/`.
    #[error("`{0}` is not a JSON pointer, such as `/tenant_id`")]
    ClaimName(String),
}
