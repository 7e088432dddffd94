//! Whether an `Authorization` header bears a token.

use http::{HeaderMap, HeaderValue, header};

/// Schemes of `Authorization` that browsers and proxies answer for by themselves, such as in front of
/// a staging site. What they bear is no token. Any other scheme may be one for some [`Authenticator`].
///
/// [`Authenticator`]: super::Authenticator
const NO_TOKEN: [&[u8]; 4] = [b"basic", b"digest", b"negotiate", b"ntlm"];

/// Whether `Authorization` bears what may be a token. If it is sent twice, nobody knows.
pub(crate) fn bears_token(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    match (values.next(), values.next()) {
        (None, _) => false,
        (Some(value), None) => !is_no_token(value),
        (Some(_), Some(_)) => true,
    }
}

/// Whether an `Authorization` is empty, or of a scheme that bears no token. A proxy may have joined two headers
/// by a comma: what follows must be parameters, and not another scheme (RFC 9110 section 11.4).
pub(super) fn is_no_token(value: &HeaderValue) -> bool {
    let value = value.as_bytes();
    // A token is long, and not looked through.
    let scheme = first_word(value);
    if !NO_TOKEN.iter().any(|none| scheme.eq_ignore_ascii_case(none)) {
        return value.trim_ascii().is_empty();
    }
    outside_quotes(value).is_some_and(|value| {
        let mut items = value.split(|byte| *byte == b',');
        items.next();
        items.all(is_parameter)
    })
}

/// A text without its quoted strings (RFC 9110 section 5.6.4), which may have commas of their own.
/// `None` if the last one does not end.
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

/// Whether an item of a list is `name=value`, with or without blanks around the `=` (RFC 9110 section
/// 11.2). An empty item is none.
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
