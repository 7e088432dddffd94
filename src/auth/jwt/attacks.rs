//! Tokens that an attacker would send, and what jsonwebtoken alone makes of them.
//!
//! RFC 8725 names the classes. Nearly every token here is signed with the *right* key, so that
//! nothing but the rule under test can refuse it, and stands next to a control that differs from
//! it in one thing and passes. [`Alone`] keeps the comparison honest: it says what jsonwebtoken
//! decides when it knows issuer and audience, and is held against it.

use super::{
    Algorithm, JwtKey, JwtVerifierBuilder,
    tests::{SECRET, backends, builder, pem, private, sign, sign_text, verify},
    token::MAX_TOKEN,
    token_error::TokenError,
};
use crate::{
    auth::{AuthContext, AuthRequest, Authenticator as _, Verdict},
    clock::manual::ManualClock,
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{DecodingKey, EncodingKey, Validation, get_current_timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{io::ErrorKind, net::TcpListener};

/// What jsonwebtoken alone does with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Alone {
    Accepts,
    Refuses,
}

use Alone::{Accepts, Refuses};

/// jsonwebtoken only knows the time of day, so these tokens are of today.
fn now() -> u64 {
    get_current_timestamp()
}

fn claims() -> Value {
    json!({
        "iss": "https://id.example", "aud": "chat", "sub": "auth0|ada", "exp": now() + 600,
        "tenant_id": "t_a", "env": "prod",
    })
}

/// `object` with a member set, or without it.
fn with(mut object: Value, name: &str, value: Option<Value>) -> Value {
    let members = object.as_object_mut().unwrap();
    match value {
        Some(value) => members.insert(name.into(), value),
        None => members.remove(name),
    };
    object
}

/// A verifier of ours and jsonwebtoken's configuration for the same issuer, audience and key.
struct Service {
    ours: JwtVerifierBuilder,
    key: DecodingKey,
    validation: Validation,
}

impl Service {
    fn of(algorithm: Algorithm) -> Self {
        let public = |name| JwtKey::public_pem(pem(name)).unwrap();
        let (key, decoding) = match algorithm.in_jsonwebtoken().family() {
            jsonwebtoken::AlgorithmFamily::Hmac => {
                (JwtKey::hmac(algorithm, SECRET).unwrap(), DecodingKey::from_secret(SECRET))
            }
            jsonwebtoken::AlgorithmFamily::Rsa => {
                (public("rsa.pub"), DecodingKey::from_rsa_pem(&pem("rsa.pub")).unwrap())
            }
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

    /// The same, with a name for our key.
    fn named(algorithm: Algorithm, kid: &str) -> Self {
        let mut service = Self::of(algorithm);
        service.ours.keys = service.ours.keys.into_iter().map(|key| key.with_kid(kid)).collect();
        service
    }

    fn ours(&self, token: &str) -> Result<AuthContext, &'static str> {
        verify(&self.ours, token)
    }

    /// Accepted by either usual way of reading the claims: into a struct, or as any JSON.
    fn alone(&self, token: &str) -> Alone {
        #[derive(Deserialize)]
        struct Claims {
            #[serde(rename = "sub")]
            _sub: String,
        }
        // One process has one provider; with both backends on there is none unless one installs
        // it. Whoever comes second finds the same one there.
        let _ = backends()[0].provider().install_default();
        let read = jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation).is_ok();
        let value = jsonwebtoken::decode::<Value>(token, &self.key, &self.validation).is_ok();
        if read || value { Accepts } else { Refuses }
    }

    /// The attack is refused with `code`, its control passes, and jsonwebtoken does as is said.
    fn withstands(&self, name: &str, attack: &str, control: &str, code: &str, alone: Alone) {
        assert_ne!(attack, control, "{name}");
        assert_eq!(self.ours(attack).err(), Some(code), "{name}");
        let passed = self.ours(control);
        assert!(passed.is_ok(), "control of {name}: {:?}", passed.err());
        assert_eq!(self.alone(attack), alone, "jsonwebtoken alone: {name}");
        assert_eq!(self.alone(control), Accepts, "jsonwebtoken alone: control of {name}");
    }
}

fn hs256(header: &Value, claims: &Value) -> String {
    sign(header, claims, Algorithm::HS256)
}

fn plain(algorithm: Algorithm) -> Value {
    json!({"alg": format!("{algorithm:?}")})
}

/// Signs any text, also what no encoder would make.
fn seal(message: &str, algorithm: Algorithm, key: &EncodingKey) -> String {
    let signer =
        (backends()[0].provider().signer_factory)(&algorithm.in_jsonwebtoken(), key).unwrap();
    let signature = signer.try_sign(message.as_bytes()).unwrap();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// A token whose first two parts are taken as they are, with the right signature.
fn sealed(header: &str, claims: &str) -> String {
    seal(&format!("{header}.{claims}"), Algorithm::HS256, &private(Algorithm::HS256))
}

/// A member of header or claims: the value of the attack and of its control; none is no member.
type Member = (&'static str, Option<Value>, Option<Value>, &'static str, Alone);

#[test]
fn header_members_that_change_what_was_signed_are_refused() {
    let service = Service::of(Algorithm::HS256);
    let some = |value: Value| Some(value);
    let table: Vec<Member> = vec![
        // RFC 7515 section 4.1.11: whoever does not know an extension must refuse it.
        ("crit", some(json!(["x"])), None, "unknown", Accepts),
        ("crit", some(json!(["exp"])), None, "a claim's name", Accepts),
        ("crit", some(json!(["alg"])), None, "a registered name", Accepts),
        ("crit", some(json!(["b64"])), None, "RFC 7797 without its member", Accepts),
        ("crit", some(json!([])), None, "empty", Accepts),
        ("crit", some(Value::Null), None, "null", Accepts),
        ("crit", some(json!("x")), None, "a string", Refuses),
        // RFC 7797: the payload would be read differently. RFC 8725 section 3.6: no compression.
        ("b64", some(json!(false)), None, "unencoded payload", Accepts),
        ("b64", some(json!(true)), None, "even so", Accepts),
        ("zip", some(json!("DEF")), None, "compressed", Accepts),
        ("enc", some(json!("A128GCM")), None, "encrypted", Accepts),
        ("cty", some(json!("JWT")), None, "nested", Accepts),
        // RFC 8725 section 3.11: a token made for another purpose, by the same issuer and key.
        ("typ", some(json!("dpop+jwt")), some(json!("at+jwt")), "RFC 9449", Accepts),
        ("typ", some(json!("logout+jwt")), some(json!("JWT")), "OIDC logout", Accepts),
        ("typ", some(json!("secevent+jwt")), some(json!("jwt")), "RFC 8417", Accepts),
        ("typ", some(json!("id_token+jwt")), None, "unheard of", Accepts),
        ("typ", some(json!("JOSE")), some(json!("application/jwt")), "no JWT", Accepts),
        ("typ", some(json!("JWT ")), some(json!("JWT")), "a space", Accepts),
        ("typ", some(json!("")), None, "empty", Accepts),
        ("typ", some(Value::Null), None, "null", Accepts),
        ("typ", some(json!(["JWT"])), some(json!("JWT")), "an array", Refuses),
        // RFC 8725 section 3.10.
        ("kid", some(json!(7)), some(json!("7")), "a number", Refuses),
        ("kid", some(Value::Null), None, "null", Accepts),
        ("kid", some(json!(["a"])), some(json!("a")), "an array", Refuses),
        ("kid", some(json!("k".repeat(129))), some(json!("k".repeat(128))), "long", Accepts),
        ("kid", some(json!("k".repeat(5000))), None, "very long", Accepts),
    ];
    let mut accepted_alone = 0;
    for (member, attack, control, what, alone) in table {
        let token = |value| hs256(&with(plain(Algorithm::HS256), member, value), &claims());
        let name = format!("header {member}: {what}");
        service.withstands(&name, &token(attack), &token(control), "auth.invalid", alone);
        accepted_alone += usize::from(alone == Accepts);
    }
    assert_eq!(accepted_alone, 22);
}

#[test]
fn claims_that_are_absent_foreign_or_of_the_wrong_type_are_refused() {
    let service = Service::of(Algorithm::HS256);
    let some = |value: Value| Some(value);
    let (issuer, later) = (some(json!("https://id.example")), some(json!(now() + 600)));
    let (aud, sub, tenant) = (some(json!("chat")), some(json!("auth0|ada")), some(json!("t_a")));
    let past = some(json!(now() - 600));
    let table: Vec<Member> = vec![
        ("iss", None, issuer.clone(), "absent", Accepts),
        ("iss", some(Value::Null), issuer.clone(), "null", Accepts),
        ("iss", some(json!(5)), issuer.clone(), "a number", Accepts),
        ("iss", some(json!({})), issuer.clone(), "an object", Accepts),
        ("iss", some(json!(["https://id.example"])), issuer.clone(), "an array", Accepts),
        (
            "iss",
            some(json!(["https://evil.example", "https://id.example"])),
            issuer.clone(),
            "an array that also names ours",
            Accepts,
        ),
        ("iss", some(json!("https://evil.example")), issuer.clone(), "foreign", Refuses),
        ("iss", some(json!("https://id.example/")), issuer.clone(), "a slash", Refuses),
        ("iss", some(json!("https://ID.example")), issuer.clone(), "other case", Refuses),
        ("iss", some(json!("https://id.example.evil")), issuer.clone(), "a prefix", Refuses),
        ("iss", some(json!("https://id.example\u{0}")), issuer, "a NUL", Refuses),
        ("aud", None, aud.clone(), "absent", Accepts),
        ("aud", some(Value::Null), aud.clone(), "null", Accepts),
        ("aud", some(json!(5)), aud.clone(), "a number", Accepts),
        ("aud", some(json!({"chat": true})), aud.clone(), "an object", Accepts),
        ("aud", some(json!(["chat", 5])), some(json!(["chat", "x"])), "mixed", Accepts),
        ("aud", some(json!([null])), some(json!(["chat", null])), "holds null alone", Accepts),
        ("aud", some(json!([["chat"]])), some(json!(["chat"])), "nested", Accepts),
        ("aud", some(json!([])), some(json!(["chat"])), "empty", Refuses),
        ("aud", some(json!("billing")), aud.clone(), "of another service", Refuses),
        ("aud", some(json!(["billing"])), some(json!(["billing", "chat"])), "of another", Refuses),
        ("aud", some(json!("Chat")), aud.clone(), "other case", Refuses),
        ("aud", some(json!("chat ")), aud.clone(), "a space", Refuses),
        ("aud", some(json!("chat,billing")), aud.clone(), "a list in a string", Refuses),
        ("aud", some(json!("cha")), aud, "a substring", Refuses),
        ("sub", None, sub.clone(), "absent", Accepts),
        ("sub", some(Value::Null), sub.clone(), "null", Accepts),
        ("sub", some(json!("")), sub.clone(), "empty", Accepts),
        ("sub", some(json!(7)), sub.clone(), "a number", Accepts),
        ("sub", some(json!(["auth0|ada"])), sub.clone(), "an array", Refuses),
        ("sub", some(json!("auth0|ada\n")), sub, "a line break", Accepts),
        ("sub", some(json!("a".repeat(256))), some(json!("a".repeat(255))), "long", Accepts),
        ("exp", None, later.clone(), "absent", Refuses),
        ("exp", some(Value::Null), later.clone(), "null", Refuses),
        ("exp", some(json!(true)), later.clone(), "a boolean", Refuses),
        ("exp", some(json!((now() + 600).to_string())), later.clone(), "a string", Refuses),
        ("exp", some(json!([now() + 600])), later.clone(), "an array", Refuses),
        ("exp", some(json!({})), later.clone(), "an object", Refuses),
        ("exp", some(json!(-1)), later.clone(), "negative", Refuses),
        ("exp", some(json!(i64::MIN)), later.clone(), "very negative", Refuses),
        ("exp", some(json!(-1e18)), later, "a negative float", Refuses),
        ("nbf", some(json!(now() + 600)), past.clone(), "in the future", Accepts),
        ("nbf", some(json!(1e300)), None, "never", Accepts),
        ("nbf", some(json!(now().to_string())), past.clone(), "a string", Accepts),
        ("nbf", some(json!(-1)), some(json!(0)), "negative", Accepts),
        ("iat", some(json!(now() + 86_400)), past.clone(), "tomorrow", Accepts),
        ("iat", some(json!("now")), past, "a string", Accepts),
        // What the guard compares never stands for more than it says.
        ("tenant_id", some(json!(1.5)), some(json!(15)), "a fraction", Accepts),
        ("tenant_id", some(json!(true)), tenant.clone(), "a boolean", Accepts),
        ("tenant_id", some(json!({"t_a": true})), tenant, "an object", Accepts),
        ("tenant_ids", some(json!(["t_b", {}])), some(json!(["t_b", null])), "mixed", Accepts),
        ("tenant_ids", some(json!([["t_b"]])), some(json!("t_b")), "nested", Accepts),
        ("env", some(json!(1)), some(json!(["prod"])), "a number", Accepts),
        ("envs", some(json!({"prod": true})), some(json!(["prod"])), "an object", Accepts),
    ];
    let mut accepted_alone = 0;
    for (claim, attack, control, what, alone) in table {
        let token = |value| hs256(&plain(Algorithm::HS256), &with(claims(), claim, value));
        let name = format!("claim {claim}: {what}");
        service.withstands(&name, &token(attack), &token(control), "auth.invalid", alone);
        accepted_alone += usize::from(alone == Accepts);
    }
    assert_eq!(accepted_alone, 32);
}

#[test]
fn a_token_that_is_over_says_so_and_one_that_never_ends_is_refused() {
    let service = Service::of(Algorithm::HS256);
    let token = |exp: Value| hs256(&plain(Algorithm::HS256), &with(claims(), "exp", Some(exp)));
    let control = token(json!(now() + 600));
    for over in [json!(now() - 120), json!(0), json!(-0.0), json!(0.5), json!(1)] {
        let name = format!("exp {over}");
        service.withstands(&name, &token(over), &control, "auth.expired", Refuses);
    }
    // The last second of the year 9999 is the last date there is.
    for (never, alone) in [
        (json!(253_402_300_800_u64), Accepts),
        (json!(1e18), Accepts),
        (json!(u64::MAX), Accepts),
        (json!(1e300), Refuses),
    ] {
        let name = format!("exp {never}");
        service.withstands(&name, &token(never), &control, "auth.invalid", alone);
    }
    for far in [json!(253_402_300_799_u64), json!(now() as f64 + 600.75)] {
        assert!(service.ours(&token(far.clone())).unwrap().remaining().is_ok(), "{far}");
    }
    // JSON has no such number.
    let claims = claims().to_string();
    let endless = claims.replacen("\"exp\":", "\"exp\":1e400,\"was\":", 1);
    let endless = sign_text(r#"{"alg":"HS256"}"#, &endless, Algorithm::HS256);
    service.withstands("exp 1e400", &endless, &control, "auth.invalid", Refuses);
}

#[test]
fn unsigned_tokens_are_refused_whatever_they_call_it() {
    let service = Service::of(Algorithm::HS256);
    let control = hs256(&plain(Algorithm::HS256), &claims());
    let signature = control.rsplit_once('.').unwrap().1;
    for alg in ["none", "None", "NONE", "nOnE", "none ", "", "null", "HS256 ", "hs256", "Hs256"] {
        let signed = hs256(&json!({"alg": alg}), &claims());
        let (message, right) = signed.rsplit_once('.').unwrap();
        for attack in [format!("{message}."), format!("{message}.{signature}"), signed.clone()] {
            let name = format!("alg `{alg}`: {attack}");
            service.withstands(&name, &attack, &control, "auth.invalid", Refuses);
        }
        assert_ne!(right, signature);
    }
    for alg in [Value::Null, json!(["HS256"]), json!({"alg": "HS256"}), json!(256), json!(true)] {
        let attack = hs256(&json!({"alg": alg}), &claims());
        service.withstands("alg of another type", &attack, &control, "auth.invalid", Refuses);
    }
    let attack = hs256(&json!({"typ": "JWT"}), &claims());
    service.withstands("no alg", &attack, &control, "auth.invalid", Refuses);
}

#[test]
fn signatures_that_prove_nothing_are_refused() {
    for algorithm in [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        let service = Service::of(algorithm);
        let control = sign(&plain(algorithm), &claims(), algorithm);
        let (message, signature) = control.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let other = sign(&plain(algorithm), &with(claims(), "sub", Some(json!("b"))), algorithm);
        let other = URL_SAFE_NO_PAD.decode(other.rsplit_once('.').unwrap().1).unwrap();
        let forged = |signature: &[u8]| format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature));
        for (name, attack) in [
            ("empty", vec![]),
            // CVE-2022-21449 for ES256.
            ("zeros", vec![0; signature.len()]),
            ("ones", vec![0xff; signature.len()]),
            ("cut by one", signature[..signature.len() - 1].to_vec()),
            ("cut in half", signature[..signature.len() / 2].to_vec()),
            ("longer by one", [&signature[..], &[0]].concat()),
            ("led by a zero", [&[0], &signature[..]].concat()),
            ("twice", [&signature[..], &signature[..]].concat()),
            ("of another token", other),
        ] {
            let name = format!("{algorithm:?} signature: {name}");
            service.withstands(&name, &forged(&attack), &control, "auth.invalid", Refuses);
        }
    }
}

#[test]
fn one_key_serves_one_algorithm_also_within_its_family() {
    use Algorithm::{ES256, ES384, EdDSA, HS256, HS384, HS512, PS256, PS384, RS256, RS384, RS512};
    for (algorithm, others) in [
        (RS256, &[RS384, RS512, PS256, PS384, HS256, ES256][..]),
        (HS256, &[HS384, HS512, RS256, EdDSA][..]),
        (ES256, &[ES384, HS256, EdDSA][..]),
        (EdDSA, &[ES256, HS256, RS256][..]),
    ] {
        let service = Service::of(algorithm);
        let control = sign(&plain(algorithm), &claims(), algorithm);
        for other in others {
            // Signed by who may sign, in the other algorithm; then with only the label changed.
            for by in [*other, algorithm] {
                let attack = sign(&plain(*other), &claims(), by);
                let name = format!("{other:?} token, signed by {by:?}, for a key of {algorithm:?}");
                service.withstands(&name, &attack, &control, "auth.invalid", Refuses);
            }
        }
    }
}

#[test]
fn a_public_key_in_any_of_its_forms_is_no_secret() {
    // CVE-2016-10555, CVE-2022-29217, CVE-2024-33663: the attacker knows the public key.
    for (algorithm, name) in [
        (Algorithm::RS256, "rsa.pub"),
        (Algorithm::RS256, "rsa.pkcs1.pub"),
        (Algorithm::ES256, "p256.pub"),
        (Algorithm::EdDSA, "ed25519.pub"),
    ] {
        let service = Service::of(algorithm);
        let control = sign(&plain(algorithm), &claims(), algorithm);
        let pem = pem(name);
        let text = std::str::from_utf8(&pem).unwrap();
        let der = spki::Document::from_pem(text).unwrap().1.to_vec();
        let unbroken = text.trim_end().as_bytes().to_vec();
        let raw = der[der.len() - 32..].to_vec();
        for secret in [pem.clone(), unbroken, der, raw, vec![]] {
            for hash in [Algorithm::HS256, Algorithm::HS512] {
                let header = URL_SAFE_NO_PAD.encode(plain(hash).to_string());
                let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims().to_string()));
                let attack = seal(&message, hash, &EncodingKey::from_secret(&secret));
                let name = format!("{name} as a secret of {} bytes", secret.len());
                service.withstands(&name, &attack, &control, "auth.invalid", Refuses);
            }
        }
    }
}

