//! Keys that verify tokens. Each key is for one algorithm.

use super::{
    algorithm::Algorithm, config_error::JwtConfigError, material::Material, secret::is_key_material,
};
use spki::{
    Document, ObjectIdentifier, SubjectPublicKeyInfoRef,
    der::{Reader as _, SliceReader, asn1::UintRef},
};
use std::fmt;

/// RFC 8017 appendix A.1.
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// RFC 5480 section 2.1.1.
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
/// RFC 8410 section 3.
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// A key, the one algorithm that it verifies, and its optional `kid`.
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

impl JwtKey {
    /// A secret that you share with the issuer, for `HS256`, `HS384` or `HS512`.
    ///
    /// # Errors
    ///
    /// If the secret is shorter than the hash: 32, 48 or 64 bytes (RFC 7518 section 3.2). If it is clearly
    /// not a secret, but a key or a certificate in PEM or DER, a JWK, or an OpenSSH key. Anybody who knows a
    /// public key could sign tokens if it were the secret (RFC 8725 section 2.1).
    pub fn hmac(algorithm: Algorithm, secret: impl AsRef<[u8]>) -> Result<Self, JwtConfigError> {
        Self { kid: None, algorithm, material: Material::Secret(secret.as_ref().to_vec()) }.vetted()
    }

    /// A public key in PEM (RFC 7468): `PUBLIC KEY` (RSA, P-256, P-384, Ed25519) or
    /// `RSA PUBLIC KEY`.
    ///
    /// It verifies `RS256`, `ES256`, `ES384` or `EdDSA`. [`with_algorithm`](Self::with_algorithm) sets
    /// another algorithm for an RSA key.
    ///
    /// # Errors
    ///
    /// If the text is anything else, such as a private key or a certificate.
    pub fn public_pem(pem: impl AsRef<[u8]>) -> Result<Self, JwtConfigError> {
        let malformed = JwtConfigError::Key("the text is not PEM");
        let Ok(pem) = std::str::from_utf8(pem.as_ref()) else { return Err(malformed) };
        let Ok((label, document)) = Document::from_pem(pem) else { return Err(malformed) };
        match label {
            "PUBLIC KEY" => Self::public_der(document.as_bytes()),
            "RSA PUBLIC KEY" => Self::rsa_der(document.as_bytes()),
            private if private.ends_with("PRIVATE KEY") => {
                Err(JwtConfigError::Key("this is a private key: use the public key instead"))
            }
            _ => Err(JwtConfigError::Key("the PEM is neither PUBLIC KEY nor RSA PUBLIC KEY")),
        }
    }

    /// A public key in DER: a `SubjectPublicKeyInfo` (RFC 5280 section 4.1). This is the content of a `PUBLIC
    /// KEY` PEM.
    ///
    /// # Errors
    ///
    /// See [`public_pem`](Self::public_pem).
    pub fn public_der(der: impl AsRef<[u8]>) -> Result<Self, JwtConfigError> {
        let malformed = JwtConfigError::Key("this is not a SubjectPublicKeyInfo");
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

    /// Sets another algorithm of the same family, such as `PS256` for an RSA key.
    ///
    /// # Errors
    ///
    /// If the key cannot verify the algorithm.
    pub fn with_algorithm(mut self, algorithm: Algorithm) -> Result<Self, JwtConfigError> {
        self.algorithm = algorithm;
        self.vetted()
    }

    /// Sets the `kid` of the key. The key then verifies tokens with the same `kid` in their header, and
    /// tokens without a `kid`.
    #[must_use]
    pub fn with_kid(mut self, kid: impl Into<String>) -> Self {
        self.kid = Some(kid.into());
        self
    }

    /// Keys with the same `kid`, algorithm and material count as one key.
    pub(super) fn identity(&self) -> (Option<&str>, Algorithm, &Material) {
        (self.kid.as_deref(), self.algorithm, &self.material)
    }

    /// Checks what jsonwebtoken does not check: sizes, and whether the key fits the algorithm.
    pub(super) fn vetted(self) -> Result<Self, JwtConfigError> {
        let fits = match &self.material {
            Material::Secret(secret) => {
                if is_key_material(secret) {
                    return Err(JwtConfigError::Key(
                        "this is a key or a certificate, not a secret: give a public key to \
                         `JwtKey::public_pem`, `public_der` or `jwk`; for HMAC, give the random secret \
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
            Material::Rsa { .. } => self.algorithm.is_rsa(),
            Material::Ec(point) => {
                (self.algorithm, point.len()) == (Algorithm::ES256, 65)
                    || (self.algorithm, point.len()) == (Algorithm::ES384, 97)
            }
            Material::Ed(x) => (self.algorithm, x.len()) == (Algorithm::EdDSA, 32),
        };
        if fits { Ok(self) } else { Err(JwtConfigError::Key("the key does not fit the algorithm")) }
    }
}

impl fmt::Debug for JwtKey {
    /// Does not show the material, because it may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtKey")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}
