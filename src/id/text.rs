//! Short text that is cheap to keep and to clone.

use arrayvec::ArrayString;
use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

/// Longest text that is stored in place, in bytes. A UUID has 36.
pub(super) const IN_PLACE: usize = 40;

/// Text of at most a few hundred bytes. A short text, like nearly all ids, is stored in place: neither
/// its creation nor its clone allocates or changes a shared counter.
#[derive(Clone)]
pub(crate) enum Text {
    Short(ArrayString<IN_PLACE>),
    Long(Arc<str>),
}

impl Text {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Short(text) => text,
            Self::Long(text) => text,
        }
    }

    /// The memory that the text takes on the heap, in bytes.
    #[cfg(any(feature = "tickets", feature = "token-cache"))]
    pub(crate) fn heap_bytes(&self) -> usize {
        kept_aside(self.as_str())
    }
}

/// The overhead of one allocation in bytes: the allocator's header and rounding.
#[cfg(any(feature = "tickets", feature = "token-cache"))]
pub(crate) const ALLOCATION: usize = 16;

/// The memory that a [`Text`] with this content takes on the heap, in bytes.
#[cfg(any(feature = "tickets", feature = "token-cache"))]
pub(crate) fn kept_aside(text: &str) -> usize {
    // Two words for the counters of the `Arc`.
    if text.len() > IN_PLACE { 2 * size_of::<usize>() + text.len() + ALLOCATION } else { 0 }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        ArrayString::from(text).map_or_else(|_| Self::Long(text.into()), Self::Short)
    }
}

impl serde::Serialize for Text {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> serde::Deserialize<'de> for Text {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyText;

        impl serde::de::Visitor<'_> for AnyText {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E>(self, text: &str) -> Result<Text, E> {
                Ok(text.into())
            }
        }

        deserializer.deserialize_str(AnyText)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Text {}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for Text {
    /// The same hash as that of the `str`, because ids implement `Borrow<str>`.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}
