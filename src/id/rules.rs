//! The rules for the texts of ids.

/// Longest tenant, env and thread id, in bytes.
const MAX_NAME: usize = 128;
/// Longest request id, in bytes.
const MAX_REQUEST_ID: usize = 128;
/// Longest subject, in bytes.
const MAX_SUBJECT: usize = 255;

/// Why a text is not an id.
///
/// The message names the rule and never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidId {
    /// The text is empty.
    #[error("is empty")]
    Empty,
    /// The text is too long for this kind of id.
    #[error("is longer than {max} bytes")]
    TooLong {
        /// The maximum length of this kind of id, in bytes.
        max: usize,
    },
    /// The text has a character that this kind of id must not have, or it consists of dots only.
    #[error("must be {allowed}")]
    Charset {
        /// The allowed text, as a regular expression or in words.
        allowed: &'static str,
    },
    /// The text is `t_unknown`, `undefined` or `null`, in any case: the client did not have the id.
    #[error("is a placeholder: send the real id")]
    Placeholder,
}

/// Front ends and scripts send these when they do not have the id.
const PLACEHOLDERS: [&str; 3] = ["t_unknown", "undefined", "null"];

/// Refuses a placeholder, in any case.
fn refuse_placeholder(text: &str) -> Result<(), InvalidId> {
    if PLACEHOLDERS.iter().any(|placeholder| text.eq_ignore_ascii_case(placeholder)) {
        return Err(InvalidId::Placeholder);
    }
    Ok(())
}

/// `[A-Za-z0-9._:@~-]{1,128}`, not only dots, not a placeholder.
pub(super) fn check_name(text: &str) -> Result<(), InvalidId> {
    if text.is_empty() {
        return Err(InvalidId::Empty);
    }
    if text.len() > MAX_NAME {
        return Err(InvalidId::TooLong { max: MAX_NAME });
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._:@~-".contains(&b);
    if !text.bytes().all(allowed) || text.bytes().all(|b| b == b'.') {
        return Err(InvalidId::Charset { allowed: "[A-Za-z0-9._:@~-]{1,128}, and not only dots" });
    }
    refuse_placeholder(text)
}

/// The error for a request id with a character that is not visible ASCII, or with a `"` or `\`.
pub(crate) const NOT_VISIBLE: InvalidId =
    InvalidId::Charset { allowed: "visible ASCII without \" and \\" };

/// Visible ASCII without `"` and `\`, at most 128 characters, not a placeholder. Such text needs no
/// escaping in JSON, in a header or in a quoted field of a log line.
pub(super) fn check_request_id(text: &str) -> Result<(), InvalidId> {
    if text.is_empty() {
        return Err(InvalidId::Empty);
    }
    if text.len() > MAX_REQUEST_ID {
        return Err(InvalidId::TooLong { max: MAX_REQUEST_ID });
    }
    if !text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\')) {
        return Err(NOT_VISIBLE);
    }
    refuse_placeholder(text)
}

/// Free text such as `auth0|123`, without control characters, not a placeholder.
pub(super) fn check_subject(text: &str) -> Result<(), InvalidId> {
    if text.is_empty() {
        return Err(InvalidId::Empty);
    }
    if text.len() > MAX_SUBJECT {
        return Err(InvalidId::TooLong { max: MAX_SUBJECT });
    }
    if text.chars().any(char::is_control) {
        return Err(InvalidId::Charset { allowed: "text without control characters" });
    }
    refuse_placeholder(text)
}
