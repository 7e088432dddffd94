//! JSON objects in which no member is named twice, taken apart without building a tree.
//!
//! RFC 7515 section 4 and RFC 7519 section 4 let a parser refuse duplicate members or take the
//! last. Two parsers that choose differently disagree about what was signed, so we refuse.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Value, value::RawValue};
use std::{borrow::Cow, collections::HashSet, fmt};

/// Up to so many members are compared one with the other: a set takes longer to fill.
const FEW: usize = 16;

/// Parses an object; no member at any depth may stand twice.
///
/// In two passes, so that the value is serde_json's own, whatever its features make of numbers.
pub(super) fn parse_object(text: &[u8]) -> serde_json::Result<Value> {
    let NoDuplicates = serde_json::from_slice(text)?;
    let value: Value = serde_json::from_slice(text)?;
    if value.is_object() { Ok(value) } else { Err(Error::custom("not an object")) }
}

/// An object, whose values are parsed when they are asked for. All of it was looked through: what is
/// no JSON, or has a member twice at any depth, is no object.
pub(super) struct Object<'a>(Vec<(Name<'a>, &'a RawValue)>);

impl<'a> Object<'a> {
    pub(super) fn parse(text: &'a [u8]) -> serde_json::Result<Self> {
        // Once for all values: a text that is known to be UTF-8 is not asked again.
        let text = std::str::from_utf8(text).map_err(Error::custom)?;
        let Members(members) = serde_json::from_str(text)?;
        if any_twice(members.iter().map(|(name, _)| name)) {
            return Err(Error::custom("a member stands twice"));
        }
        for (_, value) in &members {
            let text = value.get();
            // A plain string was looked through when it was found.
            if !text.starts_with('"') || text.contains('\\') {
                let NoDuplicates = serde_json::from_str(text)?;
            }
        }
        Ok(Self(members))
    }

    /// The text of a member's value.
    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(Name(known), _)| known == name).map(|(_, value)| *value)
    }

    /// The text of what the pointer points to (RFC 6901 section 4).
    pub(super) fn find(&self, pointer: &Pointer) -> Option<&'a RawValue> {
        let (first, rest) = pointer.tokens.split_first()?;
        rest.iter().try_fold(self.get(first)?, |value, token| child(value, token))
    }
}

/// The text of what is named so in an object or an array.
fn child<'a>(value: &'a RawValue, token: &str) -> Option<&'a RawValue> {
    let text = value.get();
    match text.as_bytes().first()? {
        b'{' => {
            let Members(members) = serde_json::from_str(text).ok()?;
            Object(members).get(token)
        }
        b'[' => {
            // An index has one spelling.
            let index: usize = token.parse().ok()?;
            let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            items.get(index).copied().filter(|_| index.to_string() == token)
        }
        _ => None,
    }
}

/// The string that a value is, if it is one.
pub(super) fn string(value: &RawValue) -> Option<Cow<'_, str>> {
    let text = value.get();
    let inside = text.strip_prefix('"')?.strip_suffix('"')?;
    if inside.contains('\\') {
        return serde_json::from_str(text).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inside))
}

/// Where a claim is: a JSON pointer (RFC 6901), taken apart.
#[derive(Clone, Debug)]
pub(super) struct Pointer {
    text: String,
    tokens: Vec<String>,
}

impl Pointer {
    /// One that does not start with `/` points to nothing, and is found by
    /// [`is_valid`](Self::is_valid).
    pub(super) fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        let tokens = text.strip_prefix('/').map(|rest| {
            rest.split('/').map(|token| token.replace("~1", "/").replace("~0", "~")).collect()
        });
        Self { tokens: tokens.unwrap_or_default(), text }
    }

    pub(super) fn is_valid(&self) -> bool {
        !self.tokens.is_empty()
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }
}

/// A member's name, with its escapes resolved.
#[derive(PartialEq, Eq, Hash)]
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a member")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

fn any_twice<'n, 'a: 'n>(names: impl ExactSizeIterator<Item = &'n Name<'a>> + Clone) -> bool {
    if names.len() > FEW {
        let mut seen = HashSet::with_capacity(names.len());
        return !names.into_iter().all(|name| seen.insert(name));
    }
    names.clone().enumerate().any(|(at, name)| names.clone().take(at).any(|other| other == name))
}

