//! Positions in a thread's log.

use std::{fmt, str::FromStr};

/// The incarnation of a thread's log. It is random, so that no other log has the same epoch.
///
/// Its text is 16 lower-case hexadecimal digits. It serializes as this text.
///
/// ```
/// use tower_tenancy::event::Epoch;
///
/// let epoch = Epoch::random();
/// assert_eq!(epoch.to_string().parse(), Ok(epoch));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(pub(super) u64);

impl Epoch {
    /// A new epoch.
    #[must_use]
    pub fn random() -> Self {
        Self(uuid::Uuid::new_v4().as_u64_pair().1)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not an [`Epoch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an epoch: it must be 16 lower-case hexadecimal digits")]
#[non_exhaustive]
pub struct InvalidEpoch;

impl FromStr for Epoch {
    type Err = InvalidEpoch;

    /// Accepts only the text that [`Display`](fmt::Display) writes: an epoch has one spelling.
    fn from_str(text: &str) -> Result<Self, InvalidEpoch> {
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() != 16 || !text.bytes().all(digit) {
            return Err(InvalidEpoch);
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| InvalidEpoch)
    }
}

/// The position after one event of one thread's log. It is the `id` of that event.
///
/// Its text is opaque to clients. It has at most 37 bytes of `[0-9a-f-]`, which a browser sends without
/// a CORS preflight. A cursor is not a secret and gives no access: only the grant decides which thread
/// the client reads. A cursor of another thread has another [`Epoch`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cursor {
    epoch: Epoch,
    seq: u64,
}

impl Cursor {
    /// The position after event `seq` of `epoch`. With 0, it is the position before the first event.
    #[must_use]
    pub fn new(epoch: Epoch, seq: u64) -> Self {
        Self { epoch, seq }
    }

    /// The epoch of the log that the position belongs to.
    #[must_use]
    pub fn epoch(self) -> Epoch {
        self.epoch
    }

    /// The number of the event that this position follows. 0 means the position before the first event.
    #[must_use]
    pub fn seq(self) -> u64 {
        self.seq
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.seq)
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Serializes a type as its text, and deserializes it only from this text.
macro_rules! serde_as_text {
    ($($name:ident)*) => { $(
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )* };
}

serde_as_text! { Epoch Cursor }

/// The text is not a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor")]
#[non_exhaustive]
pub struct InvalidCursor;

impl FromStr for Cursor {
    type Err = InvalidCursor;

    /// Accepts only the text that [`Display`](fmt::Display) writes: a cursor has one spelling.
    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let (epoch, seq) = text.split_once('-').ok_or(InvalidCursor)?;
        let epoch = epoch.parse().map_err(|_| InvalidCursor)?;
        // `u64::from_str` also accepts a `+` and leading zeros, which `Display` does not write.
        if seq.starts_with('+') || (seq.starts_with('0') && seq.len() > 1) {
            return Err(InvalidCursor);
        }
        let seq = seq.parse().map_err(|_| InvalidCursor)?;
        Ok(Self { epoch, seq })
    }
}

#[cfg(test)]
mod tests {
    use super::{Cursor, Epoch};
    use proptest::{prop_assert_eq, proptest};

    proptest! {
        #[test]
        fn cursors_have_one_spelling(epoch: u64, seq: u64, text in "[0-9a-f]{16}-[0-9+-]{1,20}|[0-9a-fA-F+ -]{0,40}") {
            let cursor = Cursor::new(Epoch(epoch), seq);
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
            if let Ok(parsed) = text.parse::<Cursor>() {
                prop_assert_eq!(parsed.to_string(), text);
            }
        }
    }

    #[test]
    fn an_epoch_has_one_spelling_and_is_serialised_as_text() {
        let epoch = Epoch(7);
        let cursor = Cursor::new(epoch, 3);
        assert_eq!(serde_json::to_string(&epoch).unwrap(), r#""0000000000000007""#);
        assert_eq!(serde_json::from_str::<Epoch>(r#""0000000000000007""#).unwrap(), epoch);
        assert_eq!(serde_json::to_string(&cursor).unwrap(), r#""0000000000000007-3""#);
        assert_eq!(serde_json::from_str::<Cursor>(r#""0000000000000007-3""#).unwrap(), cursor);
        for text in ["", "7", "000000000000000A", "+000000000000007", "00000000000000007", " 7"] {
            assert!(text.parse::<Epoch>().is_err(), "{text}");
            assert!(serde_json::from_value::<Epoch>(text.into()).is_err(), "{text}");
        }
        for text in ["0000000000000007-+3", "0000000000000007-03", "0000000000000007-00", "7-3"] {
            assert!(text.parse::<Cursor>().is_err(), "{text}");
        }
        assert!("0000000000000007-0".parse::<Cursor>().is_ok());
        assert!(serde_json::from_str::<Epoch>("7").is_err());
    }

    #[test]
    fn cursors_are_short_and_need_no_preflight() {
        let text = Cursor::new(Epoch(u64::MAX), u64::MAX).to_string();
        assert!(text.len() <= 128, "{text}");
        assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._~-".contains(&b)));
    }
}
