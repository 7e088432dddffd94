//! Who may use a thread.

/// Somebody who may use a thread that is not open to its whole tenant and env.
///
/// An issuer names its subjects as it likes: `sub` is unique within one issuer only ([RFC 7519
/// section 4.1.2]). Where the tokens of several issuers are accepted, say which issuer is meant
/// ([`SubjectOf`](Self::SubjectOf)), or that it does not matter
/// ([`UniqueSubject`](Self::UniqueSubject)).
///
/// [RFC 7519 section 4.1.2]: https://www.rfc-editor.org/rfc/rfc7519#section-4.1.2
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Member {
    /// The caller whose token names this subject, and was issued by this issuer.
    SubjectOf {
        /// The `iss` of the token. A token that names no issuer does not match.
        issuer: String,
        /// The subject of the token.
        subject: String,
    },
    /// The caller whose token names this subject, whichever trusted issuer says so. The application
    /// vouches that no two of its issuers give one subject to two people: it has one issuer, or its
    /// issuers use UUIDs.
    UniqueSubject(String),
    /// Callers whose token has this role, whichever trusted issuer says so.
    Role(String),
}

impl Member {
    /// The subject of one issuer.
    pub fn subject_of(issuer: impl Into<String>, subject: impl Into<String>) -> Self {
        Self::SubjectOf { issuer: issuer.into(), subject: subject.into() }
    }

    /// The subject, whichever trusted issuer names it: see [`UniqueSubject`](Self::UniqueSubject).
    pub fn unique_subject(subject: impl Into<String>) -> Self {
        Self::UniqueSubject(subject.into())
    }

    /// Callers that have this role.
    pub fn role(role: impl Into<String>) -> Self {
        Self::Role(role.into())
    }
}
