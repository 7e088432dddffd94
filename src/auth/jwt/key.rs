//! Keys that tokens are verified with: one key, one algorithm.

use super::{json::parse_object, secret::is_key_material, token::Header};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, crypto::CryptoProvider};
use serde_json::Value;
use spki::{Document, ObjectIdentifier, SubjectPublicKeyInfoRef};
use std::{
    fmt,
    sync::{Arc, OnceLock},
};

/// RFC 8017 appendix A.1.
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// RFC 5480 section 2.1.1.
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
/// RFC 8410 section 3.
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// Most keys that are tried for one token: what a token without a `kid`, from whomever it is, may cost
/// before anybody is known.
pub(super) const MAX_TRIES: usize = 4;

/// Longest header that is remembered with its key, in bytes. Most take 100.
const MAX_SEEN: usize = 512;

/// Longest RSA key that is taken unless more is said, in bits. One of 8192 bits takes four times as long.
#[cfg(any(feature = "aws-lc-rs", feature = "rust-crypto"))]
const MAX_RSA_BITS: usize = 4096;

/// The crypto library that verifies signatures.
///
/// Chosen explicitly, never through jsonwebtoken's process-wide default, which panics when its
/// features leave it none or two to choose from.
#[derive(Clone, Copy)]
pub struct Backend {
    name: &'static str,
    provider: &'static CryptoProvider,
    /// What the library takes.
    library_rsa_bits: usize,
    max_rsa_bits: usize,
    /// Makes a key that is kept parsed. Without it, the provider parses a key each time.
    parse: Option<fn(Algorithm, &Material) -> Option<Parsed>>,
}

/// A key in a form of its own that verifies a signature of a message.
pub(super) type Parsed = Arc<dyn Fn(&[u8], &[u8]) -> bool + Send + Sync>;

impl Backend {
    /// aws-lc-rs: several times faster for RSA and ECDSA.
    #[cfg(feature = "aws-lc-rs")]
    #[must_use]
    pub fn aws_lc_rs() -> Self {
        let provider = &jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
        Self {
            name: "aws-lc-rs",
            provider,
            library_rsa_bits: 8192,
            max_rsa_bits: MAX_RSA_BITS,
            parse: Some(super::aws_lc::parse),
        }
    }

    /// The RustCrypto crates: no C compiler needed.
    #[cfg(feature = "rust-crypto")]
    #[must_use]
    pub fn rust_crypto() -> Self {
        let provider = &jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER;
        Self {
            name: "rust-crypto",
            provider,
            library_rsa_bits: 4096,
            max_rsa_bits: MAX_RSA_BITS,
            parse: None,
        }
    }

    /// Takes RSA keys of up to so many bits. Default: 2048 to 4096 bits. aws-lc-rs takes up to 8192 bits,
    /// and RustCrypto up to 4096, whatever is said here.
    ///
    /// A longer key takes longer to verify with, and anybody may send a token that has to be verified.
    ///
    /// ```
    /// # #[cfg(feature = "aws-lc-rs")] {
    /// use tower_tenancy::auth::{Backend, JwtVerifier};
    ///
    /// let verifier = JwtVerifier::builder().backend(Backend::aws_lc_rs().with_max_rsa_bits(8192));
    /// # }
    /// ```
    #[must_use]
    pub fn with_max_rsa_bits(mut self, bits: usize) -> Self {
        self.max_rsa_bits = bits.min(self.library_rsa_bits);
        self
    }

