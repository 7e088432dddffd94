//! The error of a log.

use crate::rejection::{BoxError, Rejection, RejectionKind};

/// The error of an [`EventLog`](super::EventLog) or a [`LogReader`](super::LogReader).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The event alone is larger than the log's limit for a thread.
    #[error("the event is larger than the {max} bytes that the log keeps for a thread")]
    TooLarge {
        /// The log's limit for a thread, in bytes.
        max: usize,
    },
    /// The log does not answer.
    #[error("the log does not answer")]
    Unavailable(#[source] BoxError),
    /// The thread was erased while it was being read. Later events belong to a new epoch, and need a
    /// new reader.
    #[error("the thread was erased")]
    Erased,
    /// The log broke its [contract](super::EventLog#contract), for example with a missing, duplicate or
    /// foreign event.
    #[error("the log broke its contract: {0}")]
    Broken(&'static str),
}

impl From<LogError> for Rejection {
    fn from(error: LogError) -> Self {
        match error {
            LogError::TooLarge { .. } => Self::new(RejectionKind::MessageInvalid)
                .with_detail(format!("Not published: {error}.")),
            // The client cannot distinguish it from a thread that does not exist.
            LogError::Erased => Self::new(RejectionKind::ThreadForbidden).with_source(error),
            LogError::Unavailable(_) | LogError::Broken(_) => {
                Self::new(RejectionKind::LogUnavailable).with_source(error)
            }
        }
    }
}
