//! The verifier of the tokens of one issuer.

#[cfg(feature = "token-cache")]
use super::cache::Share;
#[cfg(feature = "jwks")]
use super::key_set::KeySet;
use super::{
    limits::MAX_TRIES,
    ready_key::ReadyKey,
    rules::{Checked, Rules},
    token::{Token, Verified, check_length, object},
    token_error::TokenError,
};
use crate::{
    auth::{
        authenticator::{Authenticator, Verdict},
        context::AuthContext,
        request::AuthRequest,
        revocation::Revocation,
    },
    clock::Clock,
    rejection::Rejection,
};
use arrayvec::ArrayVec;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// The built-in [`Authenticator`]. It verifies JWTs of one issuer with fixed keys, or with keys that
/// [rotate](super::JwtVerifierBuilder::key_set).
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
    /// Identifies the verifier in a cache that several verifiers share.
    pub(super) id: u64,
    pub(super) keys: Keys,
    pub(super) rules: Arc<Rules>,
    pub(super) clock: Arc<dyn Clock>,
    /// Withdraws the proofs when the issuer is no longer trusted.
    pub(super) trust: Option<Revocation>,
    #[cfg(feature = "token-cache")]
    pub(super) cache: Option<Arc<Share>>,
}

#[derive(Clone, Debug)]
pub(super) enum Keys {
    Fixed(Arc<[ReadyKey]>),
    #[cfg(feature = "jwks")]
    Rotating(KeySet),
}

impl Keys {
    /// Calls `read` with the current keys and their generation. `None`: there are no usable keys.
    fn held<T>(&self, read: impl FnOnce(&[ReadyKey], u64) -> T) -> Option<T> {
        match self {
            Self::Fixed(keys) => Some(read(keys, 0)),
            #[cfg(feature = "jwks")]
            Self::Rotating(set) => set.held().map(|held| read(&held.keys, held.generation)),
        }
    }

    /// The error if there are no usable keys.
    fn unavailable(&self) -> TokenError {
        match self {
            // This does not happen: fixed keys always exist.
            Self::Fixed(_) => TokenError::KeysUnavailable {
                wait: Duration::ZERO,
                why: "there is no key".to_owned(),
            },
            #[cfg(feature = "jwks")]
            Self::Rotating(set) => set.unavailable(Duration::ZERO),
        }
    }
}

pub(super) fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl JwtVerifier {
    /// The same verifier, but with only this audience, which replaces all others. Use it for a single route,
    /// for example.
    #[must_use]
    pub fn with_audience(mut self, audience: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.rules).policy.only_audience(audience);
        self.id = next_id();
        self
    }

    /// Verifies one token with the current keys. It does not wait for a fetch.
    ///
    /// # Errors
    ///
    /// `auth.expired` if the token has expired, but passes all other checks for 401. `auth.keys_unavailable`
    /// if there is no usable key. `tenant.mismatch` or `env.mismatch` if the token is good, but claims only
    /// tenants or envs that its issuer may not speak for. `auth.invalid` for any other refused token. The
    /// [`source`](std::error::Error::source) is the reason, for the log.
    pub fn verify(&self, token: &str) -> Result<AuthContext, Rejection> {
        Ok(self.check(token)?)
    }

    /// The same verifier, but `trust` can withdraw its proofs.
    pub(super) fn trusted_by(mut self, trust: Revocation) -> Self {
        self.trust = Some(trust);
        self.id = next_id();
        self
    }

    /// Whether the application named the tenants that the issuer may speak for, or allowed any tenant.
    pub(super) fn says_tenants(&self) -> bool {
        self.rules.any_tenant || self.rules.tenants.is_bound()
    }

    /// The longest token that is accepted, in bytes.
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

    /// Like [`check`](Self::check). The error contains the generation of the keys that were tried.
    fn check_at(&self, token: &str) -> Result<AuthContext, (TokenError, Option<u64>)> {
        check_length(token, self.max_token_bytes()).map_err(|refused| (refused, None))?;
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
    #[expect(clippy::unused_self, reason = "there is no cache")]
    fn remember(&self, _: &str, _: u64, checked: Checked) -> AuthContext {
        checked.auth
    }

    /// The cached proof of the token, if it is still valid.
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

    /// Verifies the signature. It tries only a few keys, and only keys whose signatures have the same length.
    fn verified<'a>(
        &self,
        keys: &[ReadyKey],
        mut token: Token<'a>,
    ) -> Result<Verified<'a>, TokenError> {
        let text = token.header_text();
        // Each key is tried at most once, and at most this many keys are tried.
        let mut tried = ArrayVec::<&ReadyKey, MAX_TRIES>::new();
        // First try the keys that remember this header: then it need not be parsed again. The loop below
        // handles all other tokens.
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
            // If no rotating key has the `kid`, the key may not be fetched yet. Then the error stays
            // `NoSuchKey`.
            let is_named = kid.is_some() && key.kid.as_deref() == kid;
            if is_named || matches!(self.keys, Keys::Fixed(_)) {
                refused = TokenError::Signature;
            }
            if !token.may_be_signed_by(key) || tried.iter().any(|tried| tried.is_same(key)) {
                continue;
            }
            if tried.try_push(key).is_err() {
                // The issuer may have published a key with this `kid` after the last fetch.
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

    /// Verifies one token. If its key is missing, the verdict waits for a fetch of the keys.
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

    /// Waits for a fetch. If the keys have changed since generation `tried`, it verifies the token again.
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

/// The keys to try, in this order. For a token with a `kid`: the keys with this `kid` or, if there are none,
/// the keys without a `kid`. For a token without a `kid`: first the keys without a `kid`, then all others.
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
