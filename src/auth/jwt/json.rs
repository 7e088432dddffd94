//! JSON of keys and tokens, and JSON pointers into it.

use super::config_error::JwtConfigError;
use crate::json::{Fault, Json, Object};
use serde_json::Value;

/// Parses an object into a tree.
pub(super) fn parse_object(text: &[u8]) -> Result<Value, Fault> {
    let text = std::str::from_utf8(text).map_err(|_| Fault::Grammar)?;
    Object::parse(text)?;
    // `Object::parse` refuses member names that are special to serde_json. So the tree has exactly the
    // checked members, with any features of serde_json.
    serde_json::from_str(text).map_err(|_| Fault::Grammar)
}

impl<'a> Object<'a> {
    /// The claim of this name. A claim that is `null` is absent.
    pub(super) fn claim(&self, name: &str) -> Option<Json<'a>> {
        self.get(name).filter(|value| !value.is_null())
    }

    /// The claim at the pointer (RFC 6901 section 4). `None`: the claim is absent, because the claim or a
    /// value above it is `null` or does not exist.
    ///
    /// # Errors
    ///
    /// If a value above the claim exists, but cannot have such a child.
    pub(super) fn find(&self, pointer: &Pointer) -> Result<Option<Json<'a>>, NoParent> {
        let Some((first, rest)) = pointer.tokens.split_first() else { return Ok(None) };
        let Some(mut value) = self.claim(first) else { return Ok(None) };
        for token in rest {
            match child(value, token)? {
                Some(child) if !child.is_null() => value = child,
                _ => return Ok(None),
            }
        }
        Ok(Some(value))
    }
}

impl<'a> Json<'a> {
    pub(super) fn is_null(self) -> bool {
        self.text() == "null"
    }

    /// The text of a number that has neither a fraction nor an exponent.
    pub(super) fn integer(self) -> Option<&'a str> {
        let digits = self.text().strip_prefix('-').unwrap_or(self.text());
        digits.bytes().all(|byte| byte.is_ascii_digit()).then_some(self.text())
    }

    /// The kind of the value. It never contains the value itself.
    pub(super) fn kind(self) -> &'static str {
        match self.text().bytes().next() {
            Some(b'{') => "an object",
            Some(b'[') => "an array",
            Some(b'"') => "a string",
            Some(b't' | b'f') => "a boolean",
            Some(b'n') => "null",
            _ => "a number",
        }
    }
}

/// A value above a claim cannot have such a child: it is neither an object nor an array, or it is an array
/// and the name is not an index. The claim is then malformed, not absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoParent;

/// The member of an object or the item of an array with this name.
fn child<'a>(value: Json<'a>, token: &str) -> Result<Option<Json<'a>>, NoParent> {
    if let Some(mut items) = value.items() {
        // An index has no leading zero and no sign (RFC 6901 section 4).
        let is_index = token == "0"
            || (!token.starts_with('0') && token.bytes().all(|byte| byte.is_ascii_digit()));
        if token.is_empty() || !is_index {
            return Err(NoParent);
        }
        // An index that does not fit into a `usize` is beyond the end of any array.
        return Ok(token.parse().ok().and_then(|index| items.nth(index)));
    }
    match Object::parse(value.text()) {
        Ok(object) => Ok(object.get(token)),
        // The grammar was checked before, so the value is a string, a number, a boolean or null.
        Err(_) => Err(NoParent),
    }
}

/// A parsed JSON pointer (RFC 6901) to a claim.
#[derive(Clone, Debug)]
pub(super) struct Pointer {
    text: String,
    tokens: Vec<String>,
}

impl Pointer {
    /// A pointer that does not start with `/` finds nothing, and [`is_valid`](Self::is_valid) returns `false`
    /// for it.
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

    pub(super) fn check(&self) -> Result<(), JwtConfigError> {
        if self.is_valid() {
            Ok(())
        } else {
            Err(JwtConfigError::ClaimName(self.as_str().to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{NoParent, Pointer, parse_object};
    use crate::json::{Fault, Object};
    use serde_json::{Value, json};

    #[test]
    fn a_tree_has_exactly_the_members_that_were_checked() {
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
    fn a_pointer_finds_the_same_value_as_in_serde_json() {
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
            let found = object.find(&Pointer::new(pointer)).unwrap_or_default();
            let found = found.map(|found| serde_json::from_str::<Value>(found.text()).unwrap());
            let expected = json.pointer(pointer).filter(|value| !value.is_null());
            assert_eq!(found.as_ref(), expected, "{pointer}");
        }
        assert!(!Pointer::new("").is_valid() && !Pointer::new("a").is_valid());
    }

    #[test]
    fn an_absent_claim_is_not_an_error_and_an_unsuitable_parent_is() {
        let text = r#"{"o":{"a":{},"null":null},"list":[[],{"a":1},null],"s":"x","n":1,"t":true,"null":null}"#;
        let object = Object::parse(text).unwrap();
        let find = |pointer: &str| object.find(&Pointer::new(pointer)).map(|found| found.is_some());
        for pointer in ["/o/a", "/list/1/a", "/s"] {
            assert_eq!(find(pointer), Ok(true), "{pointer}");
        }
        for pointer in [
            "/x",
            "/x/y",
            "/o/b",
            "/o/0",
            "/o/a/b/c",
            "/null",
            "/null/a",
            "/null/a/b",
            "/o/null",
            "/o/null/a",
            "/list/2",
            "/list/2/a",
            "/list/3",
            "/list/3/a",
            "/list/0/0",
            "/list/99999999999999999999999999",
            "/list/1/b",
        ] {
            assert_eq!(find(pointer), Ok(false), "{pointer}");
        }
        for pointer in [
            "/s/a",
            "/s/0",
            "/n/a",
            "/t/a",
            "/list/a",
            "/list/",
            "/list/-",
            "/list/01",
            "/list/+1",
            "/list/0/a",
            "/list/a/b",
            "/list/1/a/0",
            "/s/a/b",
        ] {
            assert_eq!(find(pointer), Err(NoParent), "{pointer}");
        }
    }
}