/// The members of an object.
struct Members<'a>(Vec<(Name<'a>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::with_capacity(FEW);
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Object)
    }
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
        let mut names = Vec::new();
        while let Some((name, Self)) = map.next_entry::<Name<'de>, _>()? {
            names.push(name);
        }
        if any_twice(names.iter()) {
            return Err(A::Error::custom("a member stands twice"));
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::{FEW, Object, Pointer, parse_object, string};
    use proptest::{collection::vec, prelude::*};
    use serde_json::{Value, json};

    #[test]
    fn objects_parse_and_duplicates_at_any_depth_do_not() {
        let text = br#"{"a":[1,-2,2.5,"x",null,true,{"b":{}}]}"#;
        assert_eq!(
            parse_object(text).unwrap(),
            serde_json::from_slice::<serde_json::Value>(text).unwrap()
        );
        assert!(Object::parse(text).is_ok());
        let many = |last: &str| {
            let members: String = (0..2 * FEW).map(|n| format!("\"m{n}\":0,")).collect();
            format!("{{{members}\"{last}\":0}}")
        };
        assert!(Object::parse(many("x").as_bytes()).is_ok());
        for bad in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":1}"#,
            r#"{"x":[{"a":1,"\u0061":2}]}"#,
            r#"{"x":{"y":{"a":1,"a":2}}}"#,
            &many("m7"),
            "[]",
            "1",
            "{",
            "{} x",
            r#"{"a":"\ud800"}"#,
            r#"{"a":["\ud800"]}"#,
            r#"{"a":1e999}"#,
            "{\"a\":\"\n\"}",
            r#"{"a":01}"#,
            r#"{"a":tru}"#,
        ] {
            assert!(parse_object(bad.as_bytes()).is_err(), "{bad}");
            assert!(Object::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(Object::parse(b"{\"a\":\"\xff\"}").is_err(), "not UTF-8");
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        assert!(parse_object(deep.as_bytes()).is_err(), "nesting is bounded");
        assert!(Object::parse(deep.as_bytes()).is_err(), "nesting is bounded");
    }

    #[test]
    fn pointers_find_what_they_do_in_a_tree() {
        let json = json!({
            "a": {"b/c": [10, {"~d": "x\"y"}], "": 1}, "https://x.example/t": "t", "0": null,
            "list": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
        });
        let text = json.to_string();
        let object = Object::parse(text.as_bytes()).unwrap();
        for pointer in [
            "/a",
            "/a/b~1c",
            "/a/b~1c/0",
            "/a/b~1c/1/~0d",
            "/a/b~1c/01",
            "/a/b~1c/+1",
            "/a/b~1c/2",
            "/a/b~1c/-",
            "/a/",
            "/a/x",
            "/https:~1~1x.example~1t",
            "/0",
            "/0/x",
            "/list/10",
            "/list/1",
            "/",
            "/a/b~1c/1/~0d/0",
        ] {
            let found = object.find(&Pointer::new(pointer));
            let found = found.map(|raw| serde_json::from_str::<Value>(raw.get()).unwrap());
            assert_eq!(found.as_ref(), json.pointer(pointer), "{pointer}");
        }
        assert!(!Pointer::new("").is_valid() && !Pointer::new("a").is_valid());
    }

    /// JSON with names that are alike, and some that are so only once their escapes are resolved.
    fn any_json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            "null|true|false|0|-0|1|-1|12|1.5|1e3|1e999|18446744073709551616|01|nul"
                .prop_map(|s| s),
            "\"[ab]{0,2}\"|\"\\\\u0061\"|\"\\\\ud800\"|\"\\\\n\"".prop_map(|s| s),
        ];
        let name = prop_oneof!["\"[ab]\"", Just("\"\\u0061\"".to_owned())];
        leaf.prop_recursive(4, 64, 5, move |inner| {
            prop_oneof![
                vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
                vec((name.clone(), inner), 0..4).prop_map(|members| {
                    let members: Vec<_> =
                        members.iter().map(|(n, v)| format!("{n}: {v}")).collect();
                    format!("{{{}}}", members.join(" , "))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn an_object_is_what_the_tree_says_it_is(text in any_json()) {
            let tree = parse_object(text.as_bytes());
            let object = Object::parse(text.as_bytes());
            prop_assert_eq!(tree.is_ok(), object.is_ok(), "{}", text);
            if let (Ok(tree), Ok(object)) = (tree, object) {
                for pointer in ["/a", "/b", "/a/b", "/a/0", "/b/a/b", "/b/1"] {
                    let found = object.find(&Pointer::new(pointer));
                    let value = found.map(|raw| serde_json::from_str::<Value>(raw.get()).unwrap());
                    prop_assert_eq!(value.as_ref(), tree.pointer(pointer), "{} {}", pointer, text);
                    let text = found.and_then(string);
                    let same = tree.pointer(pointer).and_then(Value::as_str);
                    prop_assert_eq!(text.as_deref(), same);
                }
            }
        }
    }
}
