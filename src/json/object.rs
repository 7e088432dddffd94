//! An object, its members and their values.

use super::{
    fault::Fault,
    scanner::{FEW, Scanner, any_twice},
    string::resolved,
};
use std::borrow::Cow;

/// The text of one checked value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Json<'a>(&'a str);

/// One member of an object.
#[derive(Clone, Debug)]
pub(crate) struct Member<'a> {
    /// The name, with its escapes resolved.
    pub(crate) name: Cow<'a, str>,
    /// The name as it was written, with its quotes.
    pub(crate) written: &'a str,
    pub(crate) value: Json<'a>,
}

/// A checked object. Its values are decoded only when the caller asks for them.
#[derive(Debug)]
pub(crate) struct Object<'a>(Vec<Member<'a>>);

impl<'a> Object<'a> {
    /// Checks all of `text` in one pass. Time and memory grow in proportion to its length.
    #[cfg(any(test, feature = "jwt"))]
    pub(crate) fn parse(text: &'a str) -> Result<Self, Fault> {
        Self::within(super::scanner::MAX_DEPTH, text)
    }

    /// The same as [`parse`](Self::parse), with another limit of nesting.
    pub(crate) fn within(max_depth: usize, text: &'a str) -> Result<Self, Fault> {
        let mut scanner = Scanner::new(text, max_depth);
        scanner.white();
        if scanner.peek() != Some(b'{') {
            scanner.value(0)?;
            scanner.end()?;
            return Err(Fault::NotAnObject);
        }
        let mut members = Vec::with_capacity(FEW);
        scanner.members(0, |_, name, written, value| {
            members.push(Member { name, written, value: Json(value) });
        })?;
        scanner.end()?;
        if any_twice(members.iter().map(|member| &*member.name)) {
            return Err(Fault::Twice);
        }
        Ok(Self(members))
    }

    /// The members, in the order in which they were written.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Member<'a>> {
        self.0.iter()
    }

    /// The value of the member of this name.
    #[cfg(feature = "jwt")]
    pub(crate) fn get(&self, name: &str) -> Option<Json<'a>> {
        self.members().find(|member| member.name == name).map(|member| member.value)
    }
}

impl<'a> Json<'a> {
    /// The value as it was written.
    pub(crate) fn text(self) -> &'a str {
        self.0
    }

    /// The decoded string, if the value is a string.
    pub(crate) fn string(self) -> Option<Cow<'a, str>> {
        resolved(self.0.strip_prefix('"')?.strip_suffix('"')?)
    }

    /// The items, if the value is an array.
    #[cfg(feature = "jwt")]
    pub(crate) fn items(self) -> Option<impl Iterator<Item = Self>> {
        let mut scanner = Scanner::new(self.0, super::scanner::MAX_DEPTH);
        scanner.takes(b'[').then(|| {
            std::iter::from_fn(move || {
                scanner.white();
                scanner.takes(b',');
                scanner.white();
                let from = scanner.at;
                // This is an error, and ends the iterator, at the end of the array.
                scanner.value(0).ok()?;
                Some(Self(scanner.since(from)))
            })
        })
    }
}
