//! Keys as issuers publish them: JWKs and JWK sets (RFC 7517).

use super::{
    Algorithm, MAX_KID,
    json::parse_object,
    key::{JwtConfigError, JwtKey, Material, point},
};
use crate::id::few;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use std::{borrow::Cow, fmt};

/// A key that says that it is not for signatures is left out as it is meant to be.
const NOT_FOR_SIGNATURES: &str = "the JWK is not for signatures";
const NOT_FOR_VERIFYING: &str = "the JWK is not for verifying";

/// Most reasons that one text tells.
const MAX_REASONS: usize = 4;

/// The members of a JWK that say something.
///
/// Some issuers write a member that they do not set as `null`, `""`, `[]` or `{}`. Such a member is
/// absent. This is the only way to the members.
struct Jwk<'a>(&'a Value);

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

    fn text(&self, name: &str) -> Option<&'a str> {
        self.get(name).and_then(Value::as_str)
    }

    /// A member that the kind of key needs.
    fn bytes(&self, name: &str) -> Result<Vec<u8>, JwtConfigError> {
        let lacks = JwtConfigError::Key("the JWK lacks a member of its key type");
        let decoded = URL_SAFE_NO_PAD.decode(self.text(name).ok_or(lacks)?);
        decoded.map_err(|_| JwtConfigError::Key("a member of the JWK is not base64url"))
    }

    fn read(&self) -> Result<JwtKey, JwtConfigError> {
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
            return Err(Key("the JWK is a private key; give its public half"));
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
                alg.and_then(algorithm_named).ok_or(Key("the JWK is for an unknown algorithm"))?
            }
        };
        let kid = match self.get("kid").map(Value::as_str) {
            None => None,
            Some(Some(kid)) if kid.len() <= MAX_KID => Some(kid.to_owned()),
            Some(Some(_)) => return Err(Key("the `kid` is longer than 128 bytes")),
            Some(None) => return Err(Key("the JWK's `kid` is no string")),
        };
        JwtKey { kid, algorithm, material }.vetted()
    }
}

/// The algorithm of this name in JOSE. `Ed25519` is the fully specified name of what `EdDSA` means with
/// such a key (RFC 9864 section 2.2). The other names that RFC 9864 registers are for COSE, or for Ed448.
pub(super) fn algorithm_named(name: &str) -> Option<Algorithm> {
    match name {
        "Ed25519" => Some(Algorithm::EdDSA),
        name => name.parse().ok(),
    }
}

impl JwtKey {
    /// A JWK (RFC 7517), with its `kid`. Without an `alg` it verifies `HS256`, `RS256`, `EdDSA`
    /// or what its curve says. A member that is `null` or empty is absent.
    ///
    /// # Errors
    ///
    /// A key that is malformed, private, too weak, not for signatures, or of an unknown kind.
    pub fn jwk(json: &str) -> Result<Self, JwtConfigError> {
        let jwk = parse_object(json.as_bytes())
            .map_err(|_| JwtConfigError::Key("the JWK is no JSON object"))?;
        Jwk(&jwk).read()
    }

    /// The public keys of a JWK set (RFC 7517 section 5). Keys of it that cannot verify signatures
    /// here are left out, and the log says why.
    ///
    /// # Errors
    ///
    /// A document that is no key set, or one of which no key is usable.
    pub fn jwks(json: &str) -> Result<Vec<Self>, JwtConfigError> {
        let Published { keys, left_out } = Published::read(json)?;
        if keys.is_empty() {
            return Err(JwtConfigError::NoUsableKey(left_out.to_string()));
        }
        left_out.tell("a JWK set", None);
        Ok(keys.into_iter().map(|(_, key)| key).collect())
    }
}

/// The keys of a JWK set, in its order.
pub(super) struct Published {
    /// Those that can be read, and what log lines call them.
    pub(super) keys: Vec<(String, JwtKey)>,
    pub(super) left_out: LeftOut,
}

impl Published {
    pub(super) fn read(json: &str) -> Result<Self, JwtConfigError> {
        // RFC 8259 section 8.1: some editors put it in front of a file.
        let json = json.strip_prefix('\u{feff}').unwrap_or(json);
        let set = parse_object(json.as_bytes()).map_err(|fault| {
            JwtConfigError::NoUsableKey(format!("the set is no strict JSON object: {fault}"))
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
                // A key set is published.
                Some("oct") => Err(JwtConfigError::Key("a secret that is published is none")),
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

    /// Writes a line into the log for each reason: there are a few, however many keys there are.
    pub(super) fn tell(&self, source: &str, issuer: Option<&String>) {
        for reason in &self.0 {
            let (why, kids) = (&*reason.why, reason.few());
            if [NOT_FOR_SIGNATURES, NOT_FOR_VERIFYING].contains(&why) {
                tracing::info!(source, issuer, kids, why, "keys of a set are for something else");
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
            return f.write_str("it is empty");
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
    use super::{Published, URL_SAFE_NO_PAD, parse_object};
    use crate::auth::JwtKey;
    use base64::Engine as _;
    use serde_json::{Value, json};

    const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

    fn ed(kid: &str) -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": X})
    }

    /// As .NET and others write what they do not set.
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
            // One that says something is judged.
            for (member, value) in [("d", json!("AQ")), ("oth", json!([{}])), ("alg", json!("x"))] {
                let mut odd = jwk.clone();
                odd[member] = value;
                assert!(JwtKey::jwk(&odd.to_string()).is_err(), "{odd}");
            }
        }
    }

    #[test]
    fn a_set_that_cannot_be_read_says_why_and_a_byte_order_mark_is_no_part_of_it() {
        let set = json!({"keys": [ed("a")]}).to_string();
        assert_eq!(JwtKey::jwks(&format!("\u{feff}{set}")).unwrap().len(), 1);
        for (bad, why) in [
            (set.replace(r#""crv""#, r#""kid":"b","crv""#), "two members of the same name"),
            (set.replace(r#""keys""#, r#""$serde_json::private::x":1,"keys""#), "private::"),
            (format!("{set}x"), "not valid JSON"),
            ("[]".to_owned(), "not an object"),
        ] {
            let told = JwtKey::jwks(&bad).unwrap_err().to_string();
            assert!(told.contains(why), "{told}");
        }
    }

    #[test]
    fn what_is_left_out_is_told_by_reason_and_briefly() {
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
        let told = left_out.to_string();
        assert!(told.contains("the JWK is of an unknown kind") && !told.contains('\n'), "{told}");
        assert!(told.contains(r#"["for-encryption"]: the JWK is not for signatures"#), "{told}");
        assert!(told.contains(r#"["number 303, no kid"]: a secret that is published"#), "{told}");
        assert!(told.len() < 1500, "{told}");
        assert!(parse_object(set.as_bytes()).is_ok());
    }
}
