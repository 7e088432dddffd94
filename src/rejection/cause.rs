//! The cause of a refusal, for the log.

use std::{error::Error, fmt};

/// An error of the application or of a dependency, for the log.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Displays an error and its causes. Log lines record this text as a `String`, so that the formatter
/// escapes it: it comes from outside.
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
