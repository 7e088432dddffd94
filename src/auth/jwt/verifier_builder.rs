//! The builder of a verifier.

#[cfg(feature = "token-cache")]
use super::cache::TokenCache;
#[cfg(feature = "jwks")]
use super::key_set::KeySet;
use super::{
    backend::Backend,
    claim_names::ClaimNames,
    config_error::JwtConfigError,
    json::Pointer,
    key::JwtKey,
    limits::{MAX_KID, MAX_TRIES},
    ready_key::{ReadyKey, count_alike},
    rules::Rules,
    token::MAX_TOKEN,
    verifier::{JwtVerifier, Keys, next_id},
};
use crate::clock::{self, Clock};
use std::{collections::HashSet, sync::Arc, time::Duration};

/// The default leeway.
const LEEWAY: Duration = Duration::from_secs(60);

impl JwtVerifier {
    /// A builder without a key, an issuer or an audience. The leeway is 60 seconds, and the longest token is
    /// 16 KiB.
    pub fn builder() -> JwtVerifierBuilder {
        JwtVerifierBuilder {
            keys: Vec::new(),
            #[cfg(feature = "jwks")]
            set: None,
            rules: Rules { leeway: LEEWAY, max_token_bytes: MAX_TOKEN, ..Rules::default() },
            backend: Backend::compiled_in(),
            clock: clock::system(),
            #[cfg(feature = "token-cache")]
            cache: None,
        }
    }
}

/// Builds a [`JwtVerifier`].
#[derive(Clone, Debug)]
#[must_use]
pub struct JwtVerifierBuilder {
    pub(super) keys: Vec<JwtKey>,
    #[cfg(feature = "jwks")]
    pub(super) set: Option<KeySet>,
    pub(super) rules: Rules,
    pub(super) backend: Option<Backend>,
    pub(super) clock: Arc<dyn Clock>,
    #[cfg(feature = "token-cache")]
    pub(super) cache: Option<TokenCache>,
}

impl JwtVerifierBuilder {
    /// Trusts `key`.
    pub fn key(self, key: JwtKey) -> Self {
        self.keys([key])
    }

    /// Trusts `keys`, such as those of a [JWK set](JwtKey::jwks).
    pub fn keys(mut self, keys: impl IntoIterator<Item = JwtKey>) -> Self {
        self.keys.extend(keys);
        self
    }

    /// Trusts the keys of a set, which may rotate. A verifier has either keys or a key set, not both.
    #[cfg(feature = "jwks")]
    pub fn key_set(mut self, set: KeySet) -> Self {
        self.set = Some(set);
        self
    }