#[test]
fn a_kid_is_a_name_and_nothing_else() {
    let service = Service::named(Algorithm::HS256, "key-1");
    let token = |kid: &str| hs256(&json!({"alg": "HS256", "kid": kid}), &claims());
    let control = token("key-1");
    for kid in [
        "",
        "key-2",
        "KEY-1",
        "key-1 ",
        " key-1",
        "key-1\u{0}",
        "key-1\n",
        "./key-1",
        "../../../../dev/null",
        "/dev/null",
        "key-2' UNION SELECT 'key-1",
        "key-1' OR '1'='1",
        "$(key-1)",
        "|key-1",
        "http://127.0.0.1:1/key-1",
        "key\u{2010}1",
        "ｋey-1",
    ] {
        // jsonwebtoken leaves the choice of the key to its caller.
        service.withstands(kid, &token(kid), &control, "auth.invalid", Accepts);
    }
    // The file that a traversal would find is empty, and so is the secret it would be.
    let message = token("../../../../dev/null");
    let message = message.rsplit_once('.').unwrap().0;
    let attack = seal(message, Algorithm::HS256, &EncodingKey::from_secret(b""));
    service.withstands("an empty secret", &attack, &control, "auth.invalid", Refuses);
}

#[test]
fn a_key_that_a_token_brings_along_is_not_used() {
    // CVE-2018-0114. The attacker's pair is that of RFC 8037 appendix A.
    let seed = URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
    let pkcs8 = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
    let attacker = EncodingKey::from_ed_der(&[&pkcs8[..], &seed].concat());
    let jwk = json!({
        "kty": "OKP", "crv": "Ed25519", "kid": "evil",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    });
    // The trap: whoever follows a URL of the header knocks here.
    let trap = TcpListener::bind("127.0.0.1:0").unwrap();
    trap.set_nonblocking(true).unwrap();
    let url = format!("http://{}/jwks.json", trap.local_addr().unwrap());
    let service = Service::of(Algorithm::EdDSA);
    for (name, value) in [
        ("jwk", jwk.clone()),
        ("jku", json!(url)),
        ("x5u", json!(url)),
        ("x5c", json!([URL_SAFE.encode(&seed)])),
        ("x5t", json!("AAAA")),
    ] {
        for kid in [None, Some(json!("evil")), Some(json!(url))] {
            let header = with(plain(Algorithm::EdDSA), name, Some(value.clone()));
            let header = with(header, "kid", kid);
            // Its control says the same, but is signed with our key: the member goes unread.
            let control = sign(&header, &claims(), Algorithm::EdDSA);
            let message = control.rsplit_once('.').unwrap().0;
            let attack = seal(message, Algorithm::EdDSA, &attacker);
            service.withstands(name, &attack, &control, "auth.invalid", Refuses);
        }
    }
    assert_eq!(trap.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "nobody called");

    // The pair is a pair: who trusts it is convinced by the same tokens.
    let trusting =
        JwtVerifierBuilder { keys: vec![JwtKey::jwk(&jwk.to_string()).unwrap()], ..service.ours };
    let message = sign(&plain(Algorithm::EdDSA), &claims(), Algorithm::EdDSA);
    let token = seal(message.rsplit_once('.').unwrap().0, Algorithm::EdDSA, &attacker);
    assert!(verify(&trusting, &token).is_ok());
}

