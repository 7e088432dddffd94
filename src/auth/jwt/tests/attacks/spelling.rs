//! The same token in other encodings.

use super::{
    super::support::{minter, private, sign_text},
    service::{Accepts, Refuses, Service, claims, hs256, now, plain, sealed, with},
};
use crate::auth::jwt::Algorithm;
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use serde_json::json;

#[test]
fn only_the_compact_serialization_with_three_parts_is_accepted() {
    let service = Service::of(Algorithm::HS256);
    let control = hs256(&plain(Algorithm::HS256), &claims());
    let parts: Vec<&str> = control.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    let minter = minter(Algorithm::HS256, private(Algorithm::HS256));
    let signed = |message: &str| minter.seal(message);
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
        ("the scheme in front", format!("Bearer {control}")),
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
fn a_token_has_only_one_valid_encoding() {
    let service = Service::of(Algorithm::HS256);
    // With this length, the last letter of the base64 has unused bits. `>` and `?` give the letters `-` and
    // `_`.
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
    // A decoder that skips the invalid character would read the same bytes.
    let within = |part: &str| format!("{}?{}", &part[..8], &part[8..]);
    let broken = |part: &str| format!("{}\n{}", &part[..8], &part[8..]);
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
        ("a stray letter within the header", sealed(&within(&header), &payload)),
        ("a stray letter within the payload", sealed(&header, &within(&payload))),
        ("a stray letter within the signature", control.replace(signature, &within(signature))),
        ("a line break within the signature", control.replace(signature, &broken(signature))),
        ("the other alphabet in the payload", sealed(&header, &standard(&payload))),
        ("percent encoding", sealed(&header, &payload.replace('_', "%5F"))),
    ] {
        service.withstands(name, &attack, &control, "auth.invalid", Refuses);
    }
}

#[test]
fn json_that_parsers_may_read_differently_is_refused() {
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
    // White space and escapes are valid JSON, so they pass.
    let spaced = header("{ \"alg\" :\r\n\t\"\\u0048S256\" }\n");
    assert!(service.ours(&spaced).is_ok());
    assert_eq!(service.alone(&spaced), Accepts);
}
