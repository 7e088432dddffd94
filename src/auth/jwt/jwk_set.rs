//! JWK sets (RFC 7517 section 5), as issuers publish them.

use super::{
    config_error::JwtConfigError,
    json::parse_object,
    jwk::{Jwk, NOT_FOR_SIGNATURES, NOT_FOR_VERIFYING},
    key::JwtKey,
};
use crate::id::few;
use serde_json::Value;
use std::{borrow::Cow, fmt};

/// The most reasons in one text.
const MAX_REASONS: usize = 4;

impl JwtKey {
    /// The public keys of a JWK set (RFC 7517 section 5). Keys that cannot verify signatures are left
    /// out, and the log says why.
    ///
    /// # Errors
    ///
    /// If the document is not a JWK set, or no key of it can be used.
    pub fn jwks(json: &str) -> Result<Vec<Self>, JwtConfigError> {
        let Published { keys, left_out } = Published::read(json)?;
        if keys.is_empty() {
            return Err(JwtConfigError::NoUsableKey(left_out.to_string()));
        }
        left_out.log("a JWK set", None);
        Ok(keys.into_iter().map(|(_, key)| key).collect())
    }
}

/// The keys of a JWK set, in the order of the set.
pub(super) struct Published {
    /// The keys that can be read, each with its name for the log.
    pub(super) keys: Vec<(String, JwtKey)>,
    pub(super) left_out: LeftOut,
}

impl Published {
    pub(super) fn read(json: &str) -> Result<Self, JwtConfigError> {
        // Skip a byte order mark (RFC 8259 section 8.1): some editors write one at the start of a file.
        let json = json.strip_prefix('\u{feff}').unwrap_or(json);
        let set = parse_object(json.as_bytes()).map_err(|fault| {
            JwtConfigError::NoUsableKey(format!("the set is not a strict JSON object: {fault}"))
        })?;
        let Some(Value::Array(jwks)) = set.get("keys") else {
            return Err(JwtConfigError::Key("the JWK set has no `keys` array"));
        };
        let (mut keys, mut left_out) = (Vec::new(), LeftOut::default());
        for (i, jwk) in jwks.iter().enumerate() {
            let jwk = Jwk(jwk);
            let name =
                jwk.text("kid").map_or_else(|| format!("number {}, no kid", i + 1), str::to_owned);
            let key = match jwk.text("kty") {
                Some("oct") => {
                    Err(JwtConfigError::Key("a JWK set is public, so it must not contain a secret"))
                }
                _ => jwk.read(),
            };
            match key {
                Ok(key) => keys.push((name, key)),
                Err(why) => left_out.push(name, &why),
            }
        }
        Ok(Self { keys, left_out })
    }
}

/// The keys of a set that are not used, and why.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct LeftOut(Vec<Reason>);

#[derive(Debug, PartialEq, Eq)]
struct Reason {
    why: Cow<'static, str>,
    names: Vec<String>,
}

impl LeftOut {
    pub(super) fn push(&mut self, name: String, why: &JwtConfigError) {
        let why = if let JwtConfigError::Key(why) = why {
            Cow::Borrowed(*why)
        } else {
            Cow::Owned(why.to_string())
        };
        match self.0.iter_mut().find(|reason| reason.why == why) {
            Some(reason) => reason.names.push(name),
            None => self.0.push(Reason { why, names: vec![name] }),
        }
    }

    /// Writes one log line for each reason. The number of reasons is small, even if there are many keys.
    pub(super) fn log(&self, source: &str, issuer: Option<&String>) {
        for reason in &self.0 {
            let (why, kids) = (&*reason.why, reason.few());
            if [NOT_FOR_SIGNATURES, NOT_FOR_VERIFYING].contains(&why) {
                tracing::info!(
                    source,
                    issuer,
                    kids,
                    why,
                    "keys of a set are not for verifying signatures"
                );
            } else {
                tracing::warn!(source, issuer, kids, why, "keys of a set are not used");
            }
        }
    }
}

impl Reason {
    fn few(&self) -> String {
        few(self.names.iter().map(String::as_str))
    }
}

impl fmt::Display for LeftOut {
    /// The first few keys for each of the first few reasons.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("the set is empty");
        }
        for (i, reason) in self.0.iter().take(MAX_REASONS).enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            write!(f, "{separator}{}: {}", reason.few(), reason.why)?;
        }
        match self.0.len().saturating_sub(MAX_REASONS) {
            0 => Ok(()),
            more => write!(f, "; and keys for {more} more reasons"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Published, parse_object};
    use crate::auth::JwtKey;
    use serde_json::{Value, json};

    const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

    fn ed(kid: &str) -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": X})
    }

    #[test]
    fn the_error_for_an_unreadable_set_has_the_reason_and_a_byte_order_mark_is_skipped() {
        let set = json!({"keys": [ed("a")]}).to_string();
        assert_eq!(JwtKey::jwks(&format!("\u{feff}{set}")).unwrap().len(), 1);
        for (bad, why) in [
            (set.replace(r#""crv""#, r#""kid":"b","crv""#), "two members of the same name"),
            (set.replace(r#""keys""#, r#""$serde_json::private::x":1,"keys""#), "private::"),
            (format!("{set}x"), "not valid JSON"),
            ("[]".to_owned(), "not an object"),
        ] {
            let error = JwtKey::jwks(&bad).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn unused_keys_are_listed_briefly_by_reason() {
        let with = |kid: &str, member: &str, value: Value| {
            let mut jwk = ed(kid);
            jwk[member] = value;
            jwk
        };
        let odd = (0..300).map(|i| with(&format!("{i}\n"), "crv", json!("Ed448")));
        let mut keys: Vec<_> = odd.collect();
        keys.push(ed("good"));
        keys.push(with("for-encryption", "use", json!("enc")));
        keys.push(json!({"kty": "oct", "k": "c2VjcmV0"}));
        keys.push(json!("not even an object"));
        let set = json!({"keys": keys}).to_string();
        let Published { keys, left_out } = Published::read(&set).unwrap();
        assert_eq!(keys.len(), 1);
        let error = left_out.to_string();
        assert!(
            error.contains("the JWK is of an unknown kind") && !error.contains('\n'),
            "{error}"
        );
        assert!(error.contains(r#"["for-encryption"]: the JWK is not for signatures"#), "{error}");
        assert!(error.contains(r#"["number 303, no kid"]: a JWK set is public"#), "{error}");
        assert!(error.len() < 1500, "{error}");
        assert!(parse_object(set.as_bytes()).is_ok());
    }
}
