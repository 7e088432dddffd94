//! Why a text is no origin.

/// Why a text is no origin of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("it has no scheme: write `https://` and the host")]
    NoScheme,
    #[error("a page has the scheme of its own URL: write `https://` or `http://`")]
    NoPage,
    #[error("there are no wildcards: allow each origin by itself")]
    Wildcard,
    #[error("pages without an origin of their own send `null`, and nobody can tell them apart")]
    Opaque,
    #[error("write the host in ASCII, as browsers send it: `xn--...` (punycode)")]
    Unicode,
    #[error("an origin has no user and no password")]
    User,
    #[error("an origin ends after host and port: leave out path, query and fragment")]
    Path,
    #[error(
        "the host is no name, no IPv4 address of four numbers, and no IPv6 address in brackets"
    )]
    Host,
    #[error("the port is no number up to 65535")]
    Port,
}

/// A text that was to be an origin is none that a page can have. Says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not the origin of a page: {fault}")]
pub struct InvalidOrigin {
    /// Without what may be secret.
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
