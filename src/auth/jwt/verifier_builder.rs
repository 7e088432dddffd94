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
    ready_key::{ReadyKey, alike},
    rules::Rules,
    token::MAX_TOKEN,
    verifier::{JwtVerifier, Keys, next_id},
};
use crate::clock::{self, Clock};
use std::{collections::HashSet, sync::Arc, time::Duration};

/// How far clocks may differ unless configured.
const LEEWAY: Duration = Duration::from_secs(60);

impl JwtVerifier {
    /// Starts with no key, no issuer, no audience, a leeway of 60 seconds, and tokens of up to 16 KiB.
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

    /// Trusts the keys of a set, as they rotate. Instead of keys that are known from the start, not
    /// next to them.
    #[cfg(feature = "jwks")]
    pub fn key_set(mut self, set: KeySet) -> Self {
        self.set = Some(set);
        self
    }

    /// Requires `iss` to be this. One verifier trusts one issuer: every key may sign for it.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.rules.issuer = Some(issuer.into());
        self
    }

    /// Requires the audience to be this. Audiences are alternatives: called twice, it takes tokens that
    /// are meant for one of them.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.rules.policy.audience(audience);
        self
    }

    /// Requires a claim to be this string: `("/token_use", "access")`.
    pub fn require_claim(mut self, pointer: impl Into<String>, value: impl Into<String>) -> Self {
        self.rules.required.push((Pointer::new(pointer), value.into()));
        self
    }

    /// Takes access tokens of RFC 9068 only: `typ` is `at+jwt`, and all claims of section 2.2 are
    /// there. Default: any token that is not plainly of another kind.
    pub fn require_at_jwt(mut self) -> Self {
        self.rules.policy.only_access_tokens();
        self
    }

    /// Refuses tokens that live longer than this, from `iat` to `exp`, and those that do not say how
    /// long. Called twice, the shorter time counts. Default: any.
    pub fn max_lifetime(mut self, lifetime: Duration) -> Self {
        self.rules.policy.max_lifetime(lifetime);
        self
    }

    /// Says that the application checks, for each request, that who sends a token that is bound to a key has
    /// that key: by the proof of DPoP (RFC 9449), or by the certificate of mutual TLS (RFC 8705). Only an
    /// application whose own [`Authenticator`](crate::Authenticator) around the verifier, or a layer of its own, does so may call
    /// this. The key is in the token's claim `cnf`, of whatever kind.
    ///
    /// Default: a token with the claim `cnf` is refused, since its issuer meant that a copy of it is of no
    /// use. This crate checks no such proof. An `Authorization` header of the scheme `DPoP` is refused by
    /// [`AuthRequest::bearer_token`](crate::AuthRequest::bearer_token) even so: an authenticator that takes it reads the header itself.
    pub fn accept_key_bound_tokens(mut self) -> Self {
        self.rules.accepts_key_bound = true;
        self
    }

    /// Refuses tokens of more bytes than this, as they stand in the header: before anything of them is
    /// read, looked up or decoded. Default: 16 KiB, which holds the ids of some 200 groups.
    ///
    /// Whoever can reach the service can make it decode and parse that much for each request, and the
    /// check of the signature reads all of it. So set what your issuer's longest token needs, and no
    /// more. HTTP servers and proxies have limits of their own, which may be lower: hyper takes 16 KiB of
    /// headers in all over HTTP/2, and nginx 8 KiB for one header.
    pub fn max_token_bytes(mut self, bytes: usize) -> Self {
        self.rules.max_token_bytes = bytes;
        self
    }

    /// Lets the issuer speak for these tenants only, whatever its tokens claim. A token that claims
    /// others as well proves these only; one that claims others only is refused (403
    /// `tenant.mismatch`, and the log names issuer and tenants). Called twice, both bounds hold.
    ///
    /// Default: any, which an issuer among [several](crate::auth::TrustedIssuers) must say by
    /// [`any_tenant`](Self::any_tenant).
    pub fn tenants<T: Into<String>>(mut self, tenants: impl IntoIterator<Item = T>) -> Self {
        self.rules.tenants.bind(tenants);
        self
    }

    /// Says that the issuer may speak for any tenant, where an issuer among
    /// [several](crate::auth::TrustedIssuers) has to say something. A bound that
    /// [`tenants`](Self::tenants) sets holds all the same.
    pub fn any_tenant(mut self) -> Self {
        self.rules.any_tenant = true;
        self
    }

    /// Takes tokens without a tenant claim to speak for these tenants. Only where the claim is absent,
    /// or `null`: one that is there counts, be it an empty array. Called twice, it adds to the defaults.
    ///
    /// Defaults come before bounds, so each must be among [`tenants`](Self::tenants) where these are
    /// named. Default: none, so that such a token proves no tenant, and the guard refuses it.
    pub fn default_tenants<T: Into<String>>(
        mut self,
        tenants: impl IntoIterator<Item = T>,
    ) -> Self {
        self.rules.tenants.default_to(tenants);
        self
    }

    /// Lets the issuer speak for these envs only, whatever its tokens claim. A token that claims others
    /// as well proves these only; one that claims others only is refused (403 `env.mismatch`, and the
    /// log names issuer and envs). Called twice, both bounds hold. Default: any.
    pub fn envs<T: Into<String>>(mut self, envs: impl IntoIterator<Item = T>) -> Self {
        self.rules.envs.bind(envs);
        self
    }

    /// Takes tokens without an env claim to speak for these envs, where the issuer cannot name one.
    /// Only where the claim is absent, or `null`: one that is there counts, be it an empty array. Called
    /// twice, it adds to the defaults.
    ///
    /// Defaults come before bounds, so each must be among [`envs`](Self::envs) where these are named.
    /// Default: none, so that such a token proves no env, and the guard refuses it.
    ///
    /// ```
    /// use tower_tenancy::auth::{JwtConfigError, JwtVerifier, JwtVerifierBuilder};
    ///
    /// /// An issuer of `prod` whose tokens say nothing of it. One that says `dev` is refused.
    /// fn of_prod(builder: JwtVerifierBuilder) -> Result<JwtVerifier, JwtConfigError> {
    ///     builder.envs(["prod"]).default_envs(["prod"]).build()
    /// }
    /// ```
    pub fn default_envs<T: Into<String>>(mut self, envs: impl IntoIterator<Item = T>) -> Self {
        self.rules.envs.default_to(envs);
        self
    }

    /// How far the issuer's clock may differ from ours. Default: 60 seconds.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.rules.leeway = leeway;
        self
    }

    /// Where the claims are in the token.
    pub fn claims(mut self, names: ClaimNames) -> Self {
        self.rules.names = names;
        self
    }

    /// Remembers what was verified. Default: nothing is. Several verifiers may share a cache: none
    /// takes room from another one that keeps no more than its share.
    #[cfg(feature = "token-cache")]
    pub fn cache(mut self, cache: TokenCache) -> Self {
        self.cache = Some(cache);
        self
    }

    /// The crypto library to verify with. Default: the fastest one that is compiled in.
    pub fn backend(mut self, backend: Backend) -> Self {
        self.backend = Some(backend);
        self
    }

    /// The clock that `exp` and `nbf` are held against.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Makes the verifier. A missing backend fails here, never in a request; so does a key of
    /// the wrong size or kind.
    ///
    /// # Errors
    ///
    /// No key, an unusable key, more than four keys of one `kid` or without one for the same tokens, keys
    /// next to a key set, no crypto backend, a claim name that is no JSON pointer, or a
    /// default that is not among what the issuer may speak for.
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
                    set.is_of(issuer);
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
        let counted = keys.iter().map(|key| (key, alike(key, keys.iter())));
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
