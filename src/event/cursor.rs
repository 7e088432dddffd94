//! Positions in a thread's log.

use std::{fmt, str::FromStr};

/// The incarnation of a thread's log: random, so that no other log has the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Epoch(pub(super) u64);

impl Epoch {
    /// The epoch of a log that begins now.
    #[must_use]
    pub fn random() -> Self {
        Self(uuid::Uuid::new_v4().as_u64_pair().1)
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The position after one event of one thread's log: an event's `id`.
///
/// Its text is opaque to clients and at most 37 bytes of `[0-9a-f-]`, which a browser sends
/// without a CORS preflight. It is no secret and gives no access: whose thread is read is decided
/// by the grant alone, and a cursor of another thread is of another [`Epoch`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cursor {
    epoch: Epoch,
    seq: u64,
}

impl Cursor {
    /// The position after event `seq` of `epoch`; 0 is before the first.
    #[must_use]
    pub fn new(epoch: Epoch, seq: u64) -> Self {
        Self { epoch, seq }
    }

    /// The incarnation of the log that this is a position in.
    #[must_use]
    pub fn epoch(self) -> Epoch {
        self.epoch
    }

    /// The event that this is the position after.
    #[must_use]
    pub fn seq(self) -> u64 {
        self.seq
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}-{}", self.epoch, self.seq)
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Cursor {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The text is not a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor")]
pub struct InvalidCursor;

impl FromStr for Cursor {
    type Err = InvalidCursor;

    /// Takes exactly what [`Display`](fmt::Display) writes: one spelling a cursor.
    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let (epoch, seq) = text.split_once('-').ok_or(InvalidCursor)?;
        let epoch = u64::from_str_radix(epoch, 16).map_err(|_| InvalidCursor)?;
        let seq = seq.parse().map_err(|_| InvalidCursor)?;
        let cursor = Self { epoch: Epoch(epoch), seq };
        if cursor.to_string() == text { Ok(cursor) } else { Err(InvalidCursor) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Cursor, Epoch};
    use proptest::{prop_assert_eq, proptest};

    proptest! {
        #[test]
        fn cursors_have_one_spelling(epoch: u64, seq: u64, text in "[0-9a-fA-F+ -]{0,40}") {
            let cursor = Cursor::new(Epoch(epoch), seq);
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
            if let Ok(parsed) = text.parse::<Cursor>() {
                prop_assert_eq!(parsed.to_string(), text);
            }
        }
    }

    #[test]
    fn cursors_are_short_and_need_no_preflight() {
        let text = Cursor::new(Epoch(u64::MAX), u64::MAX).to_string();
        assert!(text.len() <= 128, "{text}");
        assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._~-".contains(&b)));
    }
}
