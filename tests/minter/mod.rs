// The only code that signs tokens for tests. Unit tests, integration tests and benches include this file.
//
// Tests of applications use `tower_tenancy::testing::TestIssuer`, which signs with ES256 and its own keys.
// This minter signs any text, with any algorithm and any key, and needs no feature.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, crypto::CryptoProvider};
use std::fmt::Display;

/// Signs with one key and one algorithm.
pub(crate) struct Minter {
    provider: &'static CryptoProvider,
    algorithm: Algorithm,
    key: EncodingKey,
}

impl Minter {
    pub(crate) fn new(
        provider: &'static CryptoProvider,
        algorithm: Algorithm,
        key: EncodingKey,
    ) -> Self {
        Self { provider, algorithm, key }
    }

    /// A token with this header and these claims. It adds nothing, and checks nothing.
    pub(crate) fn sign(&self, header: impl Display, claims: impl Display) -> String {
        let encode = |part: String| URL_SAFE_NO_PAD.encode(part);
        self.seal(&format!("{}.{}", encode(header.to_string()), encode(claims.to_string())))
    }

    /// This text and its signature. The text need not be a valid token.
    #[allow(clippy::unwrap_used, reason = "for tests and benches, with keys that fit")]
    pub(crate) fn seal(&self, message: &str) -> String {
        let signer = (self.provider.signer_factory)(&self.algorithm, &self.key).unwrap();
        let signature = signer.try_sign(message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}
