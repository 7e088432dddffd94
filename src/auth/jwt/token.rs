//! A token taken apart, before anything of it is believed.

use super::{
    MAX_KID, TokenError,
    json::{Object, string},
};
use base64::Engine as _;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
use base64::engine::general_purpose::GeneralPurpose as Base64;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use base64::engine::{Simd as Base64, general_purpose::NO_PAD};
use jsonwebtoken::Algorithm;
use std::sync::LazyLock;

/// Base64url without padding, strictly (RFC 7515 section 2), by SIMD where the CPU has it.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
static BASE64URL: LazyLock<Base64> = LazyLock::new(|| Base64::url_safe(NO_PAD));
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
static BASE64URL: LazyLock<Base64> =
    LazyLock::new(|| base64::engine::general_purpose::URL_SAFE_NO_PAD);

/// Longest token that is looked at, in bytes.
pub(super) const MAX_TOKEN: usize = 8 * 1024;

/// The parts of a token in compact form (RFC 7515 section 7.1).
pub(super) struct Token<'a> {
    /// What was signed: header and claims as they were sent.
    message: &'a str,
    header: &'a str,
    claims: &'a str,
    signature: Vec<u8>,
}

#[derive(Clone, Debug)]
pub(super) struct Header {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
    pub(super) is_access_token: bool,
}

impl<'a> Token<'a> {
    pub(super) fn parse(token: &'a str) -> Result<Self, TokenError> {
        let (message, header, claims, signature) = parts(token)?;
        // The alphabet has no dot, so a fourth part is refused here at the latest.
        let signature = decode(signature, Vec::with_capacity(claims.len()))?;
        Ok(Self { message, header, claims, signature })
    }

    /// The header as it was sent: what is the same text is the same header.
    pub(super) fn header_text(&self) -> &'a str {
        self.header
    }

    pub(super) fn header(&self) -> Result<Header, TokenError> {
        Header::read(&object(&decode(self.header, Vec::new())?)?)
    }

    pub(super) fn message(&self) -> &[u8] {
        self.message.as_bytes()
    }

    pub(super) fn signature(&self) -> &Vec<u8> {
        &self.signature
    }

    /// The text of what it claims. To be believed only once the signature verifies; it is decoded
    /// into the signature's buffer.
    pub(super) fn into_claims(self) -> Result<Vec<u8>, TokenError> {
        decode(self.claims, self.signature)
    }
}

/// Who the token says that issued it: a hint whose keys to try, and nothing to be believed.
pub(super) fn claimed_issuer(token: &str) -> Result<Option<String>, TokenError> {
    #[derive(serde::Deserialize)]
    struct Claims {
        iss: Option<String>,
    }

    let (_, _, claims, _) = parts(token)?;
    // The verifier reads all of it, strictly. Claims in an array are none.
    match serde_json::from_slice(&decode(claims, Vec::new())?) {
        Ok(Claims { iss }) => Ok(iss),
        Err(_) => Err(TokenError::Malformed("its claims are no object, or its `iss` no string")),
    }
}

fn parts(token: &str) -> Result<(&str, &str, &str, &str), TokenError> {
    if token.len() > MAX_TOKEN {
        return Err(TokenError::TooLong);
    }
    let not_three = TokenError::Malformed("it has no three parts");
    let Some((message, signature)) = token.rsplit_once('.') else { return Err(not_three) };
    let Some((header, claims)) = message.split_once('.') else { return Err(not_three) };
    Ok((message, header, claims, signature))
}

/// Decodes into `room`, in place of what it held.
fn decode(part: &str, mut room: Vec<u8>) -> Result<Vec<u8>, TokenError> {
    room.clear();
    let decoded = BASE64URL.decode_vec(part, &mut room);
    decoded.map_err(|_| TokenError::Malformed("a part is not base64url"))?;
    Ok(room)
}

pub(super) fn object(text: &[u8]) -> Result<Object<'_>, TokenError> {
    Object::parse(text).map_err(|_| TokenError::Malformed("a part is no strict JSON object"))
}

impl Header {
    /// Reads a JOSE header (RFC 7515 section 4).
    fn read(header: &Object<'_>) -> Result<Self, TokenError> {
        // RFC 7515 section 4.1.11: we implement no extension, so none may be critical. An unencoded
        // payload (RFC 7797) or a compressed one would mean something else than what we read.
        if ["crit", "b64", "zip", "enc", "cty"].iter().any(|name| header.get(name).is_some()) {
            return Err(TokenError::Header("it asks for an extension"));
        }
        // RFC 8725 section 3.11: an ID token or a logout token of the same issuer is no access
        // token.
        let is_access_token = match header.get("typ") {
            None => false,
            Some(typ) => {
                let typ = string(typ).unwrap_or_default();
                let prefix = "application/";
                let typ = match typ.get(..prefix.len()) {
                    Some(start) if start.eq_ignore_ascii_case(prefix) => {
                        typ.get(prefix.len()..).unwrap_or_default()
                    }
                    _ => &*typ,
                };
                if !typ.eq_ignore_ascii_case("jwt") && !typ.eq_ignore_ascii_case("at+jwt") {
                    return Err(TokenError::Header("its `typ` is not that of an access token"));
                }
                typ.eq_ignore_ascii_case("at+jwt")
            }
        };
        let algorithm = header.get("alg").and_then(string).and_then(|alg| alg.parse().ok());
        let algorithm = algorithm.ok_or(TokenError::Header("its `alg` is unknown or missing"))?;
        let kid = match header.get("kid").map(string) {
            None => None,
            Some(Some(kid)) if kid.len() <= MAX_KID => Some(kid.into_owned()),
            Some(_) => return Err(TokenError::Header("its `kid` is no string or too long")),
        };
        Ok(Self { algorithm, kid, is_access_token })
    }
}
