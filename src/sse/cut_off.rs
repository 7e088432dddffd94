//! The error of a stream that was cut off.

/// The stream was cut off while its client did not read, perhaps in the middle of an event.
///
/// The client cannot get a notice there. A host that gets this error closes the connection without an end
/// mark ([RFC 9112 section 8]; on HTTP/2 it resets the stream), so that no client takes half an event for
/// a whole one. The client learns the reason from the answer to its next request.
///
/// [RFC 9112 section 8]: https://www.rfc-editor.org/rfc/rfc9112#section-8
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CutOff {
    /// The token has expired, or the access was withdrawn.
    #[error("the stream was cut off: its proof ended while the client did not read")]
    ProofEnded,
    /// The client did not read for the [timeout](super::SseBody::timeout).
    #[error("the stream was cut off: the client did not read for too long")]
    Slow,
}
