//! Keys that are refused when they are read, or when a verifier is built.

use super::support::{SECRET, backends, builder, der, jwks, pem, public, some_rsa};
use crate::auth::jwt::{
    Algorithm, ClaimNames, JwtConfigError, JwtKey, JwtVerifier, JwtVerifierBuilder,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

#[test]
fn a_key_or_a_certificate_is_refused_as_a_secret() {
    use std::hash::{Hash as _, Hasher as _};

    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    let names = [
        "rsa.pub",
        "rsa.pkcs1.pub",
        "p256.pub",
        "p384.pub",
        "p521.pub",
        "ed25519.pub",
        "rsa",
        "p256",
        "ed25519",
        "p256.cert",
    ];
    let mut keys = Vec::new();
    for name in names {
        let pem = String::from_utf8(pem(name)).unwrap();
        keys.extend([
            pem.clone().into_bytes(),
            format!(" \r\n\t{pem}").into_bytes(),
            format!("\u{feff}{pem}").into_bytes(),
            format!("# our key\n{pem}").into_bytes(),
            pem.replace('\n', "\\n").into_bytes(),
            pem.replace('\n', "").into_bytes(),
            [&[0xFF, 0xFE][..], &pem.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()]
                .concat(),
            STANDARD.encode(&pem).into_bytes(),
            der(name),
            [&der(name)[..], b"\r\n"].concat(),
            STANDARD.encode(der(name)).into_bytes(),
            URL_SAFE_NO_PAD.encode(der(name)).into_bytes(),
            pem.lines()
                .filter(|line| !line.starts_with('-'))
                .collect::<Vec<_>>()
                .join("\r\n")
                .into_bytes(),
        ]);
    }
    let ssh =
        [&[0, 0, 0, 7][..], b"ssh-rsa", &[0, 0, 0, 3, 1, 0, 1, 0, 0, 1, 0], &[9; 256]].concat();
    let ssh = STANDARD.encode(ssh);
    let jwk =
        r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x"}"#;
    for text in [
        jwk.to_owned(),
        format!("\u{feff}\n{{\"keys\":[{jwk}]}}"),
        format!("[{jwk}]"),
        URL_SAFE.encode(jwk),
        format!("ssh-rsa {ssh} ada@example"),
        format!("\n# ada\nrestrict,command=\"x y\" ssh-rsa {ssh}"),
        ssh,
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJmXoqh".to_owned(),
        "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTY".to_owned(),
        "---- BEGIN SSH2 PUBLIC KEY ----\nComment: x\nAAAA\n---- END SSH2 PUBLIC KEY ----"
            .to_owned(),
        "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjE".to_owned(),
        "-----BEGIN WHATEVER-----\nand no end".to_owned(),
    ] {
        keys.push(text.into_bytes());
    }
    for key in keys {
        let shown = String::from_utf8_lossy(&key).into_owned();
        let refused = JwtKey::hmac(Algorithm::HS256, &key).expect_err(&shown).to_string();
        assert!(
            refused.contains("not a secret") && refused.contains("public_pem"),
            "{shown}: {refused}"
        );
        let jwk = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode(&key)}).to_string();
        let refused = JwtKey::jwk(&jwk).expect_err(&shown).to_string();
        assert!(refused.contains("not a secret"), "{shown}: {refused}");
    }
    // Random secrets pass: as bytes, in hex and in base64.
    let hash = |i: u32| -> Vec<u8> {
        let hash = |part: u32| {
            let mut hasher = std::hash::DefaultHasher::new();
            (i, part).hash(&mut hasher);
            hasher.finish().to_be_bytes()
        };
        (0..8).flat_map(hash).collect()
    };
    for i in 0..20_000 {
        let bytes = hash(i);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        for secret in [&bytes[..], hex.as_bytes(), STANDARD.encode(&bytes).as_bytes()] {
            assert!(JwtKey::hmac(Algorithm::HS512, secret).is_ok(), "{i}");
        }
        assert!(JwtKey::hmac(Algorithm::HS256, &bytes[..32]).is_ok(), "{i}");
    }
    for secret in [
        "0".repeat(50),
        "02".repeat(40),
        "0".repeat(98),
        "ssh-rsa, and more than thirty-two".into(),
    ] {
        assert!(JwtKey::hmac(Algorithm::HS256, &secret).is_ok(), "{secret}");
    }
}