#[test]
fn only_the_compact_serialization_of_three_parts_is_read() {
    let service = Service::of(Algorithm::HS256);
    let control = hs256(&plain(Algorithm::HS256), &claims());
    let parts: Vec<&str> = control.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    let signed = |message: &str| seal(message, Algorithm::HS256, &private(Algorithm::HS256));
    let flattened = json!({"protected": header, "payload": payload, "signature": signature});
    let general = json!({
        "payload": payload, "signatures": [{"protected": header, "signature": signature}],
    });
    for (name, attack) in [
        ("flattened JSON", flattened.to_string()),
        ("general JSON", general.to_string()),
        ("nothing", String::new()),
        ("dots", "..".into()),
        ("one part", header.into()),
        ("two parts", format!("{header}.{payload}")),
        ("two parts, signed", signed(header)),
        ("no signature", format!("{header}.{payload}.")),
        ("a fourth part", format!("{control}.{signature}")),
        ("an empty fourth part", format!("{control}.")),
        ("four parts, signed", signed(&format!("{header}.{payload}.{payload}"))),
        ("five parts, as a JWE", format!("{header}..{payload}.{payload}.{signature}")),
        ("five parts, signed", signed(&format!("{header}...{payload}"))),
        ("many dots", ".".repeat(8000)),
        ("detached payload", format!("{header}..{signature}")),
        ("no header", signed(&format!(".{payload}"))),
        ("its scheme", format!("Bearer {control}")),
        ("quotes", format!("\"{control}\"")),
        ("a space in front", format!(" {control}")),
        ("a space behind", format!("{control} ")),
        ("a line break behind", format!("{control}\n")),
        ("a NUL behind", format!("{control}\0")),
    ] {
        service.withstands(name, &attack, &control, "auth.invalid", Refuses);
    }
}