    /// Requires this value of `iss`. A verifier trusts one issuer, and each of its keys may sign for that
    /// issuer.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.rules.issuer = Some(issuer.into());
        self
    }

    /// Requires this audience. If you call it several times, the token must have at least one of the
    /// audiences.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.rules.policy.audience(audience);
        self
    }

    /// Requires a claim with this string value, such as `("/token_use", "access")`.
    pub fn require_claim(mut self, pointer: impl Into<String>, value: impl Into<String>) -> Self {
        self.rules.required.push((Pointer::new(pointer), value.into()));
        self
    }

    /// Accepts only access tokens of RFC 9068: `typ` is `at+jwt`, and the token has all claims of section
    /// 2.2. Default: any token whose `typ` is absent, `JWT` or `at+jwt`.
    pub fn require_at_jwt(mut self) -> Self {
        self.rules.policy.only_access_tokens();
        self
    }

    /// Refuses a token if its lifetime, from `iat` to `exp`, is unknown or longer than this. If you call it
    /// several times, the shortest time applies. Default: no limit.
    pub fn max_lifetime(mut self, lifetime: Duration) -> Self {
        self.rules.policy.max_lifetime(lifetime);
        self
    }

    /// Accepts tokens that are bound to a key. Call this only if the application checks for each request that
    /// the sender has the key: with the DPoP proof (RFC 9449), or with the client certificate of mutual TLS
    /// (RFC 8705). This check may be in a layer of the application, or in your own
    /// [`Authenticator`](crate::Authenticator) that wraps the verifier. The claim `cnf` of the token names
    /// the key.
    ///
    /// Default: a token with the claim `cnf` is refused. A stolen token must be useless without the key, and
    /// this crate does not check the key. [`AuthRequest::bearer_token`](crate::AuthRequest::bearer_token)
    /// always refuses the scheme `DPoP`. An authenticator that accepts this scheme must read the header
    /// itself.
    pub fn accept_key_bound_tokens(mut self) -> Self {
        self.rules.accepts_key_bound = true;
        self
    }

    /// Refuses tokens of more than `bytes` bytes. This is the first check. Default: 16 KiB, which is enough
    /// for the ids of about 200 groups.
    ///
    /// Anybody who can reach the service can make it verify and parse a token of this length with each
    /// request. So set no more than the longest token of your issuer needs. HTTP servers and proxies have
    /// their own limits, which may be lower: hyper accepts 16 KiB for all headers over HTTP/2, and nginx 8
    /// KiB for one header.
    pub fn max_token_bytes(mut self, bytes: usize) -> Self {
        self.rules.max_token_bytes = bytes;
        self
    }

    /// Allows the issuer to speak only for these tenants. If a token also claims other tenants, they are
    /// ignored, with a warning in the log. If a token claims only other tenants, it is refused (403
    /// `tenant.mismatch`, and the log names the issuer and the tenants). If you call it twice, only the
    /// tenants of both calls are allowed.
    ///
    /// Default: any tenant. For a verifier in [`TrustedIssuers`](crate::auth::TrustedIssuers) there is no
    /// default: it needs this call or [`any_tenant`](Self::any_tenant).
    pub fn tenants<T: Into<String>>(mut self, tenants: impl IntoIterator<Item = T>) -> Self {
        self.rules.tenants.bind(tenants);
        self
    }

    /// Allows the issuer to speak for any tenant. [`TrustedIssuers`](crate::auth::TrustedIssuers) requires
    /// this call or [`tenants`](Self::tenants). If you call both, the limit of `tenants` still applies.
    pub fn any_tenant(mut self) -> Self {
        self.rules.any_tenant = true;
        self
    }

    /// Sets the tenants that a token proves if its tenant claim is absent or `null`. An empty array is not
    /// absent. If you call it several times, all these tenants are defaults.
    ///
    /// If you also call [`tenants`](Self::tenants), it must contain each default. Without defaults, such a
    /// token proves no tenant, and the guard refuses it.
    pub fn default_tenants<T: Into<String>>(
        mut self,
        tenants: impl IntoIterator<Item = T>,
    ) -> Self {
        self.rules.tenants.default_to(tenants);
        self
    }

    /// Allows the issuer to speak only for these envs. If a token also claims other envs, they are ignored,
    /// with a warning in the log. If a token claims only other envs, it is refused (403 `env.mismatch`, and
    /// the log names the issuer and the envs). If you call it twice, only the envs of both calls are allowed.
    /// Default: any env.
    pub fn envs<T: Into<String>>(mut self, envs: impl IntoIterator<Item = T>) -> Self {
        self.rules.envs.bind(envs);
        self
    }

    /// Sets the envs that a token proves if its env claim is absent or `null`. Use it for an issuer that
    /// cannot put an env into its tokens. An empty array is not absent. If you call it several times, all
    /// these envs are defaults.
    ///
    /// If you also call [`envs`](Self::envs), it must contain each default. Without defaults, such a token
    /// proves no env, and the guard refuses it.
    ///
    /// ```
    /// use tower_tenancy::auth::{JwtConfigError, JwtVerifier, JwtVerifierBuilder};
    ///
    /// /// The tokens of this issuer have no env claim, and are for `prod`. A token that claims `dev` is refused.
    /// fn of_prod(builder: JwtVerifierBuilder) -> Result<JwtVerifier, JwtConfigError> {
    ///     builder.envs(["prod"]).default_envs(["prod"]).build()
    /// }
    /// ```
    pub fn default_envs<T: Into<String>>(mut self, envs: impl IntoIterator<Item = T>) -> Self {
        self.rules.envs.default_to(envs);
        self
    }

    /// Sets how much the clock of the issuer may differ from the clock of this service. Default: 60 seconds.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.rules.leeway = leeway;
        self
    }

    /// Sets the places of the claims in the token.
    pub fn claims(mut self, names: ClaimNames) -> Self {
        self.rules.names = names;
        self
    }

    /// Caches verified tokens in `cache`. Default: no cache. Several verifiers may share a cache: a verifier
    /// that uses no more than its fair share loses no tokens to the others.
    #[cfg(feature = "token-cache")]
    pub fn cache(mut self, cache: TokenCache) -> Self {
        self.cache = Some(cache);
        self
    }

    /// Sets the crypto library. Default: the fastest one that is compiled in.
    pub fn backend(mut self, backend: Backend) -> Self {
        self.backend = Some(backend);
        self
    }

    /// Sets the clock that decides about `exp`, `nbf` and `iat`.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Builds the verifier. A missing backend, or a key of the wrong size or kind, causes an error here, not
    /// in a request.
    ///
    /// # Errors
    ///
    /// If there is no key, a key that cannot be used, or more than four keys with the same `kid` (or
    /// without one) for the same tokens. If there are both keys and a key set, or no crypto backend. If a
    /// claim name is not a JSON pointer. If the issuer may not speak for a default.
    pub fn build(self) -> Result<JwtVerifier, JwtConfigError> {
        self.rules.check_config()?;
        let keys = self.ready_keys()?;
        Ok(JwtVerifier {
            id: next_id(),
            keys,
            rules: Arc::new(self.rules),
            clock: self.clock,
            trust: None,
            #[cfg(feature = "token-cache")]
            cache: self.cache.map(|cache| Arc::new(cache.share())),
        })
    }

    fn ready_keys(&self) -> Result<Keys, JwtConfigError> {
        #[cfg(feature = "jwks")]
        match &self.set {
            Some(set) if self.keys.is_empty() => {
                if let Some(issuer) = &self.rules.issuer {
                    set.set_issuer(issuer);
                }
                return Ok(Keys::Rotating(set.clone()));
            }
            Some(_) => return Err(JwtConfigError::KeysAndKeySet),
            None => {}
        }
        if self.keys.is_empty() {
            return Err(JwtConfigError::NoKey);
        }
        let is_too_long = |key: &JwtKey| key.kid.as_ref().is_some_and(|kid| kid.len() > MAX_KID);
        if self.keys.iter().any(is_too_long) {
            return Err(JwtConfigError::Key("the `kid` of the key is longer than 128 bytes"));
        }
        let backend = self.backend.ok_or(JwtConfigError::NoBackend)?;
        let mut known = HashSet::new();
        let distinct = self.keys.iter().filter(|key| known.insert(key.identity()));
        let ready = distinct.map(|key| key.ready(backend));
        let keys = ready.collect::<Result<Arc<[ReadyKey]>, _>>()?;
        let counted = keys.iter().map(|key| (key, count_alike(key, keys.iter())));
        match counted.into_iter().find(|(_, count)| *count > MAX_TRIES) {
            Some((key, count)) => {
                let (kid, algorithm) = (key.kid.clone(), key.algorithm);
                Err(JwtConfigError::TooManyAlike { kid, algorithm, count })
            }
            None => Ok(Keys::Fixed(keys)),
        }
    }
}

#[cfg(test)]
#[cfg(not(any(feature = "aws-lc-rs", feature = "rust-crypto")))]
mod tests {
    use super::{JwtConfigError, JwtKey, JwtVerifier};
    use crate::auth::Algorithm;

    #[test]
    fn without_a_backend_no_verifier_can_be_built() {
        let key = JwtKey::hmac(Algorithm::HS256, [7; 32]).unwrap();
        let built = JwtVerifier::builder().key(key).build();
        assert!(matches!(built, Err(JwtConfigError::NoBackend)));
    }
}
