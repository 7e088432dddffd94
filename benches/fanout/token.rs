//! The token that the benches send.

use crate::minter::Minter;
use jsonwebtoken::{Algorithm, EncodingKey, crypto::aws_lc::DEFAULT_PROVIDER};

pub(crate) const SECRET: &str = "a secret of more than thirty-two bytes, for benches";

/// Makes a token for the tenant of the benches, signed with HS256.
pub(crate) fn mint() -> String {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    Minter::new(&DEFAULT_PROVIDER, Algorithm::HS256, key).sign(
        r#"{"alg":"HS256"}"#,
        r#"{"sub":"ada","tenant_id":"t_alpha","env":"prod","exp":9999999999}"#,
    )
}