#[test]
fn a_token_has_one_spelling() {
    let service = Service::of(Algorithm::HS256);
    // Two bytes over, so that a last character has bits to spare; `>` and `?` make `-` and `_`.
    let text = |length: usize| {
        let text = |pad: usize| {
            with(claims(), "pad", Some(json!(format!("~~~>>>???{}", "x".repeat(pad))))).to_string()
        };
        (0..3).map(text).find(|text| text.len() % 3 == length).unwrap()
    };
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256" }"#);
    let payload = URL_SAFE_NO_PAD.encode(text(2));
    let control = sealed(&header, &payload);
    let signature = control.rsplit_once('.').unwrap().1;
    let loose = |part: &str| {
        let last = part.chars().last().unwrap();
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let at = alphabet.find(last).unwrap();
        format!("{}{}", &part[..part.len() - 1], &alphabet[at + 1..at + 2])
    };
    let standard = |part: &str| {
        let other = STANDARD_NO_PAD.encode(URL_SAFE_NO_PAD.decode(part).unwrap());
        assert_ne!(other, part);
        other
    };
    for (name, attack) in [
        ("padded header", sealed(&format!("{header}=="), &payload)),
        ("padded payload", sealed(&header, &format!("{payload}="))),
        ("padded signature", format!("{control}=")),
        ("loose bits in the header", sealed(&loose(&header), &payload)),
        ("loose bits in the payload", sealed(&header, &loose(&payload))),
        ("loose bits in the signature", loose(&control)),
        ("a space in the header", sealed(&format!("{header} "), &payload)),
        ("a line break in the header", sealed(&format!("{header}\r\n"), &payload)),
        ("a space in the payload", sealed(&header, &format!(" {payload}"))),
        ("a space in the signature", control.replace(signature, &format!(" {signature}"))),
        ("the other alphabet in the payload", sealed(&header, &standard(&payload))),
        ("percent encoding", sealed(&header, &payload.replace('_', "%5F"))),
    ] {
        service.withstands(name, &attack, &control, "auth.invalid", Refuses);
    }
}

