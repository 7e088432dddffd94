//! The numbers or bytes of a key.

use super::{algorithm::Algorithm, config_error::JwtConfigError};
use std::sync::Arc;

/// The numbers or bytes of a key. Equal keys have equal material.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Material {
    Secret(Vec<u8>),
    /// Modulus and exponent without leading zeros: [`rsa`](Self::rsa) removes them.
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

/// A parsed key: a function that verifies the signature of a message.
pub(super) type Parsed = Arc<dyn Fn(&[u8], &[u8]) -> bool + Send + Sync>;

/// The length of the signatures of a key, in bytes. RSA: the length of the modulus (RFC 8017 section 8).
/// ECDSA: the length of two coordinates (RFC 7518 section 3.4). Ed25519: 64 (RFC 8032 section 5.1). HMAC: the
/// length of the hash.
pub(super) fn signature_len(algorithm: Algorithm, material: &Material) -> usize {
    match material {
        Material::Secret(_) if algorithm == Algorithm::HS256 => 32,
        Material::Secret(_) if algorithm == Algorithm::HS384 => 48,
        Material::Secret(_) => 64,
        Material::Rsa { n, .. } => n.len(),
        Material::Ec(point) => point.len() - 1,
        Material::Ed(_) => 64,
    }
}

/// Makes an uncompressed point (SEC 1 section 2.3.3) of two coordinates, which must have their full length
/// (RFC 7518 section 6.2.1.2).
pub(super) fn point(size: usize, x: &[u8], y: &[u8]) -> Result<Vec<u8>, JwtConfigError> {
    if x.len() != size || y.len() != size {
        return Err(JwtConfigError::Key("a coordinate of the JWK has the wrong length"));
    }
    Ok([&[4], x, y].concat())
}
