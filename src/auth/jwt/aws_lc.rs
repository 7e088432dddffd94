//! Keys for aws-lc. A key is parsed once, not for each token.

use super::{
    algorithm::Algorithm,
    material::{Material, Parsed},
};
use aws_lc_rs::{
    hmac,
    signature::{
        self, ParsedPublicKey, RsaParameters, RsaPublicKeyComponents, VerificationAlgorithm,
    },
};
use std::sync::Arc;

/// Parses a key. `None` if aws-lc refuses it. The tables below have the same algorithms as jsonwebtoken.
pub(super) fn parse(algorithm: Algorithm, material: &Material) -> Option<Parsed> {
    let key = match material {
        Material::Secret(secret) => {
            let key = hmac::Key::new(of(algorithm, HASHES)?, secret);
            return Some(Arc::new(move |message, signature| {
                hmac::verify(&key, message, signature).is_ok()
            }));
        }
        Material::Rsa { n, e } => {
            RsaPublicKeyComponents { n, e }.to_parsed_public_key(of(algorithm, RSA)?)
        }
        Material::Ec(point) => ParsedPublicKey::new(of(algorithm, ECDSA)?, point),
        Material::Ed(x) => ParsedPublicKey::new(of(algorithm, EDDSA)?, x),
    };
    let key = key.ok()?;
    Some(Arc::new(move |message, signature| key.verify_sig(message, signature).is_ok()))
}

fn of<T, const N: usize>(algorithm: Algorithm, table: [(Algorithm, T); N]) -> Option<T> {
    table.into_iter().find(|(known, _)| *known == algorithm).map(|(_, ours)| ours)
}

const HASHES: [(Algorithm, hmac::Algorithm); 3] = [
    (Algorithm::HS256, hmac::HMAC_SHA256),
    (Algorithm::HS384, hmac::HMAC_SHA384),
    (Algorithm::HS512, hmac::HMAC_SHA512),
];

const RSA: [(Algorithm, &RsaParameters); 6] = [
    (Algorithm::RS256, &signature::RSA_PKCS1_2048_8192_SHA256),
    (Algorithm::RS384, &signature::RSA_PKCS1_2048_8192_SHA384),
    (Algorithm::RS512, &signature::RSA_PKCS1_2048_8192_SHA512),
    (Algorithm::PS256, &signature::RSA_PSS_2048_8192_SHA256),
    (Algorithm::PS384, &signature::RSA_PSS_2048_8192_SHA384),
    (Algorithm::PS512, &signature::RSA_PSS_2048_8192_SHA512),
];

const ECDSA: [(Algorithm, &dyn VerificationAlgorithm); 2] = [
    (Algorithm::ES256, &signature::ECDSA_P256_SHA256_FIXED),
    (Algorithm::ES384, &signature::ECDSA_P384_SHA384_FIXED),
];

const EDDSA: [(Algorithm, &dyn VerificationAlgorithm); 1] =
    [(Algorithm::EdDSA, &signature::ED25519)];
