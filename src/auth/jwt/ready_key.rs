//! Keys that are ready to verify signatures.

use super::{
    algorithm::Algorithm,
    backend::Backend,
    config_error::JwtConfigError,
    header::Header,
    key::JwtKey,
    material::{Material, Parsed, signature_len},
};
use jsonwebtoken::DecodingKey;
use std::{
    fmt,
    sync::{Arc, OnceLock},
};

/// The longest header that a key remembers, in bytes. Most headers have about 100 bytes.
const MAX_SEEN: usize = 512;

/// A checked key in the form that its backend needs.
#[derive(Clone)]
pub(super) struct ReadyKey {
    pub(super) kid: Option<String>,
    pub(super) algorithm: Algorithm,
    signature_len: usize,
    material: Material,
    form: Form,
    backend: Backend,
    /// The text and the content of the header of a token that this key has verified.
    seen: Arc<OnceLock<(Box<str>, Header)>>,
}

#[derive(Clone)]
enum Form {
    Parsed(Parsed),
    /// The provider makes a new verifier for each token, because threads cannot share one.
    Provided(DecodingKey),
}

impl JwtKey {
    /// The key in the form that `backend` needs.
    pub(super) fn ready(&self, backend: Backend) -> Result<ReadyKey, JwtConfigError> {
        if let Material::Rsa { n, e } = &self.material {
            check_rsa(n, e, backend)?;
        }
        let refused = JwtConfigError::Key("the crypto backend refuses the key");
        let form = match backend.parse {
            Some(parse) => Form::Parsed(parse(self.algorithm, &self.material).ok_or(refused)?),
            None => {
                let key = decoding_key(&self.material);
                if (backend.provider.verifier_factory)(&self.algorithm.in_jsonwebtoken(), &key)
                    .is_err()
                {
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

impl ReadyKey {
    /// The remembered header, if it has this text.
    pub(super) fn knows(&self, text: &str) -> Option<&Header> {
        self.seen.get().filter(|(seen, _)| **seen == *text).map(|(_, header)| header)
    }

    /// Remembers the first header, unless it is very long. An issuer usually writes the same header into each
    /// token of a key.
    pub(super) fn remember(&self, text: &str, header: &Header) {
        if text.len() > MAX_SEEN {
            return;
        }
        self.seen.get_or_init(|| (text.into(), header.clone()));
    }

    /// Whether both are the same key. The `kid` makes no difference.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.algorithm == other.algorithm && self.material == other.material
    }

    /// Whether the signature has the right length for this key. This check is cheap.
    pub(super) fn can_have_signed(&self, signature: &[u8]) -> bool {
        signature.len() == self.signature_len
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &Vec<u8>) -> bool {
        #[cfg(test)]
        TRIES.set(TRIES.get() + 1);
        match &self.form {
            Form::Parsed(verifies) => verifies(message, signature),
            Form::Provided(key) => {
                let algorithm = self.algorithm.in_jsonwebtoken();
                let verifier = (self.backend.provider.verifier_factory)(&algorithm, key);
                verifier.is_ok_and(|verifier| verifier.verify(message, signature).is_ok())
            }
        }
    }
}

/// How many of `keys` must be tried for the same tokens as `one`: they have the same `kid` (or all have
/// none), and their signatures have the same algorithm and length.
pub(super) fn count_alike<'a>(
    one: &ReadyKey,
    keys: impl IntoIterator<Item = &'a ReadyKey>,
) -> usize {
    let of = |key: &ReadyKey| (key.algorithm, key.signature_len);
    keys.into_iter().filter(|key| key.kid == one.kid && of(key) == of(one)).count()
}

/// Refuses RSA keys of fewer than 2048 bits (RFC 7518 section 3.3) or of more bits than the backend allows,
/// and exponents that are even, below 65537 or longer than 32 bits.
fn check_rsa(n: &[u8], e: &[u8], backend: Backend) -> Result<(), JwtConfigError> {
    let bits = n.len() * 8 - n.first().map_or(0, |byte| byte.leading_zeros() as usize);
    if bits < 2048 {
        return Err(JwtConfigError::Key("the RSA key is shorter than 2048 bits"));
    }
    if bits > backend.max_rsa_bits {
        return Err(JwtConfigError::Key(
            "the RSA key is too long: the limit is 4096 bits, or the limit that \
             `Backend::with_max_rsa_bits` sets (at most 8192, and only with aws-lc-rs)",
        ));
    }
    if e.len() < 3 || e.len() > 4 || e.last().is_none_or(|byte| byte % 2 == 0) {
        return Err(JwtConfigError::Key(
            "the exponent of the RSA key is even, below 65537 or longer than 32 bits",
        ));
    }
    Ok(())
}

/// The key in the form that the providers of jsonwebtoken need.
fn decoding_key(material: &Material) -> DecodingKey {
    match material {
        Material::Secret(secret) => DecodingKey::from_secret(secret),
        Material::Rsa { n, e } => DecodingKey::from_rsa_raw_components(n, e),
        Material::Ec(point) => DecodingKey::from_ec_der(point),
        Material::Ed(x) => DecodingKey::from_ed_der(x),
    }
}

impl fmt::Debug for ReadyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} by {:?}", self.algorithm, self.backend)
    }
}

#[cfg(test)]
thread_local! {
    /// How many keys this thread has tried.
    pub(super) static TRIES: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}
