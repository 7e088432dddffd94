//! Bearer JWTs over static keys, checked strictly ([RFC 8725]).
//!
//! Only the signature itself is left to a crypto backend. What surrounds it is decided here: the
//! algorithm is the key's, never the token's; both JSON objects are free of duplicate members;
//! `crit` is refused; `exp` is required, and so are `iss` and `aud` as soon as they are configured.
//!
//! [RFC 8725]: https://www.rfc-editor.org/rfc/rfc8725

mod claims;
mod json;
mod key;
#[cfg(test)]
#[cfg(any(feature = "aws-lc-rs", feature = "rust-crypto"))]
mod tests;

pub use claims::ClaimNames;
pub use jsonwebtoken::Algorithm;
pub use key::{Backend, JwtConfigError, JwtKey};

use crate::{
    auth::{AuthContext, AuthRequest, Authenticator, Verdict},
    clock::{self, Clock},
    rejection::{Rejection, RejectionKind},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use claims::Rules;
use json::parse_object;
use key::ReadyKey;
use serde_json::Value;
use std::{collections::HashSet, sync::Arc, time::Duration};

/// Longest token that is looked at, in bytes.
const MAX_TOKEN: usize = 8 * 1024;
/// Longest `kid` that is looked up, in bytes.
const MAX_KID: usize = 128;
/// How far clocks may differ unless configured.
const LEEWAY: Duration = Duration::from_secs(60);

/// Why a token is refused. For logs: clients learn only whether it expired.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum TokenError {
    #[error("the token is longer than {MAX_TOKEN} bytes")]
    TooLong,
    #[error("the token is malformed: {0}")]
    Malformed(&'static str),
    #[error("the token's header is refused: {0}")]
    Header(&'static str),
    #[error("no key has the token's `kid` and algorithm")]
    NoSuchKey,
    #[error("the signature does not verify")]
    Signature,
    #[error("{0}")]
    Claim(&'static str),
    #[error("a claim has the wrong JSON type: {0}")]
    Type(String),
    #[error("the token has expired")]
    Expired,
}

impl From<TokenError> for Rejection {
    fn from(error: TokenError) -> Self {
        let kind = match error {
            TokenError::Expired => RejectionKind::AuthExpired,
            TokenError::TooLong
            | TokenError::Malformed(_)
            | TokenError::Header(_)
            | TokenError::NoSuchKey
            | TokenError::Signature
            | TokenError::Claim(_)
            | TokenError::Type(_) => RejectionKind::AuthInvalid,
        };
        Self::new(kind).with_source(error)
    }
}

/// The built-in [`Authenticator`]: a JWT in the `Authorization` header, verified with keys that
/// are known from the start.
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
    keys: Arc<[ReadyKey]>,
    rules: Arc<Rules>,
    clock: Arc<dyn Clock>,
}

impl JwtVerifier {
    /// Starts with no key, no issuer, no audience, and a leeway of 60 seconds.
    pub fn builder() -> JwtVerifierBuilder {
        JwtVerifierBuilder {
            keys: Vec::new(),
            rules: Rules { leeway: LEEWAY, ..Rules::default() },
            backend: Backend::compiled_in(),
            clock: clock::system(),
        }
    }

    /// Verifies one token.
    ///
    /// # Errors
    ///
    /// `auth.expired` for a token that is good but over, `auth.invalid` for any other; the
    /// [`source`](std::error::Error::source) says why, for the log.
    pub fn verify(&self, token: &str) -> Result<AuthContext, Rejection> {
        Ok(self.check(token)?)
    }

    fn check(&self, token: &str) -> Result<AuthContext, TokenError> {
        if token.len() > MAX_TOKEN {
            return Err(TokenError::TooLong);
        }
        let (message, signature) =
            token.rsplit_once('.').ok_or(TokenError::Malformed("it has no three parts"))?;
        let (header, claims) =
            message.split_once('.').ok_or(TokenError::Malformed("it has no three parts"))?;
        let header = decode_object(header)?;
        let (algorithm, kid) = read_header(&header)?;
        // The alphabet has no dot, so a fourth part is refused here at the latest.
        let signature = decode(signature)?;

        let mut verified = Err(TokenError::NoSuchKey);
        for key in self.candidates(kid).filter(|key| key.algorithm == algorithm) {
            if key.verifies(message.as_bytes(), &signature) {
                verified = Ok(());
                break;
            }
            verified = Err(TokenError::Signature);
        }
        verified?;

        Ok(self
            .rules
            .check(&decode_object(claims)?, self.clock.now())?
            .with_clock(self.clock.clone()))
    }

    /// The keys that go by the token's `kid`; if there are none, those that have no name.
    fn candidates(&self, kid: Option<&str>) -> impl Iterator<Item = &ReadyKey> {
        let named = kid.is_some_and(|kid| self.keys.iter().any(|k| k.kid.as_deref() == Some(kid)));
        self.keys.iter().filter(move |key| match kid {
            None => true,
            Some(kid) if named => key.kid.as_deref() == Some(kid),
            Some(_) => key.kid.is_none(),
        })
    }
}

impl Authenticator for JwtVerifier {
    fn authenticate(&self, request: &AuthRequest<'_>) -> Verdict {
        Verdict::Ready(request.bearer_token().and_then(|token| self.verify(token)))
    }
}

fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed("a part is not base64url"))
}

