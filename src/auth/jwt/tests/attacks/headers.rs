//! Headers that change the meaning of the signed bytes, or that contain a key.

use super::{
    super::support::{minter, sign, verify},
    service::{Accepts, Member, Refuses, Service, claims, hs256, plain, with},
};
use crate::auth::jwt::{Algorithm, JwtKey, JwtVerifierBuilder};
use base64::{
    Engine as _,
    engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD},
};
use jsonwebtoken::EncodingKey;
use serde_json::{Value, json};
use std::{io::ErrorKind, net::TcpListener};

#[test]
fn header_members_that_change_the_meaning_of_the_token_are_refused() {
    let service = Service::of(Algorithm::HS256);
    let some = |value: Value| Some(value);
    let table: Vec<Member> = vec![
        // RFC 7515 section 4.1.11: an implementation that does not know an extension must refuse it.
        ("crit", some(json!(["x"])), None, "unknown", Accepts),
        ("crit", some(json!(["exp"])), None, "a claim's name", Accepts),
        ("crit", some(json!(["alg"])), None, "a registered name", Accepts),
        ("crit", some(json!(["b64"])), None, "RFC 7797 without its member", Accepts),
        ("crit", some(json!([])), None, "empty", Accepts),
        ("crit", some(Value::Null), None, "null", Accepts),
        ("crit", some(json!("x")), None, "a string", Refuses),
        // RFC 7797 changes how the payload is read. RFC 8725 section 3.6 advises against compression.
        ("b64", some(json!(false)), None, "unencoded payload", Accepts),
        ("b64", some(json!(true)), None, "the default value", Accepts),
        ("zip", some(json!("DEF")), None, "compressed", Accepts),
        ("enc", some(json!("A128GCM")), None, "encrypted", Accepts),
        ("cty", some(json!("JWT")), None, "nested", Accepts),
        // RFC 8725 section 3.11: the same issuer and key made the token for another purpose.
        ("typ", some(json!("dpop+jwt")), some(json!("at+jwt")), "RFC 9449", Accepts),
        ("typ", some(json!("logout+jwt")), some(json!("JWT")), "OIDC logout", Accepts),
        ("typ", some(json!("secevent+jwt")), some(json!("jwt")), "RFC 8417", Accepts),
        ("typ", some(json!("id_token+jwt")), None, "unknown", Accepts),
        ("typ", some(json!("JOSE")), some(json!("application/jwt")), "not a JWT", Accepts),
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
fn a_kid_is_only_compared_and_never_interpreted() {
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
        // jsonwebtoken does not look at the `kid`: its caller chooses the key.
        service.withstands(kid, &token(kid), &control, "auth.invalid", Accepts);
    }
    // A verifier that opens the `kid` as a path would read an empty file, and use it as an empty secret.
    let message = token("../../../../dev/null");
    let message = message.rsplit_once('.').unwrap().0;
    let attack = minter(Algorithm::HS256, EncodingKey::from_secret(b"")).seal(message);
    service.withstands("an empty secret", &attack, &control, "auth.invalid", Refuses);
}

#[test]
fn a_key_in_the_header_of_a_token_is_not_used() {
    // CVE-2018-0114. The attacker has the key pair of RFC 8037 appendix A.
    let seed = URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
    let pkcs8 = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
    let attacker = EncodingKey::from_ed_der(&[&pkcs8[..], &seed].concat());
    let attacker = minter(Algorithm::EdDSA, attacker);
    let jwk = json!({
        "kty": "OKP", "crv": "Ed25519", "kid": "evil",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    });
    // A verifier that follows a URL of the header would connect to this listener.
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
            // The control has the same header, but our key signed it. It passes, because the verifier ignores
            // the member.
            let control = sign(&header, &claims(), Algorithm::EdDSA);
            let message = control.rsplit_once('.').unwrap().0;
            let attack = attacker.seal(message);
            service.withstands(name, &attack, &control, "auth.invalid", Refuses);
        }
    }
    assert_eq!(
        trap.accept().unwrap_err().kind(),
        ErrorKind::WouldBlock,
        "the verifier made no connection"
    );

    // The attack is a good token for a verifier that trusts the key of the attacker.
    let trusting =
        JwtVerifierBuilder { keys: vec![JwtKey::jwk(&jwk.to_string()).unwrap()], ..service.ours };
    let token = attacker.sign(plain(Algorithm::EdDSA), claims());
    assert!(verify(&trusting, &token).is_ok());
}
