//! Why a stream was cut off.

/// A stream was cut off while its client did not take in what it was given, perhaps in the middle of
/// an event.
///
/// Nothing can be said there. A host that is given this error closes the connection without the mark
/// of an end ([RFC 9112 section 8]; on HTTP/2 it resets the stream), so that no client takes half an
/// event for a whole one. The answer to the client's next request tells it why.
///
/// [RFC 9112 section 8]: https://www.rfc-editor.org/rfc/rfc9112#section-8
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CutOff {
    /// The token expired, or the access was withdrawn.
    #[error("the stream was cut off: its proof ended while the client did not read")]
    ProofEnded,
    /// The client took nothing in for the [timeout](super::SseBody::timeout).
    #[error("the stream was cut off: the client did not read for too long")]
    Slow,
}
