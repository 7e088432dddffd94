//! Tokens for demos. In production, an issuer makes the tokens.

use clap::Args;
use jsonwebtoken::{Algorithm, EncodingKey, Header, crypto::aws_lc::DEFAULT_PROVIDER};
use std::time::{SystemTime, UNIX_EPOCH};
use tower_tenancy::BoxError;

/// The values that the issuer and the verifier share.
#[derive(Args, Clone)]
pub(crate) struct Trust {
    /// The `iss` of tokens.
    #[arg(long, value_name = "ISS")]
    pub(crate) issuer: Option<String>,
    /// The `aud` of tokens.
    #[arg(long, value_name = "AUD")]
    pub(crate) audience: Option<String>,
    /// The secret that the server shares with the issuer: at least 32 bytes.
    #[arg(long, value_name = "S")]
    pub(crate) hs256_secret: Option<String>,
}

/// Everybody can read this secret in the source, so a token that it signs proves nothing.
pub(crate) const DEVELOPMENT_SECRET: &str = "development-secret-that-everybody-knows";

/// The person for whom a token is made.
pub(crate) struct Bearer<'a> {
    pub(crate) tenant: &'a str,
    pub(crate) env: &'a str,
    pub(crate) sub: &'a str,
    pub(crate) roles: &'a [String],
}

/// Signs a token with HS256.
pub(crate) fn sign(bearer: &Bearer<'_>, ttl: i64, trust: &Trust) -> Result<String, BoxError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let mut claims = serde_json::json!({
        "sub": bearer.sub,
        "tenant_id": bearer.tenant,
        "env": bearer.env,
        "roles": bearer.roles,
        "iat": now,
        "exp": now.saturating_add_signed(ttl),
    });
    if let Some(claims) = claims.as_object_mut() {
        let named = [("iss", &trust.issuer), ("aud", &trust.audience)];
        let given = named.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
        claims.extend(given.map(|(name, value)| (name.to_owned(), value.into())));
    }
    let part = |json: String| base64url(json.as_bytes());
    let header = part(serde_json::to_string(&Header::new(Algorithm::HS256))?);
    let message = format!("{header}.{}", part(claims.to_string()));
    let secret = trust.hs256_secret.as_deref().unwrap_or(DEVELOPMENT_SECRET);
    let key = EncodingKey::from_secret(secret.as_bytes());
    // Use an explicit provider: the process-wide default panics if two providers are compiled in.
    let signer = (DEFAULT_PROVIDER.signer_factory)(&Algorithm::HS256, &key)?;
    let signature = signer.try_sign(message.as_bytes())?;
    Ok(format!("{message}.{}", base64url(&signature)))
}

fn base64url(bytes: &[u8]) -> String {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.encode(bytes)
}
