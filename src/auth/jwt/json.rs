//! JSON objects in which no member is named twice.
//!
//! RFC 7515 section 4 and RFC 7519 section 4 let a parser refuse duplicate members or take the
//! last. Two parsers that choose differently disagree about what was signed, so we refuse.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::{collections::HashSet, fmt};

/// Parses an object; no member at any depth may stand twice.
///
/// In two passes, so that the value is serde_json's own, whatever its features make of numbers.
pub(super) fn parse_object(text: &[u8]) -> serde_json::Result<Value> {
    let NoDuplicates = serde_json::from_slice(text)?;
    let value: Value = serde_json::from_slice(text)?;
    if value.is_object() { Ok(value) } else { Err(Error::custom("not an object")) }
}

/// Any JSON without duplicate members.
struct NoDuplicates;

impl<'de> Deserialize<'de> for NoDuplicates {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for NoDuplicates {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without duplicate members")
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self, A::Error> {
        while seq.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        let mut names = HashSet::new();
        while let Some((name, Self)) = map.next_entry::<String, _>()? {
            if !names.insert(name) {
                return Err(A::Error::custom("a member stands twice"));
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::parse_object;

    #[test]
    fn objects_parse_and_duplicates_at_any_depth_do_not() {
        let text = br#"{"a":[1,-2,2.5,"x",null,true,{"b":{}}]}"#;
        assert_eq!(
            parse_object(text).unwrap(),
            serde_json::from_slice::<serde_json::Value>(text).unwrap()
        );
        for bad in [r#"{"a":1,"a":1}"#, r#"{"x":[{"a":1,"\u0061":2}]}"#, "[]", "1", "{", "{} x"] {
            assert!(parse_object(bad.as_bytes()).is_err(), "{bad}");
        }
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        assert!(parse_object(deep.as_bytes()).is_err(), "nesting is bounded");
    }
}
