//! A marker in the data identifies an event. The load generator finds it without parsing anything else.

use memchr::memchr;
use tower_tenancy::BoxError;

const DIGITS: usize = 8;
const LENGTH: usize = DIGITS + 2;

/// The marker of event `seq`. Nothing else in a stream has an `@`.
pub(crate) fn marker(seq: usize) -> String {
    format!("@{seq:0DIGITS$}@")
}

/// Finds the markers in the bytes of one subscriber.
#[derive(Debug, Default)]
pub(crate) struct Scanner {
    /// The beginning of a marker, if a read ended within it.
    carry: [u8; LENGTH],
    carried: usize,
}

impl Scanner {
    /// Calls `found` with the number of each complete marker.
    pub(crate) fn scan(
        &mut self,
        mut chunk: &[u8],
        mut found: impl FnMut(usize) -> Result<(), BoxError>,
    ) -> Result<(), BoxError> {
        if self.carried > 0 {
            let missing = LENGTH - self.carried;
            let (more, rest) = chunk.split_at(missing.min(chunk.len()));
            self.carry[self.carried..][..more.len()].copy_from_slice(more);
            self.carried += more.len();
            if self.carried < LENGTH {
                return Ok(());
            }
            self.carried = 0;
            found(number(&self.carry)?)?;
            chunk = rest;
        }
        while let Some(at) = memchr(b'@', chunk) {
            let marker = &chunk[at..];
            if marker.len() < LENGTH {
                self.carry[..marker.len()].copy_from_slice(marker);
                self.carried = marker.len();
                return Ok(());
            }
            let (marker, rest) = marker.split_at(LENGTH);
            found(number(marker)?)?;
            chunk = rest;
        }
        Ok(())
    }
}

fn number(marker: &[u8]) -> Result<usize, BoxError> {
    let text = std::str::from_utf8(marker)?;
    let digits = text.strip_prefix('@').and_then(|text| text.strip_suffix('@'));
    let number = digits.and_then(|digits| digits.parse().ok());
    number.ok_or_else(|| format!("not a marker: {text:?}").into())
}

/// Checks that the scanner finds markers wherever the bytes are cut. Panics if it does not.
pub(crate) fn check() {
    let text = format!("id: 1\ndata: xx{}\n\nid: 2\ndata: xx{}\n\n", marker(1), marker(12_345_678));
    for cut in 1..text.len() {
        let mut scanner = Scanner::default();
        let mut seen = Vec::new();
        for chunk in text.as_bytes().chunks(cut) {
            let scanned = scanner.scan(chunk, |seq| {
                seen.push(seq);
                Ok(())
            });
            assert!(scanned.is_ok(), "chunks of {cut} bytes: {scanned:?}");
        }
        assert_eq!(seen, [1, 12_345_678], "chunks of {cut} bytes");
    }
}
