//! How a verifier is set up.

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
    /// A builder without key, issuer and audience. The leeway is 60 seconds, and tokens may have 16 KiB.
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

    /// Trusts the rotating keys of a set. A verifier has either keys or a key set, not both.
    #[cfg(feature = "jwks")]
    pub fn key_set(mut self, set: KeySet) -> Self {
        self.set = Some(set);
        self
    }

    /// Requires this value of `iss`. One verifier trusts one issuer, and all its keys may sign for it.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.rules.issuer = Some(issuer.into());
        self
    }

    /// Requires this audience. If called several times, a token must be meant for one of the audiences.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.rules.policy.audience(audience);
        self
    }

    /// Requires that a claim has this string value, such as `("/token_use", "access")`.
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

    /// Refuses tokens whose lifetime, from `iat` to `exp`, is longer than this or unknown. If called several
    /// times, the shortest time counts. Default: no limit.
    pub fn max_lifetime(mut self, lifetime: Duration) -> Self {
        self.rules.policy.max_lifetime(lifetime);
        self
    }

    /// Accepts tokens that are bound to a key. Call this only if the application checks, for each
    /// request, that the sender has the key: by the proof of DPoP (RFC 9449), or by the certificate of
    /// mutual TLS (RFC 8705). A layer of the application may check it, or an
    /// [`Authenticator`](crate::Authenticator) of its own around the verifier. The claim `cnf` of the
    /// token names the key.
    ///
    /// Default: a token with the claim `cnf` is refused, because a copy of it must be useless without the
    /// key, and this crate does not check the key.
    /// [`AuthRequest::bearer_token`](crate::AuthRequest::bearer_token) always refuses the scheme `DPoP`:
    /// an authenticator that accepts it must read the header itself.
    pub fn accept_key_bound_tokens(mut self) -> Self {
        self.rules.accepts_key_bound = true;
        self
    }

    /// Refuses tokens of more than `bytes` bytes before anything else is done with them. Default: 16 KiB,
    /// which is enough for the ids of about 200 groups.
    ///
    /// Anybody who can reach the service can make it verify and parse that much with each request. So set
    /// what the longest token of your issuer needs, and no more. HTTP servers and proxies have their own
    /// limits, which may be lower: hyper accepts 16 KiB for all headers over HTTP/2, and nginx 8 KiB for
    /// one header.
    pub fn max_token_bytes(mut self, bytes: usize) -> Self {
        self.rules.max_token_bytes = bytes;
        self
    }

    /// Allows the issuer to speak only for these tenants, whatever its tokens claim. A token that also claims
    /// other tenants proves only these. A token that claims only other tenants is refused (403
    /// `tenant.mismatch`, and the log names the issuer and the tenants). If called twice, both bounds hold.
    ///
    /// Default: any tenant. A verifier in [`TrustedIssuers`](crate::auth::TrustedIssuers) has no default: it
    /// needs this call or [`any_tenant`](Self::any_tenant).
    pub fn tenants<T: Into<String>>(mut self, tenants: impl IntoIterator<Item = T>) -> Self {
        self.rules.tenants.bind(tenants);
        self
    }

    /// Says that the issuer may speak for any tenant. [`TrustedIssuers`](crate::auth::TrustedIssuers)
    /// requires this call if [`tenants`](Self::tenants) is not called. A bound of `tenants` still holds.
    pub fn any_tenant(mut self) -> Self {
        self.rules.any_tenant = true;
        self
    }

    /// Sets the tenants that a token proves if its tenant claim is absent or `null`. An empty array is not
    /// absent. If called several times, the defaults add up.
    ///
    /// Defaults come before bounds: if [`tenants`](Self::tenants) is called, it must contain each default.
    /// Without defaults, such a token proves no tenant, and the guard refuses it.
    pub fn default_tenants<T: Into<String>>(
        mut self,
        tenants: impl IntoIterator<Item = T>,
    ) -> Self {
        self.rules.tenants.default_to(tenants);
        self
    }

    /// Allows the issuer to speak only for these envs, whatever its tokens claim. A token that also claims
    /// other envs proves only these. A token that claims only other envs is refused (403 `env.mismatch`, and
    /// the log names the issuer and the envs). If called twice, both bounds hold. Default: any env.
    pub fn envs<T: Into<String>>(mut self, envs: impl IntoIterator<Item = T>) -> Self {
        self.rules.envs.bind(envs);
        self
    }

    /// Sets the envs that a token proves if its env claim is absent or `null`, for an issuer that cannot name
    /// one. An empty array is not absent. If called several times, the defaults add up.
    ///
    /// Defaults come before bounds: if [`envs`](Self::envs) is called, it must contain each default. Without
    /// defaults, such a token proves no env, and the guard refuses it.
    ///
    /// ```
    /// use tower_tenancy::auth::{JwtConfigError, JwtVerifier, JwtVerifierBuilder};
    ///
    /// /// An issuer of `prod` whose tokens have no env claim. A token that claims `dev` is refused.
    /// fn of_prod(builder: JwtVerifierBuilder) -> Result<JwtVerifier, JwtConfigError> {
    ///     builder.envs(["prod"]).default_envs(["prod"]).build()
    /// }
    /// ```
    pub fn default_envs<T: Into<String>>(mut self, envs: impl IntoIterator<Item = T>) -> Self {
        self.rules.envs.default_to(envs);
        self
    }

    /// How far the clock of the issuer may differ from the clock of this service. Default: 60 seconds.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.rules.leeway = leeway;
        self
    }

    /// Sets the places of the claims in the token.
    pub fn claims(mut self, names: ClaimNames) -> Self {
        self.rules.names = names;
        self
    }

    /// Remembers verified tokens in `cache`. Default: no cache. Several verifiers may share a cache: a
    /// verifier that uses no more than its fair share loses no room to the others.
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

    /// Builds the verifier. A missing backend, or a key of the wrong size or kind, fails here and never in a
    /// request.
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
            return Err(JwtConfigError::Key("the `kid` is longer than 128 bytes"));
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
    fn without_a_backend_building_fails_and_no_request_can() {
        let key = JwtKey::hmac(Algorithm::HS256, [7; 32]).unwrap();
        let built = JwtVerifier::builder().key(key).build();
        assert!(matches!(built, Err(JwtConfigError::NoBackend)));
    }
}
