//! The crypto libraries that verify signatures.

use super::{
    algorithm::Algorithm,
    material::{Material, Parsed},
};
use jsonwebtoken::crypto::CryptoProvider;
use std::fmt;

/// The longest RSA key that is accepted by default, in bits. A key of 8192 bits takes four times as long.
#[cfg(any(feature = "aws-lc-rs", feature = "rust-crypto"))]
const MAX_RSA_BITS: usize = 4096;

/// The crypto library that verifies signatures.
///
/// The crate chooses it explicitly. It never uses the process-wide default of jsonwebtoken: that one panics
/// if no library or two libraries are compiled in.
#[derive(Clone, Copy)]
pub struct Backend {
    name: &'static str,
    pub(super) provider: &'static CryptoProvider,
    /// The longest RSA key that the library accepts, in bits.
    library_rsa_bits: usize,
    pub(super) max_rsa_bits: usize,
    /// Parses a key once. If it is `None`, the provider parses the key for each token.
    pub(super) parse: Option<fn(Algorithm, &Material) -> Option<Parsed>>,
}

impl Backend {
    /// aws-lc-rs. It is several times faster than RustCrypto for RSA and ECDSA.
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

    /// The RustCrypto crates. They need no C compiler.
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

    /// Accepts RSA keys of up to `bits` bits. Default: 4096; the minimum is always 2048. aws-lc-rs accepts at
    /// most 8192 bits and RustCrypto at most 4096, even if `bits` is larger.
    ///
    /// A longer key needs more time for each token, and anybody can send tokens.
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

    /// The fastest backend that is compiled in.
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
