//! A list of texts that is cheap to clone.

use crate::id::Text;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, slice, sync::Arc};

/// Texts of a token, such as its roles. Clones share one list. A list with zero or one text needs no
/// allocation for the list itself.
#[derive(Clone, Default)]
pub(crate) enum Texts {
    #[default]
    None,
    /// No texts, because the claim is malformed. The value is the kind of JSON that the claim has instead,
    /// for the log.
    #[cfg_attr(not(feature = "jwt"), expect(dead_code, reason = "only claims are read"))]
    Unread(&'static str),
    One(Text),
    Many(Arc<[Text]>),
}

impl Texts {
    pub(crate) fn iter(&self) -> slice::Iter<'_, Text> {
        let texts: &[Text] = match self {
            Self::None | Self::Unread(_) => &[],
            Self::One(text) => slice::from_ref(text),
            Self::Many(texts) => texts,
        };
        texts.iter()
    }

    /// The kind of value that the claim has, if the claim is malformed.
    pub(crate) fn unread(&self) -> Option<&'static str> {
        match self {
            Self::Unread(found) => Some(found),
            Self::None | Self::One(_) | Self::Many(_) => None,
        }
    }

    /// How many bytes the list keeps on the heap.
    #[cfg(any(feature = "tickets", feature = "token-cache"))]
    pub(crate) fn heap_bytes(&self) -> usize {
        let texts = self.iter().map(Text::heap_bytes).sum::<usize>();
        match self {
            Self::None | Self::Unread(_) | Self::One(_) => texts,
            Self::Many(many) => {
                // An `Arc` has two counters.
                let list =
                    2 * size_of::<usize>() + size_of_val::<[Text]>(many) + crate::id::ALLOCATION;
                texts.saturating_add(list)
            }
        }
    }
}

impl From<Vec<Text>> for Texts {
    fn from(mut texts: Vec<Text>) -> Self {
        if texts.len() > 1 {
            return Self::Many(texts.into());
        }
        texts.pop().map_or(Self::None, Self::One)
    }
}

impl FromIterator<Text> for Texts {
    fn from_iter<I: IntoIterator<Item = Text>>(texts: I) -> Self {
        let mut texts = texts.into_iter();
        match (texts.next(), texts.next()) {
            (None, _) => Self::None,
            (Some(one), None) => Self::One(one),
            (Some(first), Some(second)) => {
                Self::Many([first, second].into_iter().chain(texts).collect())
            }
        }
    }
}

impl Serialize for Texts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Text::as_str))
    }
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::from)
    }
}

impl fmt::Debug for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl PartialEq for Texts {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::Texts;
    use crate::id::Text;

    #[test]
    fn a_list_keeps_its_texts_and_clones_share_it() {
        for names in [vec![], vec!["a"], vec!["a", "b"], vec!["a", "b", "c"]] {
            let texts: Vec<Text> = names.iter().map(|name| Text::from(*name)).collect();
            let (list, collected) = (Texts::from(texts.clone()), texts.into_iter().collect());
            assert_eq!(list, collected);
            assert_eq!(list.iter().map(Text::as_str).collect::<Vec<_>>(), names);
            let clone = list.clone();
            if let (Texts::Many(list), Texts::Many(clone)) = (&list, &clone) {
                assert!(std::sync::Arc::ptr_eq(list, clone));
            }
            assert_eq!(matches!(list, Texts::Many(_)), names.len() > 1);
            let json = serde_json::to_string(&list).unwrap();
            assert_eq!(serde_json::from_str::<Texts>(&json).unwrap(), list);
        }
    }
}
