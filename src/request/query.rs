//! Removes parameters from a URI, so that inner services and log lines do not contain them.

use http::{Uri, uri::PathAndQuery};

/// The client sent a parameter more than once.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Repeated;

/// Removes every parameter `name` from the query, and returns its value. The rest of the URI does not
/// change, byte for byte.
pub(crate) fn take(uri: &mut Uri, name: &str) -> Result<Option<String>, Repeated> {
    let Some(query) = uri.query() else { return Ok(None) };
    let mut found = Vec::new();
    let mut left = Vec::new();
    for pair in query.split('&') {
        match form_urlencoded::parse(pair.as_bytes()).next() {
            Some((key, value)) if key == name => found.push(value.into_owned()),
            _ => left.push(pair),
        }
    }
    if found.is_empty() {
        return Ok(None);
    }
    let path = match left.join("&") {
        left if left.is_empty() => uri.path().to_owned(),
        left => format!("{}?{left}", uri.path()),
    };
    let mut parts = std::mem::take(uri).into_parts();
    // These parts come from a valid URI, so they are valid. If they were not, the fallback would lose the
    // query, but not leak it.
    parts.path_and_query =
        Some(PathAndQuery::try_from(path).unwrap_or_else(|_| PathAndQuery::from_static("/")));
    *uri = Uri::from_parts(parts).unwrap_or_default();
    let repeated = found.len() > 1;
    let value = found.pop();
    if repeated { Err(Repeated) } else { Ok(value) }
}

#[cfg(test)]
mod tests {
    use super::{Repeated, take};
    use http::Uri;

    #[test]
    fn the_parameter_is_removed_and_the_rest_stays() {
        for (before, after, value) in [
            ("/a", "/a", Ok(None)),
            ("/a?b=1", "/a?b=1", Ok(None)),
            ("/a?ticket=x", "/a", Ok(Some("x"))),
            ("/a?ticket", "/a", Ok(Some(""))),
            ("/a?b=%2F&ticket=x%20y&&c", "/a?b=%2F&&c", Ok(Some("x y"))),
            ("/a?t%69cket=x&b=1", "/a?b=1", Ok(Some("x"))),
            ("http://h:1/a?ticket=x", "http://h:1/a", Ok(Some("x"))),
            ("/a?ticket=x&b&ticket=y", "/a?b", Err(Repeated)),
            ("*", "*", Ok(None)),
        ] {
            let mut uri: Uri = before.parse().unwrap();
            let taken = take(&mut uri, "ticket");
            assert_eq!(taken, value.map(|value| value.map(str::to_owned)), "{before}");
            assert_eq!(uri.to_string(), after);
        }
    }
}
