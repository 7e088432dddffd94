//! A token and a verifier for each algorithm.

use crate::minter::Minter;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    DecodingKey, EncodingKey, Validation,
    crypto::{CryptoProvider, aws_lc},
};
use serde::Deserialize;
use serde_json::json;
use std::{
    hint::black_box,
    time::{SystemTime, UNIX_EPOCH},
};
use tower_tenancy::auth::{Algorithm, Backend, JwtKey, JwtVerifier, JwtVerifierBuilder};

const SECRET: &[u8] = b"a secret of more than thirty-two bytes, for benches";
const ISSUER: &str = "https://id.example.com";
const AUDIENCE: &str = "chat";

#[derive(Deserialize)]
#[expect(dead_code, reason = "the bench parses the claims that an application would use")]
struct Claims {
    sub: String,
    exp: u64,
    tenant_id: String,
    env: String,
    roles: Vec<String>,
}

macro_rules! pem {
    ($name:literal) => {
        include_bytes!(concat!("../../tests/keys/", $name, ".pem"))
    };
}

pub(crate) struct Variant {
    pub(crate) algorithm: Algorithm,
    pub(crate) token: String,
    ours: JwtKey,
    bare: DecodingKey,
    validation: Validation,
    message: String,
    signature: Vec<u8>,
}

pub(crate) fn hs256() -> Variant {
    let signs = EncodingKey::from_secret(SECRET);
    let ours = JwtKey::hmac(Algorithm::HS256, SECRET).unwrap();
    Variant::new(Algorithm::HS256, signs, ours, DecodingKey::from_secret(SECRET))
}

pub(crate) fn rs256() -> Variant {
    let signs = EncodingKey::from_rsa_pem(pem!("rsa")).unwrap();
    let ours = JwtKey::public_pem(pem!("rsa.pub")).unwrap();
    let bare = DecodingKey::from_rsa_pem(pem!("rsa.pub")).unwrap();
    Variant::new(Algorithm::RS256, signs, ours, bare)
}

pub(crate) fn es256() -> Variant {
    let signs = EncodingKey::from_ec_pem(pem!("p256")).unwrap();
    let ours = JwtKey::public_pem(pem!("p256.pub")).unwrap();
    let bare = DecodingKey::from_ec_pem(pem!("p256.pub")).unwrap();
    Variant::new(Algorithm::ES256, signs, ours, bare)
}

pub(crate) fn eddsa() -> Variant {
    let signs = EncodingKey::from_ed_pem(pem!("ed25519")).unwrap();
    let ours = JwtKey::public_pem(pem!("ed25519.pub")).unwrap();
    let bare = DecodingKey::from_ed_pem(pem!("ed25519.pub")).unwrap();
    Variant::new(Algorithm::EdDSA, signs, ours, bare)
}

impl Variant {
    fn new(algorithm: Algorithm, signs: EncodingKey, ours: JwtKey, bare: DecodingKey) -> Self {
        let theirs = algorithm.name().parse().unwrap();
        let minter = Minter::new(&aws_lc::DEFAULT_PROVIDER, theirs, signs);
        let token = minter.sign(json!({ "alg": algorithm.name(), "typ": "JWT" }), claims());
        let (message, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let message = message.to_owned();
        let mut validation = Validation::new(theirs);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        Self { algorithm, token, ours, bare, validation, message, signature }
    }

    pub(crate) fn verifier(&self, backend: Backend) -> JwtVerifierBuilder {
        let builder = JwtVerifier::builder().key(self.ours.clone()).backend(backend);
        builder.issuer(ISSUER).audience(AUDIENCE)
    }

    /// Decodes the token with the default backend of the process.
    pub(crate) fn decode(&self) {
        let token = black_box(&self.token);
        black_box(jsonwebtoken::decode::<Claims>(token, &self.bare, &self.validation).unwrap());
    }

    /// Verifies the signature of the same token with the crypto library alone. Each verifier has to do this.
    pub(crate) fn signature_alone(&self, provider: &CryptoProvider) {
        let algorithm = self.algorithm.name().parse().unwrap();
        let verifier = (provider.verifier_factory)(&algorithm, &self.bare).unwrap();
        verifier.verify(black_box(self.message.as_bytes()), &self.signature).unwrap();
    }
}

fn claims() -> serde_json::Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "auth0|507f1f77bcf86cd799439020",
        "iat": now, "exp": now + 36_000, "tenant_id": "t_alpha", "env": "prod",
        "roles": ["editor", "ops"], "scope": "chat:read chat:write",
    })
}
