//! An authenticator for tokens of several issuers.

use super::{
    config_error::JwtConfigError,
    token::{ClaimedIssuer, MAX_TOKEN, check_length},
    token_error::TokenError,
    verifier::JwtVerifier,
};
use crate::{
    auth::{
        authenticator::{Authenticator, Verdict},
        request::AuthRequest,
        revocation::Revocation,
    },
    sync::RwLock,
};
use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// An authenticator for tokens of several issuers. It accepts only the issuers of its list. Clones share the
/// list. You may change the list while requests arrive.
///
/// The `iss` of a token selects the verifier. That verifier then checks the token, including `iss`, with its
/// own keys, audiences, algorithms and tenants. So the key of one issuer never verifies a token of another
/// issuer, even if both keys have the same `kid`. Each verifier [names the
/// tenants](crate::auth::JwtVerifierBuilder::tenants) that its issuer may speak for, or allows [any
/// tenant](crate::auth::JwtVerifierBuilder::any_tenant).
///
/// ```
/// use tower_tenancy::auth::{Algorithm, JwtKey, JwtVerifier, TrustedIssuers};
///
/// # fn key() -> JwtKey { JwtKey::hmac(Algorithm::HS256, [7; 32]).unwrap() }
/// let issuers = TrustedIssuers::new();
/// issuers.insert(
///     JwtVerifier::builder()
///         .key(key())
///         .issuer("https://id.alpha.example")
///         .audience("chat")
///         .tenants(["t_alpha"])
///         .build()?,
/// )?;
/// issuers.remove("https://id.alpha.example"); // its open streams end, too
/// # Ok::<(), tower_tenancy::auth::JwtConfigError>(())
/// ```
#[derive(Clone, Default)]
pub struct TrustedIssuers(Arc<Shared>);

struct Shared {
    list: RwLock<List>,
    /// The longest token that at least one of the verifiers accepts, in bytes.
    max_token_bytes: AtomicUsize,
}

impl Default for Shared {
    fn default() -> Self {
        Self { list: RwLock::default(), max_token_bytes: AtomicUsize::new(MAX_TOKEN) }
    }
}

impl Shared {
    /// Changes the list, and returns the result of `change`.
    fn change<T>(&self, change: impl FnOnce(&mut List) -> T) -> T {
        let mut list = self.list.write();
        let former = change(&mut list);
        let verifiers = list.issuers.values().map(|trusted| &trusted.verifier);
        let longest = verifiers.chain(&list.fallback).map(JwtVerifier::max_token_bytes).max();
        // This is only a first check: each verifier checks its own limit again.
        self.max_token_bytes.store(longest.unwrap_or(MAX_TOKEN), Ordering::Relaxed);
        former
    }
}

#[derive(Default)]
struct List {
    issuers: HashMap<String, Trusted>,
    fallback: Option<JwtVerifier>,
}

struct Trusted {
    verifier: JwtVerifier,
    /// Withdraws the proofs of the issuer's tokens when the issuer is removed.
    trust: Revocation,
}

impl TrustedIssuers {
    /// A list without issuers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts the issuer that the verifier requires. The verifier replaces an earlier one of the same issuer.
    /// Open streams continue.
    ///
    /// # Errors
    ///
    /// [`JwtConfigError::NoIssuer`] if the verifier requires no issuer, and [`JwtConfigError::NoTenants`] if
    /// it does not say for which tenants the issuer may speak.
    pub fn insert(&self, verifier: JwtVerifier) -> Result<(), JwtConfigError> {
        let issuer = verifier.issuer().ok_or(JwtConfigError::NoIssuer)?.to_owned();
        if !verifier.says_tenants() {
            return Err(JwtConfigError::NoTenants);
        }
        let former = self.0.change(|list| {
            let trust = list.issuers.get(&issuer).map(|known| known.trust.clone());
            let trust = trust.unwrap_or_default();
            let verifier = verifier.trusted_by(trust.clone());
            list.issuers.insert(issuer, Trusted { verifier, trust })
        });
        // Drop it after the lock is released, because every request takes the lock. Dropping the last clone
        // of a verifier removes its cached tokens, which takes time.
        drop(former);
        Ok(())
    }

    /// Checks tokens without `iss` with this verifier. Use it for an issuer whose tokens have no `iss`. A
    /// token of an issuer that is not in the list is still refused.
    ///
    /// # Errors
    ///
    /// [`JwtConfigError::FallbackIssuer`] if the verifier requires an issuer, and
    /// [`JwtConfigError::NoTenants`] if it does not say for which tenants its tokens may speak.
    pub fn set_fallback(&self, verifier: JwtVerifier) -> Result<(), JwtConfigError> {
        if verifier.issuer().is_some() {
            return Err(JwtConfigError::FallbackIssuer);
        }
        if !verifier.says_tenants() {
            return Err(JwtConfigError::NoTenants);
        }
        let former = self.0.change(|list| list.fallback.replace(verifier));
        // Drop it after the lock is released, as above.
        drop(former);
        Ok(())
    }

    /// Removes the issuer. Its tokens are refused from now on, and open streams of its tokens end
    /// (`access.revoked`). Returns whether the issuer was in the list.
    #[expect(
        clippy::must_use_candidate,
        reason = "it removes the issuer, whether or not the result is used"
    )]
    pub fn remove(&self, issuer: &str) -> bool {
        let removed = self.0.change(|list| list.issuers.remove(issuer));
        if let Some(known) = &removed {
            // Revoke after the lock is released, because this wakes streams.
            known.trust.revoke();
        }
        removed.is_some()
    }

    #[cfg(test)]
    #[cfg(any(feature = "aws-lc-rs", feature = "rust-crypto"))]
    pub(super) fn is_free(&self) -> bool {
        self.0.list.is_free()
    }

    fn find(&self, token: &str) -> Result<JwtVerifier, TokenError> {
        check_length(token, self.0.max_token_bytes.load(Ordering::Relaxed))?;
        let claimed = ClaimedIssuer::of(token)?;
        let list = self.0.list.read();
        // Only a token without `iss` gets the fallback. A token of an unknown issuer does not.
        let verifier = match claimed.hint() {
            Some(issuer) => list.issuers.get(issuer).map(|trusted| &trusted.verifier),
            None => list.fallback.as_ref(),
        };
        let untrusted = "`iss` is not in the list of trusted issuers";
        verifier
            .cloned()
            .ok_or_else(|| TokenError::unexpected(untrusted, claimed.hint().unwrap_or("none")))
    }
}

impl Authenticator for TrustedIssuers {
    fn authenticate(&self, request: &AuthRequest<'_>) -> Verdict {
        let token = match request.bearer_token() {
            Ok(token) => token,
            Err(rejection) => return Verdict::Ready(Err(rejection)),
        };
        match self.find(token) {
            Ok(verifier) => verifier.verdict(token),
            Err(why) => Verdict::Ready(Err(why.into())),
        }
    }
}

impl fmt::Debug for TrustedIssuers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = self.0.list.read();
        f.debug_tuple("TrustedIssuers").field(&list.issuers.keys().collect::<Vec<_>>()).finish()
    }
}
