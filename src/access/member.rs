//! A member of a thread.

/// A caller, or a group of callers, that may use a thread which is not open to its whole tenant and env.
///
/// The `sub` of a token is unique only within one issuer ([RFC 7519 section 4.1.2]). If the application
/// accepts tokens of several issuers, name the issuer ([`SubjectOf`](Self::SubjectOf)), or declare that
/// subjects are unique across issuers ([`UniqueSubject`](Self::UniqueSubject)).
///
/// [RFC 7519 section 4.1.2]: https://www.rfc-editor.org/rfc/rfc7519#section-4.1.2
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Member {
    /// The caller whose token has this subject and this issuer.
    SubjectOf {
        /// The `iss` of the token. A token without an issuer does not match.
        issuer: String,
        /// The subject of the token.
        subject: String,
    },
    /// The caller whose token has this subject, from any trusted issuer. Use it only if no two issuers
    /// give the same subject to two people, for example with one issuer, or if all issuers use UUIDs.
    UniqueSubject(String),
    /// Callers whose token has this role, from any trusted issuer.
    Role(String),
}

impl Member {
    /// The subject of one issuer.
    pub fn subject_of(issuer: impl Into<String>, subject: impl Into<String>) -> Self {
        Self::SubjectOf { issuer: issuer.into(), subject: subject.into() }
    }

    /// The subject of any trusted issuer: see [`UniqueSubject`](Self::UniqueSubject).
    pub fn unique_subject(subject: impl Into<String>) -> Self {
        Self::UniqueSubject(subject.into())
    }

    /// Callers that have this role.
    pub fn role(role: impl Into<String>) -> Self {
        Self::Role(role.into())
    }
}
