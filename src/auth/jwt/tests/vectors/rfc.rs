//! The examples of RFC 7515 and RFC 8037.

use super::{
    super::support::{backends, builder, pem},
    support::opens,
};
use crate::{
    auth::jwt::{ClaimNames, JwtKey, JwtVerifier, token_error::TokenError},
    testing::ManualClock,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

/// The payload of RFC 7515 appendices A.1 to A.3 and A.5.
const JOE: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

/// The examples: the source, the JWK as in the source (RSA without its factors), the header, the payload and
/// the signature.
const EXAMPLES: [(&str, &str, [&str; 3]); 4] = [
    (
        "RFC 7515 A.1, HS256",
        r#"{"kty":"oct",
            "k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#,
        [
            "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9",
            JOE,
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        ],
    ),
    (
        "RFC 7515 A.2, RS256",
        r#"{"kty":"RSA",
            "n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
            "e":"AQAB",
            "d":"Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol2NXOoAJe46sui395IW_GO-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X0M_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRuOopznQ"}"#,
        [
            "eyJhbGciOiJSUzI1NiJ9",
            JOE,
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
        ],
    ),
    (
        "RFC 7515 A.3, ES256",
        r#"{"kty":"EC","crv":"P-256",
            "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
            "d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#,
        [
            "eyJhbGciOiJFUzI1NiJ9",
            JOE,
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        ],
    ),
    (
        "RFC 8037 A.1 and A.4, Ed25519",
        r#"{"kty":"OKP","crv":"Ed25519",
            "d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
            "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
        [
            "eyJhbGciOiJFZERTQSJ9",
            "RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        ],
    ),
];

/// The public key of a JWK from an RFC. A verifier refuses the private key.
fn public_half(example: &str, jwk: &str) -> JwtKey {
    let mut jwk: Value = serde_json::from_str(jwk).unwrap();
    if jwk["kty"] != "oct" {
        let refusal = JwtKey::jwk(&jwk.to_string()).unwrap_err().to_string();
        assert!(refusal.contains("private"), "{example}: {refusal}");
        assert!(JwtKey::jwks(&format!("{{\"keys\":[{jwk}]}}")).is_err(), "{example}");
        jwk.as_object_mut().unwrap().remove("d").unwrap();
    }
    JwtKey::jwk(&jwk.to_string()).unwrap()
}

#[test]
fn the_rfc_examples_verify_and_no_example_with_a_flipped_bit_does() {
    for (example, jwk, parts) in EXAMPLES {
        let key = public_half(example, jwk);
        for backend in backends() {
            let verifier = JwtVerifier::builder().keys([key.clone()]).backend(backend);
            let verifier = verifier.build().unwrap();
            assert!(opens(&verifier, &parts.join(".")), "{example} on {backend:?}");
            let mut forgeries = 0;
            for part in 0..3 {
                let bytes = URL_SAFE_NO_PAD.decode(parts[part]).unwrap();
                // Flip only some bits. Long parts get fewer flips, because RSA is slow in a debug build.
                for bit in (0..bytes.len() * 8).step_by(if bytes.len() > 100 { 61 } else { 5 }) {
                    let mut bytes = bytes.clone();
                    bytes[bit / 8] ^= 1 << (bit % 8);
                    let mut forged = parts.map(str::to_owned);
                    forged[part] = URL_SAFE_NO_PAD.encode(bytes);
                    let forged = forged.join(".");
                    assert!(!opens(&verifier, &forged), "{example} on {backend:?}: {forged}");
                    forgeries += 1;
                }
            }
            assert!(forgeries > 100, "{example}: {forgeries} forgeries");
        }
    }
}

#[test]
fn the_claims_of_the_rfc_examples_pass_at_the_time_of_the_examples() {
    // The claims contain an issuer but no subject, and they expired in 2011.
    for (example, jwk, parts) in &EXAMPLES[..3] {
        for backend in backends() {
            let verifier = |issuer: &str, now: u64| {
                let verifier = JwtVerifier::builder()
                    .key(public_half(example, jwk))
                    .backend(backend)
                    .issuer(issuer)
                    .claims(ClaimNames::default().subject("/iss"))
                    .clock(ManualClock::at(now).shared());
                verifier.build().unwrap()
            };
            let token = parts.join(".");
            let auth = verifier("joe", 1_300_819_379).verify(&token).unwrap();
            assert_eq!(auth.subject().as_str(), "joe", "{example}");
            let code = |verifier: JwtVerifier| verifier.verify(&token).unwrap_err().code();
            assert_eq!(code(verifier("joe", 1_300_819_440)), "auth.expired", "{example}");
            assert_eq!(code(verifier("jim", 1_300_819_379)), "auth.invalid", "{example}");
        }
    }
}

#[test]
fn the_rfc_examples_without_a_signature_or_with_another_curve_are_refused() {
    // RFC 7515 A.4: ES512. This crate does not verify P-521, so both the key and the `alg` are unknown.
    let jwk = r#"{"kty":"EC","crv":"P-521",
        "x":"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",
        "y":"ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2"}"#;
    assert!(JwtKey::jwk(jwk).is_err());
    let es512 = "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn";
    // RFC 7515 A.5: `{"alg":"none"}`.
    let none = format!("eyJhbGciOiJub25lIn0.{JOE}.");
    let p256 = JwtKey::public_pem(pem("p256.pub")).unwrap();
    for backend in backends() {
        let verifier = builder().key(p256.clone()).backend(backend).build().unwrap();
        for token in [es512, &none] {
            let refusal = verifier.check(token).unwrap_err();
            assert_eq!(refusal, TokenError::Header("its `alg` is unknown or missing"));
        }
    }
}
