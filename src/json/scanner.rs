//! The pass through a text.

use super::{
    fault::Fault,
    number::{SURELY_FINITE, is_finite},
    string::{resolved, special},
};
use std::{borrow::Cow, collections::HashSet};

/// The largest number of arrays and objects that may be nested in each other.
pub(crate) const MAX_DEPTH: usize = 64;

/// Up to this number of names, a comparison of all pairs is faster than a set.
pub(super) const FEW: usize = 16;

/// serde_json passes a `RawValue` or a `Number` through serde as a struct with such a name. A member
/// with such a name can turn an object into something else, depending on the features of serde_json.
const RESERVED: &str = "$serde_json::private::";
pub(super) fn any_twice<'n>(names: impl ExactSizeIterator<Item = &'n str> + Clone) -> bool {
    if names.len() > FEW {
        // The set uses randomly keyed hashes, so a sender cannot choose names that collide.
        let mut seen = HashSet::with_capacity(names.len());
        return !names.into_iter().all(|name| seen.insert(name));
    }
    names.clone().enumerate().any(|(at, name)| names.clone().take(at).any(|other| other == name))
}

/// Reads a text from its start, and stops at the first fault.
///
/// It recurses at most `max_depth` levels, and reads each byte only a few times.
pub(super) struct Scanner<'a> {
    text: &'a str,
    pub(super) at: usize,
    /// The names of the members of all open nested objects, outer objects first.
    names: Vec<Cow<'a, str>>,
    max_depth: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str, max_depth: usize) -> Self {
        Self { text, at: 0, names: Vec::new(), max_depth }
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.rest().first().copied()
    }

    fn next(&mut self) -> Option<u8> {
        let next = self.peek();
        self.at += usize::from(next.is_some());
        next
    }

    pub(super) fn takes(&mut self, byte: u8) -> bool {
        let next = self.peek() == Some(byte);
        self.at += usize::from(next);
        next
    }

    /// The text from `from` to the current position. Both are character boundaries, next to ASCII.
    pub(super) fn since(&self, from: usize) -> &'a str {
        self.text.get(from..self.at).unwrap_or_default()
    }

    pub(super) fn white(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    /// Checks that only white space is left.
    pub(super) fn end(&mut self) -> Result<(), Fault> {
        self.white();
        if self.peek().is_none() { Ok(()) } else { Err(Fault::Grammar) }
    }

    /// Reads one value inside `depth` arrays and objects.
    pub(super) fn value(&mut self, depth: usize) -> Result<(), Fault> {
        match self.peek() {
            Some(b'"') => self.string().map(drop),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            _ => Err(Fault::Grammar),
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Fault> {
        if !self.rest().starts_with(word) {
            return Err(Fault::Grammar);
        }
        self.at += word.len();
        Ok(())
    }

    fn object(&mut self, depth: usize) -> Result<(), Fault> {
        let outer = self.names.len();
        self.members(depth, |scanner, name, _, _| scanner.names.push(name))?;
        let names = self.names.get(outer..).unwrap_or_default();
        if any_twice(names.iter().map(|name| &**name)) {
            return Err(Fault::Twice);
        }
        self.names.truncate(outer);
        Ok(())
    }

    pub(super) fn members(
        &mut self,
        depth: usize,
        mut found: impl FnMut(&mut Self, Cow<'a, str>, &'a str, &'a str),
    ) -> Result<(), Fault> {
        self.open(b'{', depth)?;
        if self.takes(b'}') {
            return Ok(());
        }
        loop {
            let from = self.at;
            let name = match self.string()? {
                (name, false) => Cow::Borrowed(name),
                (name, true) => resolved(name).ok_or(Fault::Grammar)?,
            };
            let written = self.since(from);
            if name.starts_with(RESERVED) {
                return Err(Fault::Reserved);
            }
            self.white();
            if !self.takes(b':') {
                return Err(Fault::Grammar);
            }
            self.white();
            let from = self.at;
            self.value(depth + 1)?;
            let value = self.since(from);
            found(self, name, written, value);
            if !self.goes_on(b'}')? {
                return Ok(());
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<(), Fault> {
        self.open(b'[', depth)?;
        if self.takes(b']') {
            return Ok(());
        }
        loop {
            self.value(depth + 1)?;
            if !self.goes_on(b']')? {
                return Ok(());
            }
        }
    }

    fn open(&mut self, bracket: u8, depth: usize) -> Result<(), Fault> {
        if depth >= self.max_depth {
            return Err(Fault::Depth(self.max_depth));
        }
        if !self.takes(bracket) {
            return Err(Fault::Grammar);
        }
        self.white();
        Ok(())
    }

    /// Takes a comma (`true`) or the closing bracket (`false`).
    fn goes_on(&mut self, closes: u8) -> Result<bool, Fault> {
        self.white();
        if self.takes(b',') {
            self.white();
            return Ok(true);
        }
        if self.takes(closes) { Ok(false) } else { Err(Fault::Grammar) }
    }

    fn number(&mut self) -> Result<(), Fault> {
        let from = self.at;
        self.takes(b'-');
        let whole = if self.takes(b'0') { 1 } else { self.digits()? };
        if self.takes(b'.') {
            self.digits()?;
        }
        let mut surely_finite = whole <= SURELY_FINITE;
        if self.takes(b'e') || self.takes(b'E') {
            let _sign = self.takes(b'+') || self.takes(b'-');
            self.digits()?;
            surely_finite = false;
        }
        if surely_finite || is_finite(self.since(from)) { Ok(()) } else { Err(Fault::Number) }
    }

    /// Takes one digit or more, and returns their number.
    fn digits(&mut self) -> Result<usize, Fault> {
        let digits = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += digits;
        if digits == 0 { Err(Fault::Grammar) } else { Ok(digits) }
    }

    /// Takes a string. Returns the text between its quotes, and whether it has escapes.
    fn string(&mut self) -> Result<(&'a str, bool), Fault> {
        if !self.takes(b'"') {
            return Err(Fault::Grammar);
        }
        let from = self.at;
        let mut has_escapes = false;
        loop {
            self.plain();
            let inside = self.since(from);
            match self.next() {
                Some(b'"') => return Ok((inside, has_escapes)),
                Some(b'\\') => {
                    self.escape()?;
                    has_escapes = true;
                }
                // The end of the text, or a control character (RFC 8259 section 7).
                _ => return Err(Fault::Grammar),
            }
        }
    }

    /// Takes the bytes of a string up to the next quote, backslash or control character.
    fn plain(&mut self) {
        let (words, last) = self.rest().as_chunks();
        for word in words {
            let special = special(*word);
            if special < 8 {
                self.at += special;
                return;
            }
            self.at += 8;
        }
        self.at += last.iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | ..0x20)).count();
    }

    /// Takes the rest of an escape, after the backslash (RFC 8259 section 7).
    fn escape(&mut self) -> Result<(), Fault> {
        match self.next() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(()),
            Some(b'u') => match self.unit()? {
                0xd800..0xdc00 => {
                    let pair = self.takes(b'\\') && self.takes(b'u');
                    let paired = pair && matches!(self.unit()?, 0xdc00..0xe000);
                    if paired { Ok(()) } else { Err(Fault::Surrogate) }
                }
                0xdc00..0xe000 => Err(Fault::Surrogate),
                _ => Ok(()),
            },
            _ => Err(Fault::Grammar),
        }
    }

    /// Takes four hexadecimal digits: one UTF-16 code unit.
    fn unit(&mut self) -> Result<u32, Fault> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.next().and_then(|byte| char::from(byte).to_digit(16));
            unit = unit << 4 | digit.ok_or(Fault::Grammar)?;
        }
        Ok(unit)
    }
}
