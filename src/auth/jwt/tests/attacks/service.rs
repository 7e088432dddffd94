//! The service that the tests attack: our verifier, and jsonwebtoken alone with the same configuration.

use super::super::support::{SECRET, backends, builder, minter, pem, private, sign, verify};
use crate::{
    auth::{
        AuthContext,
        jwt::{Algorithm, JwtKey, JwtVerifierBuilder},
    },
    testing::ManualClock,
};
use jsonwebtoken::{DecodingKey, Validation, get_current_timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

pub(super) use Alone::{Accepts, Refuses};

/// What jsonwebtoken alone does with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alone {
    Accepts,
    Refuses,
}

/// The time of the system. jsonwebtoken always uses it, so these tokens must be valid at that time.
pub(super) fn now() -> u64 {
    get_current_timestamp()
}

pub(super) fn claims() -> Value {
    json!({
        "iss": "https://id.example", "aud": "chat", "sub": "auth0|ada", "exp": now() + 600,
        "tenant_id": "t_a", "env": "prod",
    })
}

/// `object` with this value for a member, or without the member.
pub(super) fn with(mut object: Value, name: &str, value: Option<Value>) -> Value {
    let members = object.as_object_mut().unwrap();
    match value {
        Some(value) => members.insert(name.into(), value),
        None => members.remove(name),
    };
    object
}

/// Our verifier, and the configuration of jsonwebtoken for the same issuer, audience and key.
pub(super) struct Service {
    pub(super) ours: JwtVerifierBuilder,
    key: DecodingKey,
    validation: Validation,
}

impl Service {
    pub(super) fn of(algorithm: Algorithm) -> Self {
        let public = |name| JwtKey::public_pem(pem(name)).unwrap();
        let (key, decoding) = match algorithm.in_jsonwebtoken().family() {
            jsonwebtoken::AlgorithmFamily::Hmac => {
                (JwtKey::hmac(algorithm, SECRET).unwrap(), DecodingKey::from_secret(SECRET))
            }
            jsonwebtoken::AlgorithmFamily::Rsa => (
                public("rsa.pub").with_algorithm(algorithm).unwrap(),
                DecodingKey::from_rsa_pem(&pem("rsa.pub")).unwrap(),
            ),
            jsonwebtoken::AlgorithmFamily::Ec => {
                (public("p256.pub"), DecodingKey::from_ec_pem(&pem("p256.pub")).unwrap())
            }
            jsonwebtoken::AlgorithmFamily::Ed => {
                (public("ed25519.pub"), DecodingKey::from_ed_pem(&pem("ed25519.pub")).unwrap())
            }
        };
        let clock = ManualClock::at(now()).shared();
        let mut validation = Validation::new(algorithm.in_jsonwebtoken());
        validation.set_issuer(&["https://id.example"]);
        validation.set_audience(&["chat"]);
        let ours = JwtVerifierBuilder { keys: vec![key], ..builder().clock(clock) };
        Self { ours, key: decoding, validation }
    }

    /// The same service, with a `kid` for our key.
    pub(super) fn named(algorithm: Algorithm, kid: &str) -> Self {
        let mut service = Self::of(algorithm);
        service.ours.keys = service.ours.keys.into_iter().map(|key| key.with_kid(kid)).collect();
        service
    }

    pub(super) fn ours(&self, token: &str) -> Result<AuthContext, &'static str> {
        verify(&self.ours, token)
    }

    /// The verdict of jsonwebtoken. It accepts the token if it can read the claims either into a struct or as
    /// any JSON.
    pub(super) fn alone(&self, token: &str) -> Alone {
        #[derive(Deserialize)]
        struct Claims {
            #[serde(rename = "sub")]
            _sub: String,
        }
        // A process has one provider. If both backends are compiled in, there is no default, so the first
        // call installs one. Later calls find the same provider.
        let _ = backends()[0].provider().install_default();
        let read = jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation).is_ok();
        let value = jsonwebtoken::decode::<Value>(token, &self.key, &self.validation).is_ok();
        if read || value { Accepts } else { Refuses }
    }

    /// Checks that we refuse the attack with `code` and accept the control, and that the verdict of
    /// jsonwebtoken on the attack is `alone`.
    pub(super) fn withstands(
        &self,
        name: &str,
        attack: &str,
        control: &str,
        code: &str,
        alone: Alone,
    ) {
        assert_ne!(attack, control, "{name}");
        assert_eq!(self.ours(attack).err(), Some(code), "{name}");
        let passed = self.ours(control);
        assert!(passed.is_ok(), "control of {name}: {:?}", passed.err());
        assert_eq!(self.alone(attack), alone, "jsonwebtoken alone: {name}");
        assert_eq!(self.alone(control), Accepts, "jsonwebtoken alone: control of {name}");
    }
}

pub(super) fn hs256(header: &Value, claims: &Value) -> String {
    sign(header, claims, Algorithm::HS256)
}

pub(super) fn plain(algorithm: Algorithm) -> Value {
    json!({"alg": format!("{algorithm:?}")})
}

/// A token with these two encoded parts and the right signature.
pub(super) fn sealed(header: &str, claims: &str) -> String {
    let minter = minter(Algorithm::HS256, private(Algorithm::HS256));
    minter.seal(&format!("{header}.{claims}"))
}

/// A member of the header or of the claims, its value in the attack, its value in the control, a description
/// of the attack, and the verdict of jsonwebtoken. `None` removes the member.
pub(super) type Member = (&'static str, Option<Value>, Option<Value>, &'static str, Alone);
