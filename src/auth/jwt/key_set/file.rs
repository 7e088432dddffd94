//! A key source that reads a file.

use super::source::{KeyFuture, KeySource, MAX_DOCUMENT};
use std::{fs::File, io::Read, path::PathBuf};

/// A key source: the JWK set in a file. Each fetch reads the file again.
#[derive(Clone, Debug)]
pub struct KeyFile(PathBuf);

impl KeyFile {
    /// The JWK set in this file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }
}

impl KeySource for KeyFile {
    fn fetch(&self) -> KeyFuture {
        let path = self.0.clone();
        Box::pin(async move {
            // This code may block, because the key set calls it on a separate thread. It limits the read
            // itself, because the length in the metadata of a file may be wrong.
            let mut document = String::new();
            File::open(path)?.take(MAX_DOCUMENT as u64 + 1).read_to_string(&mut document)?;
            if document.len() > MAX_DOCUMENT {
                return Err(format!("the key file is longer than {MAX_DOCUMENT} bytes").into());
            }
            Ok(document)
        })
    }

    fn name(&self) -> String {
        self.0.display().to_string()
    }
}