#[test]
fn rsa_keys_have_a_maximum_length_that_can_be_raised() {
    let e = |e: &str| {
        let mut jwk = some_rsa(2048, 0);
        jwk["e"] = json!(e);
        jwk
    };
    for backend in backends() {
        let build = |jwk: &Value, backend| {
            let key = JwtKey::jwk(&jwk.to_string()).unwrap();
            JwtVerifierBuilder { keys: vec![key], ..builder() }.backend(backend).build()
        };
        assert!(build(&some_rsa(4096, 0), backend).is_ok());
        for bits in [4104, 8192, 16_384, 65_536] {
            let refused = build(&some_rsa(bits, 0), backend).unwrap_err().to_string();
            assert!(refused.contains("with_max_rsa_bits"), "{refused}");
        }
        assert!(build(&some_rsa(16_384, 0), backend.with_max_rsa_bits(usize::MAX)).is_err());
        assert!(build(&some_rsa(4096, 0), backend.with_max_rsa_bits(3072)).is_err());
        let raised = build(&some_rsa(8192, 0), backend.with_max_rsa_bits(8192));
        assert_eq!(raised.is_ok(), format!("{backend:?}") == "aws-lc-rs", "{backend:?}");
        // The exponent 2^32 + 1, and longer exponents.
        for huge in ["AQAAAAE", "AQAAAAAAAAAB", &"_".repeat(340)] {
            assert!(build(&e(huge), backend).is_err(), "{huge}");
        }
    }
}

#[test]
fn unusable_keys_are_refused_before_any_token() {
    let set = jwks();
    let jwk = |change: &dyn Fn(&mut Value)| {
        let mut jwk = set["keys"][0].clone();
        change(&mut jwk);
        JwtKey::jwk(&jwk.to_string())
    };
    assert!(jwk(&|_| {}).is_ok());
    assert!(jwk(&|k| k["x"] = json!("AAAA")).is_err(), "too short: one backend would panic");
    assert!(jwk(&|k| k["x"] = json!("A".repeat(86))).is_err(), "too long");
    assert!(jwk(&|k| k["x"] = json!("=")).is_err());
    assert!(jwk(&|k| k["d"] = json!("AAAA")).is_err(), "private");
    assert!(jwk(&|k| k["alg"] = json!("HS256")).is_err(), "another family");
    assert!(jwk(&|k| k["alg"] = json!("ES512")).is_err());
    assert!(jwk(&|k| k["crv"] = json!("Ed448")).is_err());
    assert!(jwk(&|k| k["use"] = json!("enc")).is_err());
    assert!(jwk(&|k| k["key_ops"] = json!(["sign"])).is_err());
    assert!(jwk(&|k| k["key_ops"] = json!(["verify"])).is_ok());
    assert!(jwk(&|k| k["kid"] = json!(1)).is_err());
    assert!(JwtKey::jwk(r#"{"kty":"oct","k":"c2hvcnQ"}"#).is_err(), "a short secret");
    assert!(JwtKey::jwks("{}").is_err());
    let nothing = JwtKey::jwks(r#"{"keys":[{"kty":"x","kid":"odd"}]}"#).unwrap_err();
    assert!(nothing.to_string().contains(r#"["odd"]: the JWK is of an unknown kind"#), "{nothing}");
    let empty = JwtKey::jwks(r#"{"keys":[]}"#).unwrap_err().to_string();
    assert!(empty.contains("the set is empty"), "{empty}");

    assert!(JwtKey::hmac(Algorithm::HS256, "").is_err());
    assert!(JwtKey::hmac(Algorithm::HS512, SECRET).is_err(), "54 bytes are fewer than 64");
    assert!(JwtKey::hmac(Algorithm::RS256, SECRET).is_err());
    for private in ["rsa", "p256", "ed25519"] {
        let error = JwtKey::public_pem(pem(private)).unwrap_err().to_string();
        assert!(error.contains("private"), "{error}");
    }
    assert!(JwtKey::public_pem(pem("p521.pub")).is_err());
    assert!(JwtKey::public_pem("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----").is_err());
    for garbage in
        [&b""[..], b"\xff", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"]
    {
        assert!(JwtKey::public_pem(garbage).is_err());
        assert!(JwtKey::public_der(garbage).is_err());
    }
    assert!(public("rsa.pub").with_algorithm(Algorithm::ES256).is_err());

    for backend in backends() {
        let build = |key: JwtKey| builder().keys([key]).backend(backend).build();
        assert!(build(public("rsa1024.pub")).is_err(), "{backend:?}: too short");
        let small_exponent = json!({
            "kty": "RSA", "n": URL_SAFE_NO_PAD.encode([0xff; 256]), "e": "Aw",
        });
        assert!(build(JwtKey::jwk(&small_exponent.to_string()).unwrap()).is_err());
    }
    assert!(matches!(JwtVerifier::builder().build(), Err(JwtConfigError::NoKey)));
    let wrong = builder().claims(ClaimNames::default().tenant("tenant_id"));
    assert!(matches!(wrong.build(), Err(JwtConfigError::ClaimName(_))));
}

#[test]
fn secrets_do_not_show_in_debug() {
    let verifier = builder().build().unwrap();
    let shown = format!("{:?} {verifier:?}", builder());
    let secret = std::str::from_utf8(SECRET).unwrap();
    assert!(!shown.contains(secret) && !shown.contains(&format!("{SECRET:?}")), "{shown}");
}
