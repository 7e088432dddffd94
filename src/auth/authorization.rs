//! Finds out whether an `Authorization` header can carry a token.

use http::{HeaderMap, HeaderValue, header};

/// Schemes of `Authorization` that carry no token. A browser sends them by itself, for example when a proxy
/// in front of a staging site asks for a password. Any other scheme may carry a token for some
/// [`Authenticator`].
///
/// [`Authenticator`]: super::Authenticator
const SCHEMES_WITHOUT_TOKEN: [&[u8]; 4] = [b"basic", b"digest", b"negotiate", b"ntlm"];

/// Whether `Authorization` may contain a token. If there are two `Authorization` headers, the answer is yes.
pub(crate) fn has_token(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    match (values.next(), values.next()) {
        (None, _) => false,
        (Some(value), None) => !carries_no_token(value),
        (Some(_), Some(_)) => true,
    }
}

/// Whether a value of `Authorization` is empty, or has a scheme that carries no token. A proxy may have
/// joined two headers with a comma. So only a parameter may follow a comma, not another scheme (RFC 9110
/// section 11.4).
pub(super) fn carries_no_token(value: &HeaderValue) -> bool {
    let value = value.as_bytes();
    let scheme = first_word(value);
    if !SCHEMES_WITHOUT_TOKEN.iter().any(|none| scheme.eq_ignore_ascii_case(none)) {
        return value.trim_ascii().is_empty();
    }
    outside_quotes(value).is_some_and(|value| {
        let mut items = value.split(|byte| *byte == b',');
        items.next();
        items.all(is_parameter)
    })
}

/// The text without its quoted strings (RFC 9110 section 5.6.4), which may contain commas. `None` if the last
/// quoted string does not end.
fn outside_quotes(text: &[u8]) -> Option<Vec<u8>> {
    let (mut quoted, mut escaped) = (false, false);
    let mut outside = text.to_vec();
    outside.retain(|byte| {
        let is_quote = *byte == b'"' && !escaped;
        let keep = !quoted && !is_quote;
        escaped = quoted && *byte == b'\\' && !escaped;
        quoted ^= is_quote;
        keep
    });
    (!quoted).then_some(outside)
}

/// Whether an item of a list is `name=value`, with or without spaces around the `=` (RFC 9110 section
/// 11.2), or is empty.
fn is_parameter(item: &[u8]) -> bool {
    let item = item.trim_ascii();
    let ends = |byte: &u8| byte.is_ascii_whitespace() || *byte == b'=';
    let end = item.iter().position(ends).unwrap_or(item.len());
    let (name, rest) = item.split_at_checked(end).unwrap_or((item, b""));
    item.is_empty() || (!name.is_empty() && rest.trim_ascii_start().starts_with(b"="))
}

fn first_word(item: &[u8]) -> &[u8] {
    let item = item.trim_ascii_start();
    let ends = |byte: &u8| byte.is_ascii_whitespace() || *byte == b',';
    let end = item.iter().position(ends).unwrap_or(item.len());
    item.get(..end).unwrap_or_default()
}
