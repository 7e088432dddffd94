//! The error of a stream that was cut off.

/// The stream was cut off, because its client did not read, or because its proof ended within a large
/// event. The client may have got only a part of an event.
///
/// The client gets no notice. A host that gets this error closes the connection without an end mark ([RFC
/// 9112 section 8]; on HTTP/2 it resets the stream), so that no client takes a part of an event for a
/// whole event. The client learns the reason from the response to its next request.
///
/// [RFC 9112 section 8]: https://www.rfc-editor.org/rfc/rfc9112#section-8
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CutOff {
    /// The token has expired, or the access was withdrawn.
    #[error("the stream was cut off: its proof ended, and the client could not get a notice")]
    ProofEnded,
    /// The client read nothing for the [timeout](super::SseBody::timeout).
    #[error("the stream was cut off: the client read nothing for too long")]
    Slow,
}
