//! The head of a request for authenticators, and its bearer token.

use super::{authorization::carries_no_token, token_sources::FoundToken};
use crate::{
    rejection::{Rejection, RejectionKind},
    request::RequestHead,
};
use http::{Extensions, HeaderMap, Method, Request, Uri, header};
use std::fmt;

/// The bytes that a token may contain: `b64token` of RFC 6750 section 2.1.
#[expect(clippy::indexing_slicing, reason = "the compiler evaluates the table")]
const IN_B64TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=');
        byte += 1;
    }
    table
};

/// The head of a request: everything except the body. An [`Authenticator`](super::Authenticator) gets it.
#[derive(Clone, Copy)]
pub struct AuthRequest<'a> {
    head: RequestHead<'a>,
    found: &'a FoundToken,
}

impl<'a> AuthRequest<'a> {
    /// The head of `request`.
    #[must_use]
    pub fn of<B>(request: &'a Request<B>) -> Self {
        Self { head: RequestHead::of(request), found: &FoundToken::Header }
    }

    /// The head of `request`, and the token that the layer removed from it.
    pub(crate) fn with_token<B>(request: &'a Request<B>, found: &'a FoundToken) -> Self {
        Self { head: RequestHead::of(request), found }
    }

    /// The request's method.
    #[must_use]
    pub fn method(&self) -> &'a Method {
        self.head.method
    }

    /// The request's URI.
    #[must_use]
    pub fn uri(&self) -> &'a Uri {
        self.head.uri
    }

    /// The request's headers.
    #[must_use]
    pub fn headers(&self) -> &'a HeaderMap {
        self.head.headers
    }

    /// The extensions that outer layers stored on the request.
    #[must_use]
    pub fn extensions(&self) -> &'a Extensions {
        self.head.extensions
    }

    /// The bearer token of the request.
    ///
    /// It comes from the `Authorization: Bearer` header ([RFC 6750 section 2.1]; the case of the scheme makes
    /// no difference), or from another place that the [`TokenSources`](super::TokenSources) of the layer
    /// allow.
    ///
    /// # Errors
    ///
    /// `auth.missing` if there is no token. A scheme of `Authorization` that carries no token, such as
    /// `Basic`, counts as no token. `auth.invalid` if there are two `Authorization` headers, if the header
    /// has any other scheme, or if the value is not a token.
    ///
    /// [RFC 6750 section 2.1]: https://www.rfc-editor.org/rfc/rfc6750#section-2.1
    pub fn bearer_token(&self) -> Result<&'a str, Rejection> {
        let invalid = |why: &'static str| {
            Rejection::new(RejectionKind::AuthInvalid).with_detail(why).with_source(why)
        };
        let token = match self.found {
            FoundToken::Header => {
                let mut values = self.head.headers.get_all(header::AUTHORIZATION).iter();
                let value = values.next().ok_or(RejectionKind::AuthMissing)?;
                if values.next().is_some() {
                    return Err(invalid("Authorization was sent more than once. Send it once."));
                }
                if carries_no_token(value) {
                    return Err(Rejection::new(RejectionKind::AuthMissing).with_detail(
                        "The scheme of Authorization carries no token. Send 'Authorization: Bearer \
                         <token>' instead, or send the token in another place that this service accepts.",
                    ));
                }
                let bytes = value.as_bytes();
                let end = bytes.iter().position(|b| *b == b' ').unwrap_or(bytes.len());
                let (scheme, token) = bytes.split_at(end);
                if scheme.eq_ignore_ascii_case(b"dpop") {
                    return Err(invalid(
                        "This service does not check the scheme 'DPoP'. Send 'Authorization: Bearer <token>' with a token that is not bound to a key.",
                    ));
                }
                if !scheme.eq_ignore_ascii_case(b"bearer") {
                    if bytes.contains(&b',') {
                        return Err(invalid(
                            "Authorization has more than one value. A proxy may have joined two headers. Send one value.",
                        ));
                    }
                    return Err(invalid(
                        "The scheme of Authorization is not 'Bearer'. Send 'Authorization: Bearer <token>'.",
                    ));
                }
                let spaces = token.iter().take_while(|b| **b == b' ').count();
                token.get(spaces..).unwrap_or_default()
            }
            FoundToken::Elsewhere(token) => token.as_bytes(),
            FoundToken::Nowhere => return Err(RejectionKind::AuthMissing.into()),
        };
        let is_b64token = !token.is_empty()
            && token.iter().all(|b| IN_B64TOKEN.get(usize::from(*b)) == Some(&true));
        // A `b64token` is ASCII, so it is UTF-8.
        match (std::str::from_utf8(token), self.found) {
            (Ok(token), _) if is_b64token => Ok(token),
            (_, FoundToken::Header) => Err(invalid(
                "Authorization does not have exactly one token after 'Bearer'. Send 'Authorization: Bearer <token>'.",
            )),
            (_, FoundToken::Elsewhere(_) | FoundToken::Nowhere) => Err(invalid(
                "The cookie or the WebSocket subprotocol for the token does not contain a token. Send the token exactly as the issuer issued it.",
            )),
        }
    }
}

