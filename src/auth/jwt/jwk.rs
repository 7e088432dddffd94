//! Keys in the JWK format (RFC 7517).

use super::{
    algorithm::Algorithm,
    config_error::JwtConfigError,
    json::parse_object,
    key::JwtKey,
    limits::MAX_KID,
    material::{Material, point},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

/// An issuer may publish keys for other uses on purpose, so the log does not warn about them.
pub(super) const NOT_FOR_SIGNATURES: &str = "the JWK is not for signatures";
pub(super) const NOT_FOR_VERIFYING: &str = "the JWK is not for verifying";

/// The members of a JWK.
///
/// Some issuers write a member that they do not set as `null`, `""`, `[]` or `{}`. Such a member counts as
/// absent. Always read the members through this type.
pub(super) struct Jwk<'a>(pub(super) &'a Value);

impl<'a> Jwk<'a> {
    fn get(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| match value {
            Value::Null => false,
            Value::Bool(_) | Value::Number(_) => true,
            Value::String(text) => !text.is_empty(),
            Value::Array(items) => !items.is_empty(),
            Value::Object(members) => !members.is_empty(),
        })
    }

    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.get(name).and_then(Value::as_str)
    }

    /// The bytes of a member that the key type needs.
    fn bytes(&self, name: &str) -> Result<Vec<u8>, JwtConfigError> {
        let lacks = JwtConfigError::Key("the JWK lacks a member that its key type needs");
        let decoded = URL_SAFE_NO_PAD.decode(self.text(name).ok_or(lacks)?);
        decoded.map_err(|_| JwtConfigError::Key("a member of the JWK is not base64url"))
    }

    pub(super) fn read(&self) -> Result<JwtKey, JwtConfigError> {
        use JwtConfigError::Key;
        if self.get("use").is_some_and(|usage| usage != "sig") {
            return Err(Key(NOT_FOR_SIGNATURES));
        }
        let verifies =
            |ops: &Value| ops.as_array().is_some_and(|ops| ops.iter().any(|op| op == "verify"));
        if self.get("key_ops").is_some_and(|ops| !verifies(ops)) {
            return Err(Key(NOT_FOR_VERIFYING));
        }
        // RFC 7518 sections 6.2.2 and 6.3.2.
        if ["d", "p", "q", "dp", "dq", "qi", "oth"].iter().any(|name| self.get(name).is_some()) {
            return Err(Key("the JWK is a private key: use the public key instead"));
        }
        let (default, material) = match (self.text("kty"), self.text("crv")) {
            (Some("oct"), _) => (Algorithm::HS256, Material::Secret(self.bytes("k")?)),
            (Some("RSA"), _) => {
                (Algorithm::RS256, Material::rsa(&self.bytes("n")?, &self.bytes("e")?))
            }
            (Some("EC"), Some("P-256")) => {
                (Algorithm::ES256, Material::Ec(point(32, &self.bytes("x")?, &self.bytes("y")?)?))
            }
            (Some("EC"), Some("P-384")) => {
                (Algorithm::ES384, Material::Ec(point(48, &self.bytes("x")?, &self.bytes("y")?)?))
            }
            (Some("OKP"), Some("Ed25519")) => (Algorithm::EdDSA, Material::Ed(self.bytes("x")?)),
            _ => return Err(Key("the JWK is of an unknown kind")),
        };
        let algorithm = match self.get("alg").map(Value::as_str) {
            None => default,
            Some(alg) => {
                alg.and_then(Algorithm::from_name).ok_or(Key("the `alg` of the JWK is unknown"))?
            }
        };
        let kid = match self.get("kid").map(Value::as_str) {
            None => None,
            Some(Some(kid)) if kid.len() <= MAX_KID => Some(kid.to_owned()),
            Some(Some(_)) => return Err(Key("the `kid` of the JWK is longer than 128 bytes")),
            Some(None) => return Err(Key("the `kid` of the JWK is not a string")),
        };
        JwtKey { kid, algorithm, material }.vetted()
    }
}

impl JwtKey {
    /// A JWK (RFC 7517) with its `kid`. If the JWK has no `alg`, a secret verifies `HS256`, an RSA key
    /// `RS256`, and any other key the algorithm of its curve. A member that is `null` or empty counts as
    /// absent.
    ///
    /// # Errors
    ///
    /// If the key is malformed, private, too weak, not for signatures, or of an unknown type.
    pub fn jwk(json: &str) -> Result<Self, JwtConfigError> {
        let jwk = parse_object(json.as_bytes())
            .map_err(|_| JwtConfigError::Key("the JWK is not a JSON object"))?;
        Jwk(&jwk).read()
    }
}

#[cfg(test)]
mod tests {
    use super::URL_SAFE_NO_PAD;
    use crate::auth::JwtKey;
    use base64::Engine as _;
    use serde_json::{Value, json};

    const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

    fn ed(kid: &str) -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": X})
    }

    /// .NET and other software write members that they do not set in this way.
    #[test]
    fn a_member_that_is_null_or_empty_is_absent() {
        let rsa = json!({"kty": "RSA", "n": URL_SAFE_NO_PAD.encode([0xff; 256]), "e": "AQAB"});
        let ec = json!({
            "kty": "EC", "crv": "P-256",
            "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
            "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
        });
        let all = [
            "use", "alg", "kid", "key_ops", "oth", "d", "p", "q", "dp", "dq", "qi", "k", "x5c",
            "x5t", "x5t#S256", "x5u", "crv", "x", "y", "n", "e", "ext", "anything",
        ];
        for jwk in [ed(""), rsa, ec] {
            for unset in [json!(null), json!(""), json!([]), json!({})] {
                let mut padded = jwk.clone();
                for member in all {
                    let members = padded.as_object_mut().unwrap();
                    members.entry(member).or_insert_with(|| unset.clone());
                }
                let key = JwtKey::jwk(&padded.to_string());
                assert_eq!(key.unwrap().kid, None, "{padded}");
            }
            for needed in ["kty", "crv", "x", "y", "n", "e"] {
                if jwk.get(needed).is_some() {
                    for unset in [json!(null), json!("")] {
                        let mut lacking = jwk.clone();
                        lacking[needed] = unset;
                        assert!(JwtKey::jwk(&lacking.to_string()).is_err(), "{lacking}");
                    }
                }
            }
            // A member that has a value is checked.
            for (member, value) in [("d", json!("AQ")), ("oth", json!([{}])), ("alg", json!("x"))] {
                let mut odd = jwk.clone();
                odd[member] = value;
                assert!(JwtKey::jwk(&odd.to_string()).is_err(), "{odd}");
            }
        }
    }
}
