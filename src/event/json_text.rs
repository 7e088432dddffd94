//! Writing JSON piece by piece.

use std::fmt::{self, Write as _};

pub(super) fn push<const N: usize>(out: &mut String, parts: [&str; N]) {
    parts.into_iter().for_each(|part| out.push_str(part));
}

/// Appends formatted text. Writing to a `String` never fails.
pub(super) fn append(out: &mut String, text: fmt::Arguments<'_>) {
    let _infallible = out.write_fmt(text);
}