#[test]
fn json_that_two_parsers_may_read_differently_is_refused() {
    let service = Service::of(Algorithm::HS256);
    let head = r#"{"alg":"HS256"}"#;
    let text = claims().to_string();
    let control = sign_text(head, &text, Algorithm::HS256);
    let payload = |text: &str| sign_text(head, text, Algorithm::HS256);
    let header = |head: &str| sign_text(head, &text, Algorithm::HS256);
    let first = |member: &str| payload(&text.replacen('{', &format!("{{{member},"), 1));
    let deep = |open: &str, close: &str| {
        let deep = format!("\"a\":{}1{}", open.repeat(900), close.repeat(900));
        first(&deep)
    };
    let array = json!([now() + 600, null, "auth0|ada", "https://id.example", "chat"]);
    let mut accepted_alone = 0;
    for (name, attack, alone) in [
        ("tenant_id twice", first(r#""tenant_id":"t_b""#), Accepts),
        ("tenant_id twice, alike", first(r#""tenant_id":"t_a""#), Accepts),
        ("tenant_id twice, once escaped", first(r#""tenant\u005fid":"t_b""#), Accepts),
        ("a name twice, deep inside", first(r#""x":[{"y":{"z":1,"z":2}}]"#), Accepts),
        ("sub twice", first(r#""sub":"eve""#), Refuses),
        ("iss twice", first(r#""iss":"https://evil.example""#), Refuses),
        ("aud twice", first(r#""aud":"billing""#), Refuses),
        ("exp twice", first(r#""exp":1"#), Refuses),
        ("alg twice", header(r#"{"alg":"none","alg":"HS256"}"#), Refuses),
        ("alg twice, alike", header(r#"{"alg":"HS256","alg":"HS256"}"#), Refuses),
        ("kid twice", header(r#"{"alg":"HS256","kid":"a","kid":"b"}"#), Refuses),
        ("unknown member twice", header(r#"{"alg":"HS256","x":1,"x":2}"#), Accepts),
        ("arrays in arrays", deep("[", "]"), Accepts),
        ("objects in objects", deep("{\"a\":", "}"), Accepts),
        ("claims by position", payload(&array.to_string()), Accepts),
        ("claims in an array", payload(&format!("[{text}]")), Refuses),
        ("claims in a string", payload(&json!(text).to_string()), Refuses),
        ("claims null", payload("null"), Refuses),
        ("no claims", payload(""), Refuses),
        ("a header by position", header(r#"["JWT","HS256"]"#), Refuses),
        ("a header in an array", header(&format!("[{head}]")), Refuses),
        ("text after the claims", payload(&format!("{text}{{}}")), Refuses),
        ("a NUL after the claims", payload(&format!("{text}\0")), Refuses),
        ("a byte order mark", payload(&format!("\u{feff}{text}")), Refuses),
        ("a trailing comma", payload(&text.replace('}', ",}")), Refuses),
        ("single quotes", payload(&text.replace('"', "'")), Refuses),
        ("a comment", payload(&format!("/**/{text}")), Refuses),
    ] {
        service.withstands(name, &attack, &control, "auth.invalid", alone);
        accepted_alone += usize::from(alone == Accepts);
    }
    assert_eq!(accepted_alone, 8);

    // RFC 8725 section 3.7: UTF-8 only.
    let encoded = URL_SAFE_NO_PAD.encode(head);
    let latin: Vec<u8> = text.bytes().map(|byte| if byte == b'|' { 0xe9 } else { byte }).collect();
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (name, bytes) in [("Latin 1", latin), ("UTF-16", wide)] {
        let attack = sealed(&encoded, &URL_SAFE_NO_PAD.encode(bytes));
        service.withstands(name, &attack, &control, "auth.invalid", Refuses);
    }
    // Nor is strictness deafness: white space and escapes are JSON.
    let spaced = header("{ \"alg\" :\r\n\t\"\\u0048S256\" }\n");
    assert!(service.ours(&spaced).is_ok());
    assert_eq!(service.alone(&spaced), Accepts);
}

#[test]
fn a_token_is_measured_before_it_is_read() {
    let service = Service::of(Algorithm::HS256);
    let token = |pad: usize| {
        let claims = with(claims(), "pad", Some(json!("x".repeat(pad))));
        hs256(&plain(Algorithm::HS256), &claims)
    };
    // The longest that may be, and one letter more.
    let longest = (11_000..13_000).take_while(|pad| token(*pad).len() <= MAX_TOKEN).last().unwrap();
    let (control, attack) = (token(longest), token(longest + 1));
    assert!(control.len() + 1 >= MAX_TOKEN, "{}", control.len());
    service.withstands("a letter too many", &attack, &control, "auth.invalid", Accepts);
    let huge = token(1_000_000);
    service.withstands("a megabyte", &huge, &control, "auth.invalid", Accepts);
    let too_long = |token: &str| {
        let refused = service.ours.clone().build().unwrap().check(token).unwrap_err();
        assert_eq!(refused, TokenError::TooLong { bytes: token.len(), most: MAX_TOKEN });
    };
    too_long(&attack);
    // Whatever it is.
    too_long(&"x".repeat(MAX_TOKEN + 1));
}

#[test]
fn the_longest_token_is_what_was_said_for_each_issuer_and_in_a_cache_as_well() {
    let (short, long) = (1000, 40_000);
    let service = Service::of(Algorithm::HS256);
    let token = |issuer: &str, bytes: usize| {
        let of = |pad: usize| {
            let claims = with(claims(), "pad", Some(json!("x".repeat(pad))));
            hs256(&plain(Algorithm::HS256), &with(claims, "iss", Some(json!(issuer))))
        };
        // Base64 makes four letters of three bytes.
        let token = of((bytes - of(0).len()) / 4 * 3);
        assert!((bytes - 8..=bytes).contains(&token.len()), "{}", token.len());
        token
    };
    let verifier = |issuer: &str, most: usize| {
        let verifier = service.ours.clone().issuer(issuer).max_token_bytes(most).any_tenant();
        #[cfg(feature = "token-cache")]
        let verifier = verifier.cache(super::TokenCache::new(100));
        verifier.build().unwrap()
    };
    let issuers = super::TrustedIssuers::new();
    let code = |token: &str| {
        let request = http::Request::builder();
        let request = request.header("authorization", format!("Bearer {token}"));
        match issuers.authenticate(&AuthRequest::of(&request.body(()).unwrap())) {
            Verdict::Ready(verdict) => verdict.map(drop).map_err(|refused| {
                let why = std::error::Error::source(&refused).unwrap().to_string();
                (refused.code(), why.contains("max_token_bytes"))
            }),
            Verdict::Later(_) => panic!("there is nothing to wait for"),
        }
    };
    let too_long = Err(("auth.invalid", true));
    // Nobody is trusted yet.
    assert_eq!(code(&token("a", short)), Err(("auth.invalid", false)));
    assert_eq!(code(&token("a", long)), too_long);
    issuers.insert(verifier("a", short)).unwrap();
    assert_eq!(code(&token("a", short)), Ok(()));
    assert_eq!(code(&token("a", 2 * short)), too_long);
    issuers.insert(verifier("b", long)).unwrap();
    for _ in 0..2 {
        assert_eq!(code(&token("b", long)), Ok(()));
        assert_eq!(code(&token("a", long)), too_long, "each measures its own");
    }
    assert_eq!(code(&token("b", long + 16)), too_long);
    assert!(issuers.remove("b"));
    assert_eq!(code(&token("b", long)), too_long);
    assert_eq!(code(&token("b", short)), Err(("auth.invalid", false)), "it is trusted no more");
    let none = verifier("a", 0);
    assert!(matches!(none.check("a.b.c"), Err(TokenError::TooLong { bytes: 5, most: 0 })));
}
