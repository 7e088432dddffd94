//! What caused a refusal, for the log.

use std::{error::Error, fmt};

/// An error of the application's or of a dependency, kept for the log.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// An error and what caused it. A log line records it as a `String`: the text is foreign.
pub(crate) struct Chain<'a>(pub(crate) &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.0, f)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
