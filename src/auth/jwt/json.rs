//! Where a claim is in a token's payload.

use crate::json::{Fault, Json, Object};
use serde_json::Value;

/// Parses an object into a tree.
pub(super) fn parse_object(text: &[u8]) -> Result<Value, Fault> {
    let text = std::str::from_utf8(text).map_err(|_| Fault::Grammar)?;
    Object::parse(text)?;
    // No member has a name that serde_json reads in a way of its own, so whatever its features are,
    // the tree is what was looked through.
    serde_json::from_str(text).map_err(|_| Fault::Grammar)
}

impl<'a> Object<'a> {
    /// What the pointer points to (RFC 6901 section 4).
    pub(super) fn find(&self, pointer: &Pointer) -> Option<Json<'a>> {
        let (first, rest) = pointer.tokens.split_first()?;
        rest.iter().try_fold(self.get(first)?, |value, token| child(value, token))
    }
}

/// What is named so in an object or an array.
fn child<'a>(value: Json<'a>, token: &str) -> Option<Json<'a>> {
    match value.items() {
        // An index has one spelling.
        Some(mut items) => {
            let index: usize = token.parse().ok()?;
            items.nth(index).filter(|_| index.to_string() == token)
        }
        None => Object::parse(value.text()).ok()?.get(token),
    }
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

#[cfg(test)]
mod tests {
    use super::{Pointer, parse_object};
    use crate::json::{Fault, Object};
    use serde_json::{Value, json};

    #[test]
    fn a_tree_is_made_of_what_was_looked_through_only() {
        let text = br#"{"a":[1,-2,2.5,"x",null,true,{"b":{}}]}"#;
        assert_eq!(parse_object(text).unwrap(), serde_json::from_slice::<Value>(text).unwrap());
        for (text, fault) in [
            (&b"{\"a\":{\"$serde_json::private::RawValue\":\"[]\"}}"[..], Fault::Reserved),
            (br#"{"keys":[{"kty":"RSA","kty":"oct"}]}"#, Fault::Twice),
            (b"[]", Fault::NotAnObject),
            (b"{\"a\":\"\xff\"}", Fault::Grammar),
        ] {
            assert_eq!(parse_object(text).unwrap_err(), fault);
        }
    }

    #[test]
    fn pointers_find_what_they_do_in_a_tree() {
        let json = json!({
            "a": {"b/c": [10, {"~d": "x\"y"}], "": 1}, "https://x.example/t": "t", "0": null,
            "list": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
        });
        let text = json.to_string();
        let object = Object::parse(&text).unwrap();
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
            let found = found.map(|found| serde_json::from_str::<Value>(found.text()).unwrap());
            assert_eq!(found.as_ref(), json.pointer(pointer), "{pointer}");
        }
        assert!(!Pointer::new("").is_valid() && !Pointer::new("a").is_valid());
    }
}
