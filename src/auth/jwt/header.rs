//! The JOSE header of a token (RFC 7515 section 4).

use super::{algorithm::Algorithm, limits::MAX_KID, token_error::TokenError};
use crate::json::{Json, Object};

#[derive(Clone, Debug)]
pub(super) struct Header {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
    pub(super) is_access_token: bool,
}

impl Header {
    /// Reads a JOSE header (RFC 7515 section 4).
    pub(super) fn read(header: &Object<'_>) -> Result<Self, TokenError> {
        // RFC 7515 section 4.1.11: this crate implements no extension, so it must refuse critical ones. It
        // would also misread an unencoded payload (RFC 7797) or a compressed payload.
        if ["crit", "b64", "zip", "enc", "cty"].iter().any(|name| header.get(name).is_some()) {
            return Err(TokenError::Header(
                "it needs an extension that this crate does not implement",
            ));
        }
        // RFC 8725 section 3.11: refuse a token that the same issuer made for another purpose, such as a
        // logout token.
        let is_access_token = match header.get("typ") {
            None => false,
            Some(typ) => {
                let typ = typ.string().unwrap_or_default();
                let prefix = "application/";
                let typ = match typ.get(..prefix.len()) {
                    Some(start) if start.eq_ignore_ascii_case(prefix) => {
                        typ.get(prefix.len()..).unwrap_or_default()
                    }
                    _ => &*typ,
                };
                if !typ.eq_ignore_ascii_case("jwt") && !typ.eq_ignore_ascii_case("at+jwt") {
                    return Err(TokenError::Header("its `typ` is neither `JWT` nor `at+jwt`"));
                }
                typ.eq_ignore_ascii_case("at+jwt")
            }
        };
        let algorithm = header.get("alg").and_then(Json::string);
        let algorithm = algorithm.and_then(|alg| Algorithm::from_name(&alg));
        let algorithm = algorithm.ok_or(TokenError::Header("its `alg` is unknown or missing"))?;
        let kid = match header.get("kid").map(Json::string) {
            None => None,
            Some(Some(kid)) if kid.len() <= MAX_KID => Some(kid.into_owned()),
            Some(_) => return Err(TokenError::Header("its `kid` is not a string or is too long")),
        };
        Ok(Self { algorithm, kid, is_access_token })
    }
}
