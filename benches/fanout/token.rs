//! The token that the benches send.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, crypto::aws_lc::DEFAULT_PROVIDER};
use tower_tenancy::BoxError;

pub(crate) const SECRET: &str = "a secret of more than thirty-two bytes, for benches";

/// Makes a token for the tenant of the benches, signed with HS256.
pub(crate) fn mint() -> Result<String, BoxError> {
    let claims = r#"{"sub":"ada","tenant_id":"t_alpha","env":"prod","exp":9999999999}"#;
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#);
    let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let signer = (DEFAULT_PROVIDER.signer_factory)(&Algorithm::HS256, &key)?;
    Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signer.try_sign(message.as_bytes())?)))
}