impl fmt::Debug for AuthRequest<'_> {
    /// Does not show the headers and the query, because they may contain secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthRequest")
            .field("method", self.head.method)
            .field("path", &self.head.uri.path())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::AuthRequest;
    use http::Request;

    fn bearer(values: &[&str]) -> Result<String, &'static str> {
        let mut request = Request::new(());
        for value in values {
            request.headers_mut().append("authorization", value.parse().unwrap());
        }
        let token = AuthRequest::of(&request).bearer_token();
        token.map(str::to_owned).map_err(|rejection| rejection.code())
    }

    #[test]
    fn the_case_of_the_bearer_scheme_makes_no_difference() {
        for value in ["Bearer a.b-c", "bearer a.b-c", "BEARER   a.b-c"] {
            assert_eq!(bearer(&[value]).as_deref(), Ok("a.b-c"), "{value}");
        }
    }

    #[test]
    fn no_header_means_missing_and_a_bad_or_second_header_means_invalid() {
        for (values, code) in [
            (vec![], "auth.missing"),
            (vec!["Basic YTpi"], "auth.missing"),
            (vec!["digest a=b, c=d"], "auth.missing"),
            (vec!["Basic YTpi", "Basic YTpi"], "auth.invalid"),
            (vec!["Basic YTpi", "Bearer a"], "auth.invalid"),
            (vec!["Bearer a", "Basic YTpi"], "auth.invalid"),
            (vec!["Basic YTpi, Bearer a"], "auth.invalid"),
            (vec!["ApiKey a"], "auth.invalid"),
            (vec!["Bearer\ta.b"], "auth.invalid"),
            (vec!["Bearer \ta.b"], "auth.invalid"),
            (vec![""], "auth.missing"),
            (vec!["Bearer"], "auth.invalid"),
            (vec!["Bearer "], "auth.invalid"),
            (vec!["Bearer a b"], "auth.invalid"),
            (vec!["Bearer a,Bearer b"], "auth.invalid"),
            (vec!["Bearer a", "Bearer a"], "auth.invalid"),
        ] {
            assert_eq!(bearer(&values), Err(code), "{values:?}");
        }
    }

    #[test]
    fn the_scheme_dpop_is_refused() {
        for value in ["DPoP a.b.c", "dpop a.b.c", "DPOP"] {
            let request = Request::builder().header("authorization", value).body(()).unwrap();
            let refused = AuthRequest::of(&request).bearer_token().unwrap_err();
            assert_eq!(refused.code(), "auth.invalid");
            assert!(refused.detail().contains("not bound to a key"), "{value}");
        }
        assert_eq!(bearer(&["DPoPx a.b.c"]), Err("auth.invalid"));
        assert_eq!(bearer(&["DPoP a.b.c", "Bearer a.b.c"]), Err("auth.invalid"));
    }
}
