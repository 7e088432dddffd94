//! The error for a text that is not an origin.

/// The reason why a text is not the origin of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("it has no scheme: write `https://` and the host")]
    NoScheme,
    #[error("no page has this scheme: write `https://` or `http://`")]
    NoPage,
    #[error("wildcards are not supported: list each origin")]
    Wildcard,
    #[error("any page can have the origin `null`, so do not allow it")]
    Opaque,
    #[error("write the host in ASCII, as browsers send it: `xn--...` (punycode)")]
    Unicode,
    #[error("an origin has no user and no password: leave them out")]
    User,
    #[error("an origin ends after host and port: leave out path, query and fragment")]
    Path,
    #[error(
        "the host is not a name, not an IPv4 address of four numbers, and not an IPv6 address in brackets"
    )]
    Host,
    #[error("the port is not a number up to 65535")]
    Port,
}

/// A text is not the origin of a page. The message says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not the origin of a page: {fault}")]
pub struct InvalidOrigin {
    /// The text, without the parts that may be secret.
    given: String,
    fault: Fault,
}

impl InvalidOrigin {
    pub(super) fn new(text: &str, fault: Fault) -> Self {
        let shown = text.split(['?', '#']).next().unwrap_or_default();
        let given = match shown.rsplit_once('@') {
            Some((_, host)) => format!("...@{host}"),
            None => shown.to_owned(),
        };
        Self { given, fault }
    }
}