    #[cfg(all(test, any(feature = "aws-lc-rs", feature = "rust-crypto")))]
    pub(super) fn provider(self) -> &'static CryptoProvider {
        self.provider
    }

    /// The fastest one that is compiled in.
    pub(super) fn compiled_in() -> Option<Self> {
        let backends: &[fn() -> Self] = &[
            #[cfg(feature = "aws-lc-rs")]
            Self::aws_lc_rs,
            #[cfg(feature = "rust-crypto")]
            Self::rust_crypto,
        ];
        backends.first().map(|backend| backend())
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Why a verifier cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JwtConfigError {
    /// No key was given, or a key set holds none that can verify a signature.
    #[error(
        "no key to verify tokens with: give the verifier a key or a key set, or look at what the JWK \
         set holds (public keys for signatures: RSA, P-256, P-384, Ed25519)"
    )]
    NoKey,
    /// No crypto backend is compiled in.
    #[error("no crypto backend: enable the feature `aws-lc-rs` or `rust-crypto`")]
    NoBackend,
    /// A key is malformed, too weak, private, or of a kind that cannot verify.
    #[error("unusable key: {0}")]
    Key(&'static str),
    /// Two keys of a set have the same `kid`.
    #[error("two keys have the same `kid`: give each its own, or leave one out")]
    DuplicateKid,
    /// More keys without a `kid` fit the same tokens than are tried for one token.
    #[error(
        "{count} keys without a `kid` verify {algorithm:?}, and at most {MAX_TRIES} are tried for a \
         token: name the keys by `kid` (`JwtKey::with_kid`) as the headers of the tokens do"
    )]
    TooManyUnnamed {
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

/// A key, the one algorithm that it verifies, and the `kid` it goes by, if any.
///
/// ```
/// use tower_tenancy::auth::{Algorithm, JwtKey};
///
/// let shared = JwtKey::hmac(Algorithm::HS256, b"at least 32 bytes of a random secret")?;
/// assert!(JwtKey::hmac(Algorithm::HS256, b"short").is_err(), "RFC 7518 section 3.2");
/// # Ok::<(), tower_tenancy::auth::JwtConfigError>(())
/// ```
#[derive(Clone)]
pub struct JwtKey {
    kid: Option<String>,
    algorithm: Algorithm,
    material: Material,
}

#[derive(Clone)]
pub(super) enum Material {
    Secret(Vec<u8>),
    /// A PKCS #1 `RSAPublicKey`; its numbers are read by the backend.
    RsaDer(Vec<u8>),
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// An uncompressed point (SEC 1 section 2.3.3).
    Ec(Vec<u8>),
    Ed(Vec<u8>),
}

impl JwtKey {
    /// A secret shared with the issuer: `HS256`, `HS384` or `HS512`.
    ///
    /// # Errors
    ///
    /// A secret shorter than the hash (RFC 7518 section 3.2): 32, 48 or 64 bytes. What is plainly no
    /// secret: a key or a certificate in PEM, DER, as a JWK or as an OpenSSH key. Whoever knows a public
    /// key could sign with it (RFC 8725 section 2.1).
    pub fn hmac(algorithm: Algorithm, secret: impl AsRef<[u8]>) -> Result<Self, JwtConfigError> {
        Self { kid: None, algorithm, material: Material::Secret(secret.as_ref().to_vec()) }.vetted()
    }

    /// A public key in PEM (RFC 7468): `PUBLIC KEY` (RSA, P-256, P-384, Ed25519) or
    /// `RSA PUBLIC KEY`.
    ///
    /// Verifies `RS256`, `ES256`, `ES384` or `EdDSA`; an RSA key for another algorithm says so by
    /// [`with_algorithm`](Self::with_algorithm).
    ///
    /// # Errors
    ///
    /// Anything else, private keys and certificates among it.
    pub fn public_pem(pem: impl AsRef<[u8]>) -> Result<Self, JwtConfigError> {
        let malformed = JwtConfigError::Key("this is no PEM");
        let Ok(pem) = std::str::from_utf8(pem.as_ref()) else { return Err(malformed) };
        let Ok((label, document)) = Document::from_pem(pem) else { return Err(malformed) };
        match label {
            "PUBLIC KEY" => Self::public_der(document.as_bytes()),
            "RSA PUBLIC KEY" => Self::rsa_der(document.as_bytes()),
            private if private.ends_with("PRIVATE KEY") => {
                Err(JwtConfigError::Key("this is a private key; give its public half"))
            }
            _ => Err(JwtConfigError::Key("the PEM is neither PUBLIC KEY nor RSA PUBLIC KEY")),
        }
    }

    /// A public key in DER: a `SubjectPublicKeyInfo` (RFC 5280 section 4.1), what a `PUBLIC KEY`
    /// PEM wraps.
    ///
    /// # Errors
    ///
    /// As [`public_pem`](Self::public_pem).
    pub fn public_der(der: impl AsRef<[u8]>) -> Result<Self, JwtConfigError> {
        let malformed = JwtConfigError::Key("this is no SubjectPublicKeyInfo");
        let Ok(info) = SubjectPublicKeyInfoRef::try_from(der.as_ref()) else {
            return Err(malformed);
        };
        let Some(bytes) = info.subject_public_key.as_bytes() else { return Err(malformed) };
        let (algorithm, material) = match (info.algorithm.oid, info.algorithm.parameters_oid().ok())
        {
            (RSA_ENCRYPTION, _) => return Self::rsa_der(bytes),
            (EC_PUBLIC_KEY, Some(P256)) => (Algorithm::ES256, Material::Ec(bytes.to_vec())),
            (EC_PUBLIC_KEY, Some(P384)) => (Algorithm::ES384, Material::Ec(bytes.to_vec())),
            (ED25519, _) => (Algorithm::EdDSA, Material::Ed(bytes.to_vec())),
            _ => {
                return Err(JwtConfigError::Key("the key is not RSA, P-256, P-384 or Ed25519"));
            }
        };
        Self { kid: None, algorithm, material }.vetted()
    }

    fn rsa_der(pkcs1: &[u8]) -> Result<Self, JwtConfigError> {
        let material = Material::RsaDer(pkcs1.to_vec());
        Self { kid: None, algorithm: Algorithm::RS256, material }.vetted()
    }

    /// A JWK (RFC 7517), with its `kid`. Without an `alg` it verifies `HS256`, `RS256`, `EdDSA`
    /// or what its curve says.
    ///
    /// # Errors
    ///
    /// A key that is malformed, private, too weak, not for signatures, or of an unknown kind.
    pub fn jwk(json: &str) -> Result<Self, JwtConfigError> {
        let jwk = parse_object(json.as_bytes())
            .map_err(|_| JwtConfigError::Key("the JWK is no JSON object"))?;
        Self::from_jwk(&jwk)
    }

    /// The public keys of a JWK set (RFC 7517 section 5). Keys of it that cannot verify signatures
    /// here are left out.
    ///
    /// # Errors
    ///
    /// A document that is no key set or holds no usable key.
    pub fn jwks(json: &str) -> Result<Vec<Self>, JwtConfigError> {
        let set = parse_object(json.as_bytes())
            .map_err(|_| JwtConfigError::Key("the JWK set is no JSON object"))?;
        let Some(Value::Array(jwks)) = set.get("keys") else {
            return Err(JwtConfigError::Key("the JWK set has no `keys` array"));
        };
        // A key set is published: a secret in it is none.
        let public = jwks.iter().filter(|jwk| jwk.get("kty").is_none_or(|kty| kty != "oct"));
        let keys: Vec<Self> = public.filter_map(|jwk| Self::from_jwk(jwk).ok()).collect();
        if keys.is_empty() { Err(JwtConfigError::NoKey) } else { Ok(keys) }
    }

    /// Pins another algorithm of the same family, such as `PS256` for an RSA key.
    ///
    /// # Errors
    ///
    /// An algorithm that the key cannot verify.
    pub fn with_algorithm(mut self, algorithm: Algorithm) -> Result<Self, JwtConfigError> {
        self.algorithm = algorithm;
        self.vetted()
    }

    /// Names the key, for tokens whose header has a `kid`.
    #[must_use]
    pub fn with_kid(mut self, kid: impl Into<String>) -> Self {
        self.kid = Some(kid.into());
        self
    }

    #[cfg(feature = "jwks")]
    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    fn from_jwk(jwk: &Value) -> Result<Self, JwtConfigError> {
        use JwtConfigError::Key;
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        let bytes = |name: &str| {
            let text = text(name).ok_or(Key("the JWK lacks a member of its key type"))?;
            let decoded = URL_SAFE_NO_PAD.decode(text);
            decoded.map_err(|_| Key("a member of the JWK is not base64url"))
        };
        if jwk.get("use").is_some_and(|usage| usage != "sig") {
            return Err(Key("the JWK is not for signatures"));
        }
        let verifies =
            |ops: &Value| ops.as_array().is_some_and(|ops| ops.iter().any(|op| op == "verify"));
        if jwk.get("key_ops").is_some_and(|ops| !verifies(ops)) {
            return Err(Key("the JWK is not for verifying"));
        }
        // RFC 7518 sections 6.2.2 and 6.3.2.
        if ["d", "p", "q", "dp", "dq", "qi", "oth"].iter().any(|member| jwk.get(member).is_some()) {
            return Err(Key("the JWK is a private key; give its public half"));
        }
        let (default, material) = match (text("kty"), text("crv")) {
            (Some("oct"), _) => (Algorithm::HS256, Material::Secret(bytes("k")?)),
            (Some("RSA"), _) => {
                (Algorithm::RS256, Material::Rsa { n: bytes("n")?, e: bytes("e")? })
            }
            (Some("EC"), Some("P-256")) => {
                (Algorithm::ES256, Material::Ec(point(32, &bytes("x")?, &bytes("y")?)?))
            }
            (Some("EC"), Some("P-384")) => {
                (Algorithm::ES384, Material::Ec(point(48, &bytes("x")?, &bytes("y")?)?))
            }
            (Some("OKP"), Some("Ed25519")) => (Algorithm::EdDSA, Material::Ed(bytes("x")?)),
            _ => return Err(Key("the JWK is of an unknown kind")),
        };
        let algorithm = match jwk.get("alg").map(Value::as_str) {
            None => default,
            Some(alg) => alg
                .and_then(|alg| alg.parse().ok())
                .ok_or(Key("the JWK is for an unknown algorithm"))?,
        };
        let kid = match jwk.get("kid") {
            None => None,
            Some(kid) => Some(kid.as_str().ok_or(Key("the JWK's `kid` is no string"))?.to_owned()),
        };
        Self { kid, algorithm, material }.vetted()
    }

    /// What jsonwebtoken leaves unchecked: sizes, and that key and algorithm belong together.
    fn vetted(self) -> Result<Self, JwtConfigError> {
        let fits = match &self.material {
            Material::Secret(secret) => {
                if is_key_material(secret) {
                    return Err(JwtConfigError::Key(
                        "this is a key or a certificate, and no secret: give a public key to \
                         `JwtKey::public_pem`, `public_der` or `jwk`, and for HMAC the random secret \
                         that the issuer signs with",
                    ));
                }
                // RFC 7518 section 3.2.
                let needed =
                    [(Algorithm::HS256, 32), (Algorithm::HS384, 48), (Algorithm::HS512, 64)];
                let needed = needed.into_iter().find(|(algorithm, _)| *algorithm == self.algorithm);
                if needed.is_some_and(|(_, bytes)| secret.len() < bytes) {
                    return Err(JwtConfigError::Key(
                        "the HMAC secret is shorter than its hash: \
                         HS256 needs 32 bytes, HS384 48, HS512 64",
                    ));
                }
                needed.is_some()
            }
            Material::RsaDer(_) | Material::Rsa { .. } => {
                self.algorithm.family() == AlgorithmFamily::Rsa
            }
            Material::Ec(point) => {
                (self.algorithm, point.len()) == (Algorithm::ES256, 65)
                    || (self.algorithm, point.len()) == (Algorithm::ES384, 97)
            }
            Material::Ed(x) => (self.algorithm, x.len()) == (Algorithm::EdDSA, 32),
        };
        if fits {
            Ok(self)
        } else {
            Err(JwtConfigError::Key("key and algorithm do not belong together"))
        }
    }

    /// The key as `backend` takes it.
    pub(super) fn ready(&self, backend: Backend) -> Result<ReadyKey, JwtConfigError> {
        let material = match &self.material {
            Material::RsaDer(der) => {
                let numbers = (backend.provider.key_utils.rsa_pub_components_from_public_key)(der);
                let (n, e) =
                    numbers.map_err(|_| JwtConfigError::Key("the RSA key is malformed"))?;
                rsa(&n, &e, backend)?
            }
            Material::Rsa { n, e } => rsa(n, e, backend)?,
            other @ (Material::Secret(_) | Material::Ec(_) | Material::Ed(_)) => other.clone(),
        };
        let refused = JwtConfigError::Key("the crypto backend refuses the key");
        let form = match backend.parse {
            Some(parse) => Form::Parsed(parse(self.algorithm, &material).ok_or(refused)?),
            None => {
                let key = decoding_key(&material);
                if (backend.provider.verifier_factory)(&self.algorithm, &key).is_err() {
                    return Err(refused);
                }
                Form::Provided(key)
            }
        };
        Ok(ReadyKey {
            kid: self.kid.clone(),
            algorithm: self.algorithm,
            signature_len: signature_len(self.algorithm, &material),
            form,
            backend,
            seen: Arc::default(),
        })
    }
}

/// How long a signature of the key is, in bytes: as its modulus (RFC 8017 section 8), two numbers of the
/// curve's size (RFC 7518 section 3.4), 64 (RFC 8032 section 5.1), or as the hash.
fn signature_len(algorithm: Algorithm, material: &Material) -> usize {
    match material {
        Material::Secret(_) if algorithm == Algorithm::HS256 => 32,
        Material::Secret(_) if algorithm == Algorithm::HS384 => 48,
        Material::Secret(_) => 64,
        Material::Rsa { n, .. } | Material::RsaDer(n) => n.len(),
        Material::Ec(point) => point.len() - 1,
        Material::Ed(_) => 64,
    }
}

/// The keys without a `kid` of which more fit the same tokens than are tried for one token: how many, and
/// what they verify.
pub(super) fn too_many_unnamed(keys: &[ReadyKey]) -> Option<(Algorithm, usize)> {
    let unnamed = || keys.iter().filter(|key| key.kid.is_none());
    let alike = |one: &ReadyKey| {
        let fits = |key: &&ReadyKey| {
            (key.algorithm, key.signature_len) == (one.algorithm, one.signature_len)
        };
        (one.algorithm, unnamed().filter(fits).count())
    };
    unnamed().map(alike).find(|(_, count)| *count > MAX_TRIES)
}

impl fmt::Debug for JwtKey {
    /// Without the material: it may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtKey")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// SEC 1 section 2.3.3, with coordinates of full length (RFC 7518 section 6.2.1.2).
fn point(size: usize, x: &[u8], y: &[u8]) -> Result<Vec<u8>, JwtConfigError> {
    if x.len() != size || y.len() != size {
        return Err(JwtConfigError::Key("a coordinate of the JWK has the wrong length"));
    }
    Ok([&[4], x, y].concat())
}

/// RSA keys of 2048 bits or more (RFC 7518 section 3.3) with an odd exponent from 65537.
fn rsa(n: &[u8], e: &[u8], backend: Backend) -> Result<Material, JwtConfigError> {
    let strip = |number: &[u8]| {
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        number.iter().skip(zeros).copied().collect::<Vec<u8>>()
    };
    let (n, e) = (strip(n), strip(e));
    let bits = n.len() * 8 - n.first().map_or(0, |byte| byte.leading_zeros() as usize);
    if bits < 2048 {
        return Err(JwtConfigError::Key("the RSA key is shorter than 2048 bits"));
    }
    if bits > backend.max_rsa_bits {
        return Err(JwtConfigError::Key(
            "the RSA key is longer than is taken, which is 4096 bits unless \
             `Backend::with_max_rsa_bits` says otherwise, and 8192 at most",
        ));
    }
    if e.len() < 3 || e.len() > 4 || e.last().is_none_or(|byte| byte % 2 == 0) {
        return Err(JwtConfigError::Key(
            "the RSA key's exponent is even, below 65537 or over 32 bits",
        ));
    }
    Ok(Material::Rsa { n, e })
}

/// The key as jsonwebtoken's providers take it.
fn decoding_key(material: &Material) -> DecodingKey {
    match material {
        Material::Secret(secret) => DecodingKey::from_secret(secret),
        Material::RsaDer(der) => DecodingKey::from_rsa_der(der),
        Material::Rsa { n, e } => DecodingKey::from_rsa_raw_components(n, e),
        Material::Ec(point) => DecodingKey::from_ec_der(point),
        Material::Ed(x) => DecodingKey::from_ed_der(x),
    }
}

#[cfg(test)]
thread_local! {
    /// How often this thread tried a key.
    pub(super) static TRIES: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// A vetted key in the form of its backend.
#[derive(Clone)]
pub(super) struct ReadyKey {
    pub(super) kid: Option<String>,
    pub(super) algorithm: Algorithm,
    signature_len: usize,
    form: Form,
    backend: Backend,
    /// A header that came with a signature of this key, as it was sent.
    seen: Arc<OnceLock<(Box<str>, Header)>>,
}

#[derive(Clone)]
enum Form {
    Parsed(Parsed),
    /// A provider's verifier is made for each token: it cannot be shared between threads.
    Provided(DecodingKey),
}

impl ReadyKey {
    /// The header, if its text is the one that was seen.
    pub(super) fn knows(&self, text: &str) -> Option<&Header> {
        self.seen.get().filter(|(seen, _)| **seen == *text).map(|(_, header)| header)
    }

    /// Remembers the first header, unless it is very long: an issuer writes the same into each token of
    /// a key.
    pub(super) fn remember(&self, text: &str, header: &Header) {
        if text.len() > MAX_SEEN {
            return;
        }
        self.seen.get_or_init(|| (text.into(), header.clone()));
    }

    /// Whether a signature of this length can be one of this key. Costs nothing.
    pub(super) fn can_have_signed(&self, signature: &[u8]) -> bool {
        signature.len() == self.signature_len
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &Vec<u8>) -> bool {
        #[cfg(test)]
        TRIES.set(TRIES.get() + 1);
        match &self.form {
            Form::Parsed(verifies) => verifies(message, signature),
            Form::Provided(key) => {
                let verifier = (self.backend.provider.verifier_factory)(&self.algorithm, key);
                verifier.is_ok_and(|verifier| verifier.verify(message, signature).is_ok())
            }
        }
    }
}

impl fmt::Debug for ReadyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} by {:?}", self.algorithm, self.backend)
    }
}
