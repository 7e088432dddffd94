//! Why a verifier cannot be built.

use super::{algorithm::Algorithm, limits::MAX_TRIES};

/// Why a verifier cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JwtConfigError {
    /// No key was given.
    #[error("no key to verify tokens with: give the verifier a key or a key set")]
    NoKey,
    /// No crypto backend is compiled in.
    #[error("no crypto backend: enable the feature `aws-lc-rs` or `rust-crypto`")]
    NoBackend,
    /// A key is malformed, too weak, private, or of a kind that cannot verify.
    #[error("unusable key: {0}")]
    Key(&'static str),
    /// No key of a JWK set can be used. The text says which keys it has, and why each is left out.
    #[error("no key of the JWK set can be used: {0}")]
    NoUsableKey(String),
    /// More keys with the same `kid`, or without one, fit the same tokens than are tried for one token.
    #[error(
        "{count} keys {} verify {algorithm:?}, and at most {MAX_TRIES} are tried for a token: \
         name the keys by `kid` (`JwtKey::with_kid`) as the headers of the tokens do, each by its own",
        kid.as_ref().map_or("without a `kid`".to_owned(), |kid| format!("of the `kid` {kid:?}"))
    )]
    #[non_exhaustive]
    TooManyAlike {
        /// What the keys are called.
        kid: Option<String>,
        /// What the keys verify.
        algorithm: Algorithm,
        /// How many they are.
        count: usize,
    },
    /// A verifier was given both keys and a key set.
    #[error(
        "a verifier takes keys that are known from the start or a key set, not both: build one \
         verifier for each, and put them into `TrustedIssuers`"
    )]
    KeysAndKeySet,
    /// A key set was started outside a tokio runtime, which fetches its keys.
    #[error("no tokio runtime to fetch keys in: start the key set inside one")]
    NoRuntime,
    /// A verifier among several does not say whose tokens are its.
    #[error("the verifier requires no issuer: name it by `.issuer(..)`, or make it the fallback")]
    NoIssuer,
    /// The fallback among several verifiers is for tokens that name no issuer, and requires one.
    #[error("the fallback requires an issuer, and gets tokens that name none: insert it instead")]
    FallbackIssuer,
    /// A verifier among several does not say for which tenants its issuer may speak.
    #[error(
        "one of several issuers may not speak for every tenant unasked: \
         name its tenants by `.tenants([..])`, or say `.any_tenant()`"
    )]
    NoTenants,
    /// A default is not among what the issuer is bound to.
    #[error(
        "the default `{0}` is not among what the issuer may speak for: \
         add it to `.tenants(..)` or `.envs(..)`, or take it out of the defaults"
    )]
    DefaultOutOfBound(String),
    /// A claim name is not a JSON pointer (RFC 6901): empty, or not starting with `/`.
    #[error("`{0}` is not a JSON pointer, such as `/tenant_id`")]
    ClaimName(String),
}
