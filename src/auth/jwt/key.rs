//! Keys that tokens are verified with: one key, one algorithm.

use super::{secret::is_key_material, token::Header};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, crypto::CryptoProvider};
use spki::{
    Document, ObjectIdentifier, SubjectPublicKeyInfoRef,
    der::{Reader as _, SliceReader, asn1::UintRef},
};
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

/// Most keys that are tried for one token: what a token may cost before anybody is known, whoever sent it.
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
    pub(super) kid: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) material: Material,
}

/// What a key is made of. The same key has one spelling.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Material {
    Secret(Vec<u8>),
    /// Made by [`rsa`](Self::rsa): without leading zeros.
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// An uncompressed point (SEC 1 section 2.3.3).
    Ec(Vec<u8>),
    Ed(Vec<u8>),
}

impl Material {
    pub(super) fn rsa(n: &[u8], e: &[u8]) -> Self {
        let strip = |number: &[u8]| number.iter().copied().skip_while(|byte| *byte == 0).collect();
        Self::Rsa { n: strip(n), e: strip(e) }
    }
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

    /// A PKCS #1 `RSAPublicKey` (RFC 8017 appendix A.1.1).
    fn rsa_der(pkcs1: &[u8]) -> Result<Self, JwtConfigError> {
        let numbers = SliceReader::new(pkcs1).and_then(|mut reader| {
            let numbers = reader
                .sequence(|numbers| Ok((numbers.decode::<UintRef<'_>>()?, numbers.decode()?)))?;
            reader.finish(numbers)
        });
        let (n, e): (_, UintRef<'_>) =
            numbers.map_err(|_| JwtConfigError::Key("the RSA key is malformed"))?;
        let material = Material::rsa(n.as_bytes(), e.as_bytes());
        Self { kid: None, algorithm: Algorithm::RS256, material }.vetted()
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

    /// What makes it this key: the same material under the same name for the same algorithm is one key,
    /// whatever else was written next to it.
    pub(super) fn identity(&self) -> (Option<&str>, Algorithm, &Material) {
        (self.kid.as_deref(), self.algorithm, &self.material)
    }

    /// What jsonwebtoken leaves unchecked: sizes, and that key and algorithm belong together.
    pub(super) fn vetted(self) -> Result<Self, JwtConfigError> {
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
            Material::Rsa { .. } => self.algorithm.family() == AlgorithmFamily::Rsa,
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
        if let Material::Rsa { n, e } = &self.material {
            check_rsa(n, e, backend)?;
        }
        let refused = JwtConfigError::Key("the crypto backend refuses the key");
        let form = match backend.parse {
            Some(parse) => Form::Parsed(parse(self.algorithm, &self.material).ok_or(refused)?),
            None => {
                let key = decoding_key(&self.material);
                if (backend.provider.verifier_factory)(&self.algorithm, &key).is_err() {
                    return Err(refused);
                }
                Form::Provided(key)
            }
        };
        Ok(ReadyKey {
            kid: self.kid.clone(),
            algorithm: self.algorithm,
            signature_len: signature_len(self.algorithm, &self.material),
            material: self.material.clone(),
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
        Material::Rsa { n, .. } => n.len(),
        Material::Ec(point) => point.len() - 1,
        Material::Ed(_) => 64,
    }
}

/// How many of `keys` fit the same tokens as `one`: they have the same name, or none, and make signatures
/// of the same algorithm and length.
pub(super) fn alike<'a>(one: &ReadyKey, keys: impl IntoIterator<Item = &'a ReadyKey>) -> usize {
    let of = |key: &ReadyKey| (key.algorithm, key.signature_len);
    keys.into_iter().filter(|key| key.kid == one.kid && of(key) == of(one)).count()
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
pub(super) fn point(size: usize, x: &[u8], y: &[u8]) -> Result<Vec<u8>, JwtConfigError> {
    if x.len() != size || y.len() != size {
        return Err(JwtConfigError::Key("a coordinate of the JWK has the wrong length"));
    }
    Ok([&[4], x, y].concat())
}

/// RSA keys of 2048 bits or more (RFC 7518 section 3.3) with an odd exponent from 65537.
fn check_rsa(n: &[u8], e: &[u8], backend: Backend) -> Result<(), JwtConfigError> {
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
    Ok(())
}

/// The key as jsonwebtoken's providers take it.
fn decoding_key(material: &Material) -> DecodingKey {
    match material {
        Material::Secret(secret) => DecodingKey::from_secret(secret),
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
    material: Material,
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

    /// Whether this is the same key, under whatever name.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.algorithm == other.algorithm && self.material == other.material
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
