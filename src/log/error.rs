//! Why a log could not do what it was asked.

use crate::rejection::{BoxError, Rejection, RejectionKind};

/// Why a log could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The event alone is larger than what the log retains of a thread.
    #[error("the event is larger than the {max} bytes that the log retains of a thread")]
    TooLarge {
        /// What the log retains of a thread, in bytes.
        max: usize,
    },
    /// The log does not answer.
    #[error("the log does not answer")]
    Unavailable(#[source] BoxError),
    /// The thread was erased while it was being read. What is published into it from now on belongs
    /// to a new epoch, and needs a new reader.
    #[error("the thread was erased")]
    Erased,
    /// The log broke its contract: events out of order, doubled, or with a hole.
    #[error("the log broke its contract: {0}")]
    Broken(&'static str),
}

impl From<LogError> for Rejection {
    fn from(error: LogError) -> Self {
        match error {
            LogError::TooLarge { .. } => Self::new(RejectionKind::MessageInvalid)
                .with_detail(format!("Not published: {error}.")),
            // To the client it is a thread like any other that does not exist.
            LogError::Erased => Self::new(RejectionKind::ThreadForbidden).with_source(error),
            LogError::Unavailable(_) | LogError::Broken(_) => {
                Self::new(RejectionKind::LogUnavailable).with_source(error)
            }
        }
    }
}
