//! One issuer's tokens, from the text to what they prove.

#[cfg(feature = "token-cache")]
use super::cache::{Share, TokenCache};
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
    rules::{Checked, Rules},
    token::{MAX_TOKEN, Token, Verified, measure, object},
    token_error::TokenError,
};
use crate::{
    auth::{AuthContext, AuthRequest, Authenticator, Revocation, Verdict},
    clock::{self, Clock},
    rejection::Rejection,
};
use arrayvec::ArrayVec;
use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// How far clocks may differ unless configured.
const LEEWAY: Duration = Duration::from_secs(60);

/// The built-in [`Authenticator`]: a JWT of one issuer, verified with keys that are known from the
/// start, or that [rotate](JwtVerifierBuilder::key_set).
///
/// ```
/// use tower_tenancy::auth::{Algorithm, JwtKey, JwtVerifier};
///
/// let verifier = JwtVerifier::builder()
///     .key(JwtKey::hmac(Algorithm::HS256, b"at least 32 bytes of a random secret")?)
///     .issuer("https://id.example.com")
///     .audience("chat")
///     .build()?;
/// # Ok::<(), tower_tenancy::auth::JwtConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct JwtVerifier {
    /// Tells verifiers apart in a cache that several share.
    id: u64,
    keys: Keys,
    rules: Arc<Rules>,
    clock: Arc<dyn Clock>,
    /// Withdraws what is proven, once the issuer is not trusted any more.
    trust: Option<Revocation>,
    #[cfg(feature = "token-cache")]
    cache: Option<Arc<Share>>,
}

#[derive(Clone, Debug)]
enum Keys {
    Fixed(Arc<[ReadyKey]>),
    #[cfg(feature = "jwks")]
    Rotating(KeySet),
}

impl Keys {
    /// What `read` says of the keys that are held, and of which generation they are.
    fn held<T>(&self, read: impl FnOnce(&[ReadyKey], u64) -> T) -> Option<T> {
        match self {
            Self::Fixed(keys) => Some(read(keys, 0)),
            #[cfg(feature = "jwks")]
            Self::Rotating(set) => set.held().map(|held| read(&held.keys, held.generation)),
        }
    }

    /// Why none is held.
    fn unavailable(&self) -> TokenError {
        match self {
            // These are always held.
            Self::Fixed(_) => TokenError::KeysUnavailable {
                wait: Duration::ZERO,
                why: "no key is held".to_owned(),
            },
            #[cfg(feature = "jwks")]
            Self::Rotating(set) => set.unavailable(Duration::ZERO),
        }
    }
}

fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

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

    /// The same verifier for this audience, in place of those that it takes: for one route, say.
    #[must_use]
    pub fn with_audience(mut self, audience: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.rules).policy.only_audience(audience);
        self.id = next_id();
        self
    }

    /// Verifies one token, with the keys that are held: it waits for none.
    ///
    /// # Errors
    ///
    /// `auth.expired` for a token that is good but over, `auth.keys_unavailable` if no key is held,
    /// `tenant.mismatch` or `env.mismatch` for a good one that claims only what its issuer may not speak
    /// for, `auth.invalid` for any other; the [`source`](std::error::Error::source) says why, for the log.
    pub fn verify(&self, token: &str) -> Result<AuthContext, Rejection> {
        Ok(self.check(token)?)
    }

    /// The same verifier, as long as its issuer is trusted.
    pub(super) fn trusted_by(mut self, trust: Revocation) -> Self {
        self.trust = Some(trust);
        self.id = next_id();
        self
    }

    /// Whether it was said for which tenants the issuer may speak, be it for any.
    pub(super) fn says_tenants(&self) -> bool {
        self.rules.any_tenant || self.rules.tenants.is_bound()
    }

    /// Longest token that is looked at, in bytes.
    pub(super) fn max_token_bytes(&self) -> usize {
        self.rules.max_token_bytes
    }

    /// The `iss` that tokens must have.
    pub(super) fn issuer(&self) -> Option<&str> {
        self.rules.issuer.as_deref()
    }

    pub(super) fn check(&self, token: &str) -> Result<AuthContext, TokenError> {
        self.check_at(token).map_err(|(refused, _)| refused)
    }

    /// As [`check`](Self::check). Says with which generation of the keys a token was refused.
    fn check_at(&self, token: &str) -> Result<AuthContext, (TokenError, Option<u64>)> {
        measure(token, self.max_token_bytes()).map_err(|refused| (refused, None))?;
        #[cfg(feature = "token-cache")]
        if let Some(cache) = &self.cache
            && let Some(auth) = self.remembered(cache, token)
        {
            return Ok(auth);
        }
        let held = self.keys.held(|keys, generation| match self.check_with(keys, token) {
            Ok(checked) => Ok(self.remember(token, generation, checked)),
            Err(refused) => Err((refused, Some(generation))),
        });
        held.ok_or_else(|| (self.keys.unavailable(), None))?
    }

    #[cfg(feature = "token-cache")]
    fn remember(&self, token: &str, generation: u64, checked: Checked) -> AuthContext {
        let Some(cache) = &self.cache else { return checked.auth };
        let auth = checked.auth.clone();
        cache.insert(self.id, generation, token, checked);
        auth
    }

    #[cfg(not(feature = "token-cache"))]
    #[expect(clippy::unused_self, reason = "there is nothing to remember it in")]
    fn remember(&self, _: &str, _: u64, checked: Checked) -> AuthContext {
        checked.auth
    }

    /// What the cache knows of the token, if that holds here and now.
    #[cfg(feature = "token-cache")]
    fn remembered(&self, cache: &Share, token: &str) -> Option<AuthContext> {
        let generation = self.keys.held(|_, generation| generation)?;
        let entry = cache.get(self.id, generation, token)?;
        let holds = entry.holds(self.rules.leeway, self.clock.now());
        holds.then(|| entry.auth().clone())
    }

    fn check_with(&self, keys: &[ReadyKey], token: &str) -> Result<Checked, TokenError> {
        let verified = self.verified(keys, Token::parse(token)?)?;
        let typ_is_at_jwt = verified.is_access_token();
        let claims = verified.into_claims()?;
        self.rules.check(&object(&claims)?, typ_is_at_jwt, &self.clock, self.trust.as_ref())
    }

    /// The token, once a key has verified its signature. Tries a few keys at most, and none that
    /// cannot have made a signature of that length.
    fn verified<'a>(
        &self,
        keys: &[ReadyKey],
        mut token: Token<'a>,
    ) -> Result<Verified<'a>, TokenError> {
        let text = token.header_text();
        // A signature that does not verify costs one try of a key, and no more tries than these.
        let mut tried = ArrayVec::<&ReadyKey, MAX_TRIES>::new();
        // A header that was read before need not be read again. Any other goes the long way, and so
        // does one whose signature is of a key that did not come with it before.
        for key in keys {
            let Some(header) = key.knows(text).filter(|_| token.may_be_signed_by(key)) else {
                continue;
            };
            if tried.try_push(key).is_err() {
                break;
            }
            if let Some(verified) = token.verified_by(key, header) {
                return Ok(verified);
            }
        }
        let header = token.header()?;
        let kid = header.kid.as_deref();
        let mut refused = TokenError::NoSuchKey(header.kid.clone());
        for key in candidates(keys, kid).filter(|key| key.algorithm == header.algorithm) {
            // Where keys rotate, a token that no held key is named for may mean one that is not held.
            let is_named = kid.is_some() && key.kid.as_deref() == kid;
            if is_named || matches!(self.keys, Keys::Fixed(_)) {
                refused = TokenError::Signature;
            }
            if !token.may_be_signed_by(key) || tried.iter().any(|tried| tried.is_same(key)) {
                continue;
            }
            if tried.try_push(key).is_err() {
                // A key of that name may have been published since.
                let may_come = matches!(refused, TokenError::NoSuchKey(Some(_)));
                return Err(if may_come { refused } else { TokenError::TooManyKeys });
            }
            if let Some(verified) = token.verified_by(key, &header) {
                key.remember(text, &header);
                return Ok(verified);
            }
        }
        Err(refused)
    }

    /// Verifies one token, and waits for a key that may have been published since.
    pub(super) fn verdict(&self, token: &str) -> Verdict {
        match self.check_at(token) {
            #[cfg(feature = "jwks")]
            Err((TokenError::NoSuchKey(kid), tried)) => self.after_a_fetch(token, kid, tried),
            #[cfg(feature = "jwks")]
            Err((TokenError::KeysUnavailable { .. }, tried)) => {
                self.after_a_fetch(token, None, tried)
            }
            result => Verdict::Ready(result.map_err(|(refused, _)| refused.into())),
        }
    }

    /// Waits for a fetch, and looks again unless the keys are those of the generation that was tried.
    #[cfg(feature = "jwks")]
    fn after_a_fetch(&self, token: &str, kid: Option<String>, tried: Option<u64>) -> Verdict {
        let Keys::Rotating(set) = &self.keys else {
            return Verdict::Ready(Err(TokenError::NoSuchKey(kid).into()));
        };
        let fetched = match set.miss(kid.as_deref()) {
            Ok(fetched) => fetched,
            Err(why) => return Verdict::Ready(Err(why.into())),
        };
        let (this, set, token) = (self.clone(), set.clone(), token.to_owned());
        Verdict::later(async move {
            fetched.await?;
            if tried.is_some() && set.held().map(|held| held.generation) == tried {
                return Err(set.missed(kid.as_deref()).into());
            }
            match this.check(&token) {
                Err(TokenError::NoSuchKey(kid)) => Err(set.missed(kid.as_deref()).into()),
                Err(TokenError::KeysUnavailable { .. }) => Err(set.missed(None).into()),
                Ok(auth) => {
                    set.found();
                    Ok(auth)
                }
                Err(refused) => Err(refused.into()),
            }
        })
    }
}

/// The keys that go by the token's `kid`; if there are none, those that have no name. For a token without
/// a `kid`: those first, and then the others.
fn candidates<'a>(keys: &'a [ReadyKey], kid: Option<&str>) -> impl Iterator<Item = &'a ReadyKey> {
    let is_meant = |key: &ReadyKey| key.kid.as_deref() == kid;
    let named = kid.is_some() && keys.iter().any(is_meant);
    let first = keys.iter().filter(move |key| match named {
        true => key.kid.as_deref() == kid,
        false => key.kid.is_none(),
    });
    first.chain(keys.iter().filter(move |key| kid.is_none() && key.kid.is_some()))
}

impl Authenticator for JwtVerifier {
    fn authenticate(&self, request: &AuthRequest<'_>) -> Verdict {
        match request.bearer_token() {
            Ok(token) => self.verdict(token),
            Err(rejection) => Verdict::Ready(Err(rejection)),
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
    /// application whose own [`Authenticator`] around the verifier, or a layer of its own, does so may call
    /// this. The key is in the token's claim `cnf`, of whatever kind.
    ///
    /// Default: a token with the claim `cnf` is refused, since its issuer meant that a copy of it is of no
    /// use. This crate checks no such proof. An `Authorization` header of the scheme `DPoP` is refused by
    /// [`AuthRequest::bearer_token`] even so: an authenticator that takes it reads the header itself.
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