fn decode_object(part: &str) -> Result<Value, TokenError> {
    parse_object(&decode(part)?)
        .map_err(|_| TokenError::Malformed("a part is no strict JSON object"))
}

/// The algorithm and the `kid` that a JOSE header (RFC 7515 section 4) names.
fn read_header(header: &Value) -> Result<(Algorithm, Option<&str>), TokenError> {
    // RFC 7515 section 4.1.11: we implement no extension, so none may be critical. An unencoded
    // payload (RFC 7797) or a compressed one would mean something else than what we read.
    if ["crit", "b64", "zip", "enc", "cty"].iter().any(|name| header.get(name).is_some()) {
        return Err(TokenError::Header("it asks for an extension"));
    }
    // RFC 8725 section 3.11: an ID token or a logout token of the same issuer is no access token.
    let plain = |typ: &str| {
        let typ = typ.to_ascii_lowercase();
        matches!(typ.strip_prefix("application/").unwrap_or(&typ), "jwt" | "at+jwt")
    };
    if header.get("typ").is_some_and(|typ| !typ.as_str().is_some_and(plain)) {
        return Err(TokenError::Header("its `typ` is not that of an access token"));
    }
    let algorithm = header.get("alg").and_then(Value::as_str).and_then(|alg| alg.parse().ok());
    let algorithm = algorithm.ok_or(TokenError::Header("its `alg` is unknown or missing"))?;
    let kid = match header.get("kid") {
        None => None,
        Some(Value::String(kid)) if kid.len() <= MAX_KID => Some(kid.as_str()),
        Some(_) => return Err(TokenError::Header("its `kid` is no string or too long")),
    };
    Ok((algorithm, kid))
}

/// Builds a [`JwtVerifier`].
#[derive(Clone, Debug)]
#[must_use]
pub struct JwtVerifierBuilder {
    keys: Vec<JwtKey>,
    rules: Rules,
    backend: Option<Backend>,
    clock: Arc<dyn Clock>,
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

    /// Requires `iss` to be this. One verifier trusts one issuer: every key may sign for it.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.rules.issuer = Some(issuer.into());
        self
    }

    /// Requires `aud` to name this, or one of several given so.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.rules.audiences.push(audience.into());
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
    /// No key, an unusable key, two keys with one `kid`, no crypto backend, or a claim name that
    /// is no JSON pointer.
    pub fn build(self) -> Result<JwtVerifier, JwtConfigError> {
        self.rules.names.check()?;
        if self.keys.is_empty() {
            return Err(JwtConfigError::NoKey);
        }
        let mut kids = HashSet::new();
        if !self.keys.iter().filter_map(JwtKey::kid).all(|kid| kids.insert(kid)) {
            return Err(JwtConfigError::DuplicateKid);
        }
        if self.keys.iter().filter_map(JwtKey::kid).any(|kid| kid.len() > MAX_KID) {
            return Err(JwtConfigError::Key("the `kid` is longer than 128 bytes"));
        }
        let backend = self.backend.ok_or(JwtConfigError::NoBackend)?;
        let keys = self.keys.iter().map(|key| key.ready(backend)).collect::<Result<_, _>>()?;
        Ok(JwtVerifier { keys, rules: Arc::new(self.rules), clock: self.clock })
    }
}

#[cfg(test)]
#[cfg(not(any(feature = "aws-lc-rs", feature = "rust-crypto")))]
mod tests {
    use super::{Algorithm, JwtConfigError, JwtKey, JwtVerifier};

    #[test]
    fn without_a_backend_building_fails_and_no_request_can() {
        let key = JwtKey::hmac(Algorithm::HS256, [7; 32]).unwrap();
        let built = JwtVerifier::builder().key(key).build();
        assert!(matches!(built, Err(JwtConfigError::NoBackend)));
    }
}
