//! Recognises keys and certificates that somebody uses as an HMAC secret by mistake.
//!
//! If a public key is the HMAC secret, everybody can sign tokens (RFC 8725 section 2.1). So any text or
//! structure that contains a key is refused, whether the key is public or private.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

/// Base64 in both alphabets, with or without padding.
const BASE64: [GeneralPurpose; 2] = {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    [
        GeneralPurpose::new(&alphabet::STANDARD, config),
        GeneralPurpose::new(&alphabet::URL_SAFE, config),
    ]
};

/// The first letters of the key types of OpenSSH public keys (RFC 4253 section 6.6, RFC 5656, RFC 8709).
const SSH: [&str; 5] = ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-sha2-", "rsa-sha2-"];

/// Whether the bytes are a key or a certificate: PEM, DER, a JWK, a JWK set or an OpenSSH key. They may also
/// be the base64 of one of these.
pub(super) fn is_key_material(bytes: &[u8]) -> bool {
    if is_plain_key(bytes) {
        return true;
    }
    let text: Vec<u8> = bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    BASE64.iter().any(|base64| base64.decode(&text).is_ok_and(|bytes| is_plain_key(&bytes)))
}

fn is_plain_key(bytes: &[u8]) -> bool {
    if is_der(bytes) || is_ssh_blob(bytes) {
        return true;
    }
    // UTF-16 has zero bytes between ASCII characters, and begins with a byte order mark.
    let text: Vec<u8> =
        bytes.iter().copied().filter(|byte| !matches!(byte, 0 | 0xFE | 0xFF)).collect();
    let text = String::from_utf8_lossy(&text);
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{FEFF}');
    // PEM (RFC 7468 section 2), SSH2 (RFC 4716 section 3.2), and PuTTY files.
    text.contains("-----BEGIN ")
        || text.contains("---- BEGIN ")
        || text.contains("PuTTY-User-Key-File-")
        // A JWK (RFC 7517 section 4.1), also inside a set or another document.
        || text.contains("\"kty\"")
        || is_ssh_line(text)
}

/// Whether the text has a line like in `authorized_keys` or in a `.pub` file: a key type, and then the key in
/// base64.
fn is_ssh_line(text: &str) -> bool {
    let mut words = text.split_whitespace().peekable();
    while let Some(word) = words.next() {
        let next = words.peek().is_some_and(|next| next.starts_with("AAAA"));
        if next && SSH.iter().any(|name| word.starts_with(name)) {
            return true;
        }
    }
    false
}

/// Whether the bytes are the decoded key of such a line: strings with length prefixes. The first string is
/// the key type (RFC 4253 section 6.6).
fn is_ssh_blob(bytes: &[u8]) -> bool {
    bytes.split_at_checked(4).is_some_and(|(length, rest)| {
        matches!(length, [0, 0, 0, 1..=64])
            && SSH.iter().any(|name| rest.starts_with(name.as_bytes()))
    })
}

/// Whether the bytes are one DER sequence that begins like a key or a certificate.
///
/// A text is never such a sequence: one of the tags that are compared is not a printable character.
fn is_der(bytes: &[u8]) -> bool {
    let Some((0x30, body, after)) = element(bytes) else { return false };
    // An editor may have added a line break.
    if after.len() > 2 || !are_elements(body) {
        return false;
    }
    // PKCS #1, #7, #8, #12 and SEC 1 begin with a number or an object identifier. A SubjectPublicKeyInfo, a
    // certificate and a certificate request begin with an inner sequence, so look at its first element.
    let tag = match element(body) {
        Some((0x30, inner, _)) => inner.first(),
        _ => body.first(),
    };
    matches!(tag, Some(0x02 | 0x06 | 0xA0))
}

/// Whether the bytes are a series of complete DER elements.
fn are_elements(mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        let Some((_, _, after)) = element(bytes) else { return false };
        bytes = after;
    }
    true
}

/// The tag and the value of the first DER element (X.690 section 8.1), and the bytes after it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, length], rest) = bytes.split_first_chunk::<2>()?;
    let (length, rest) = match length {
        0..=0x7F => (usize::from(length), rest),
        0x81..=0x84 => {
            let (length, rest) = rest.split_at_checked(usize::from(length & 0x0F))?;
            let number = length.iter().fold(0_u32, |sum, byte| (sum << 8) | u32::from(*byte));
            (usize::try_from(number).ok()?, rest)
        }
        _ => return None,
    };
    let (value, after) = rest.split_at_checked(length)?;
    Some((tag, value, after))
}
