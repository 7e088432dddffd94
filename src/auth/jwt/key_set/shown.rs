//! Removes secrets from URLs and errors for log lines.

/// How much of an error the log shows, in bytes.
const MAX_ERROR: usize = 2048;

/// The URL without user, password, query and fragment.
pub(super) fn shown(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let scheme = if scheme.is_empty() { String::new() } else { format!("{scheme}://") };
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    // If there is an `@` after the authority, everything before it may be part of a password.
    if rest.get(authority.len()..).is_none_or(|behind| behind.contains('@')) {
        return format!("{scheme}[hidden]");
    }
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    match rest.find(['?', '#']) {
        Some(end) => format!("{scheme}{}?[hidden]", rest.get(..end).unwrap_or_default()),
        None => format!("{scheme}{rest}"),
    }
}

/// The text with the secrets of all its URLs removed, as in [`shown`]. The text may be any error.
fn redacted(text: &str) -> String {
    let mut shown_text = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(found) = rest.find("://") {
        let (before, _) = rest.split_at(found);
        let name =
            before.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || "+-.".contains(c));
        shown_text.push_str(name);
        let url = rest.get(name.len()..).unwrap_or_default();
        // A URL does not contain these characters. Punctuation after a URL belongs to the sentence.
        let ends = |c: char| c.is_whitespace() || c.is_control() || "\"<>`".contains(c);
        let url = url.split(ends).next().unwrap_or_default();
        let alone = url.trim_end_matches([')', '}', ',', '.', ':', ';', '\'']);
        shown_text.push_str(&shown(alone));
        shown_text.push_str(url.get(alone.len()..).unwrap_or_default());
        rest = rest.get(name.len() + url.len()..).unwrap_or_default();
    }
    shown_text + rest
}

/// An error for log lines: [`redacted`], and cut if it is long. An error may contain a whole document.
pub(super) fn shown_error(error: &str) -> String {
    // Redact first, then cut. Otherwise a URL that is cut before its `@` would show a password.
    let mut shown_text = redacted(error);
    if shown_text.len() > MAX_ERROR {
        let end = (0..=MAX_ERROR).rev().find(|end| shown_text.is_char_boundary(*end));
        shown_text.truncate(end.unwrap_or_default());
        shown_text.push('…');
    }
    shown_text
}

#[cfg(test)]
mod tests {
    use super::{MAX_ERROR, redacted, shown, shown_error};

    #[test]
    fn urls_are_shown_without_their_secrets() {
        for (url, expected) in [
            ("https://id.example/keys.json", "https://id.example/keys.json"),
            ("https://id.example", "https://id.example"),
            ("https://user:SECRET@id.example/keys", "https://id.example/keys"),
            ("https://SECRET@id.example:8443/a/b", "https://id.example:8443/a/b"),
            ("https://u:p@SECRET@id.example/keys", "https://id.example/keys"),
            ("https://id.example/keys?token=SECRET", "https://id.example/keys?[hidden]"),
            ("https://id.example?token=SECRET", "https://id.example?[hidden]"),
            ("https://id.example/keys#SECRET", "https://id.example/keys?[hidden]"),
            ("https://u:SECRET@id.example/k?t=SECRET#SECRET", "https://id.example/k?[hidden]"),
            // It is unknown where the secret ends.
            ("https://user:SEC/RET@id.example/keys", "https://[hidden]"),
            ("https://user:SEC?RET@id.example/keys", "https://[hidden]"),
            ("https://user:SEC#RET@id.example/keys", "https://[hidden]"),
            ("https://user:SEC\\RET@id.example/keys", "https://[hidden]"),
            ("https://id.example/keys?mail=a@SECRET", "https://[hidden]"),
            ("user:SECRET@id.example/keys", "id.example/keys"),
            ("no url at all", "no url at all"),
            ("", ""),
        ] {
            assert_eq!(shown(url), expected, "{url}");
            assert!(!shown(url).contains("SEC") && !shown(url).contains("RET"), "{url}");
        }
    }

    #[test]
    fn errors_are_shown_without_the_secrets_of_their_urls() {
        for (text, expected) in [
            ("it is down", "it is down"),
            (
                "error sending request for url (https://u:SECRET@id.example/k?t=SECRET): timed out",
                "error sending request for url (https://id.example/k?[hidden]): timed out",
            ),
            (
                "error sending request for url (https://u:SEC)RET@id.example/k)",
                "error sending request for url (https://id.example/k)",
            ),
            (
                r#"{ url: "http://SECRET@a/", proxy: "socks5h://u:SECRET@b" }: https://c."#,
                r#"{ url: "http://a/", proxy: "socks5h://b" }: https://c."#,
            ),
            ("://SECRET@x", "x"),
            ("a://b", "a://b"),
        ] {
            assert_eq!(redacted(text), expected);
            assert_eq!(redacted(expected), expected, "a second redaction changes nothing");
        }
    }

    #[test]
    fn a_long_error_is_cut_and_the_cut_shows_no_secret() {
        assert_eq!(shown_error("it is down"), "it is down");
        let whole = "x".repeat(MAX_ERROR);
        assert_eq!(shown_error(&whole), whole);
        // The cut may be in a character, in a URL or in a password.
        for pad in MAX_ERROR - 40..=MAX_ERROR {
            let pad = "x".repeat(pad);
            let long = format!("{pad} https://u:SECRET@id.example/keys é𝄞é𝄞é𝄞{pad}");
            let shown_text = shown_error(&long);
            assert!(
                shown_text.ends_with('…') && shown_text.len() <= MAX_ERROR + '…'.len_utf8(),
                "{shown_text}"
            );
            assert!(shown_text.starts_with(&pad) && !shown_text.contains("SEC"), "{shown_text}");
        }
    }
}
