//! JSON that comes from outside, read in one strict pass: claims, JOSE headers, JWK sets, and the
//! messages of clients.
//!
//! RFC 8259 leaves much of what a text means to its reader: which of two members of one name counts,
//! what half of a surrogate pair is, how large a number may be, how deep values may be nested. Two
//! readers that choose differently see two texts, and a strict one sees none. So all of that is
//! refused, at every depth (I-JSON, RFC 7493, asks the same of a sender).

use std::{borrow::Cow, cmp::Ordering, collections::HashSet, iter};

/// So many arrays and objects may stand in each other.
pub(crate) const MAX_DEPTH: usize = 64;

/// Up to so many names are compared one with the other: a set takes longer to fill.
const FEW: usize = 16;

/// Under such names serde_json hands a `RawValue` or a `Number` through serde. As the name of a
/// member, one turns an object into something else, as the features of serde_json have it.
const RESERVED: &str = "$serde_json::private::";

/// An integer of so many digits is less than the largest double.
const SURELY_FINITE: usize = 308;

/// The smallest number that a double rounds to infinity, 2^1024 - 2^970: half a step above the
/// largest double.
const INFINITE: &str = "1797693134862315807937289714053034150799341327100378269361737789804449682927647509466490\
    1797758720709633028641669288791094655554785194040263065748867150582068190890200070838367\
    6273854845817711531764475730270069855571366959622842914819860834936475292719074168444365\
    510704342711559699508093042880177904174497792";

/// Why a text is refused. It repeats nothing of the text, so clients may see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("it is not valid JSON")]
    Grammar,
    #[error("it is not an object")]
    NotAnObject,
    #[error("an object in it has two members of the same name")]
    Twice,
    #[error("its arrays and objects are nested more than {0} levels deep")]
    Depth(usize),
    #[error("a number in it is too large for a double")]
    Number,
    #[error("a string in it has half of a surrogate pair")]
    Surrogate,
    #[error("a member in it has a name that starts with `$serde_json::private::`")]
    Reserved,
}

/// The text of one value that was looked through.
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

/// An object that was looked through, whose values are read when they are asked for.
#[derive(Debug)]
pub(crate) struct Object<'a>(Vec<Member<'a>>);

impl<'a> Object<'a> {
    /// Looks through all of `text`, once. Takes time and memory in proportion to its length.
    #[cfg(any(test, feature = "jwt"))]
    pub(crate) fn parse(text: &'a str) -> Result<Self, Fault> {
        Self::within(MAX_DEPTH, text)
    }

    /// As [`parse`](Self::parse), for a text of at most so many levels.
    pub(crate) fn within(max_depth: usize, text: &'a str) -> Result<Self, Fault> {
        let mut scanner = Scanner::new(text, max_depth);
        scanner.white();
        if scanner.peek() != Some(b'{') {
            scanner.value(0)?;
            scanner.end()?;
            return Err(Fault::NotAnObject);
        }
        let mut members = Vec::with_capacity(FEW);
        scanner.members(0, |_, member| members.push(member))?;
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

    /// The string that the value is, if it is one.
    pub(crate) fn string(self) -> Option<Cow<'a, str>> {
        resolved(self.0.strip_prefix('"')?.strip_suffix('"')?)
    }

    /// The values in the array that the value is, if it is one.
    #[cfg(feature = "jwt")]
    pub(crate) fn items(self) -> Option<impl Iterator<Item = Self>> {
        let mut scanner = Scanner::new(self.0, MAX_DEPTH);
        scanner.takes(b'[').then(|| {
            iter::from_fn(move || {
                scanner.white();
                scanner.takes(b',');
                scanner.white();
                let from = scanner.at;
                // At the end of the array there is no value.
                scanner.value(0).ok()?;
                Some(Self(scanner.since(from)))
            })
        })
    }
}

/// What is between the quotes of a string that was looked through.
fn resolved(inside: &str) -> Option<Cow<'_, str>> {
    let Some((plain, mut escape)) = inside.split_once('\\') else {
        return Some(Cow::Borrowed(inside));
    };
    let mut text = String::with_capacity(inside.len());
    text.push_str(plain);
    loop {
        let mut rest = escape.chars();
        let hex = |rest: &mut std::str::Chars<'_>| {
            let (digits, after) = rest.as_str().split_at_checked(4)?;
            *rest = after.chars();
            u32::from_str_radix(digits, 16).ok()
        };
        text.push(match rest.next()? {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let unit = hex(&mut rest)?;
                match char::from_u32(unit) {
                    Some(char) => char,
                    // A surrogate, and the other half of the pair behind `\u`.
                    None => {
                        rest.nth(1)?;
                        let low = hex(&mut rest)?;
                        let offset = (unit & 0x3ff) << 10 | (low & 0x3ff);
                        char::from_u32(0x1_0000 + offset)?
                    }
                }
            }
            itself => itself,
        });
        match rest.as_str().split_once('\\') {
            Some((plain, next)) => {
                text.push_str(plain);
                escape = next;
            }
            None => {
                text.push_str(rest.as_str());
                return Some(Cow::Owned(text));
            }
        }
    }
}

fn any_twice<'n>(names: impl ExactSizeIterator<Item = &'n str> + Clone) -> bool {
    if names.len() > FEW {
        // Its hashes are keyed at random, so that nobody can choose names that collide.
        let mut seen = HashSet::with_capacity(names.len());
        return !names.into_iter().all(|name| seen.insert(name));
    }
    names.clone().enumerate().any(|(at, name)| names.clone().take(at).any(|other| other == name))
}

/// Reads a text from its start, and refuses it at the first fault.
///
/// It recurses at most `max_depth` deep, and looks at no byte more than a few times.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
    /// The names of the nested objects that are open, those of one behind those of another.
    names: Vec<Cow<'a, str>>,
    max_depth: usize,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a str, max_depth: usize) -> Self {
        Self { text, at: 0, names: Vec::new(), max_depth }
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.rest().first().copied()
    }

    fn next(&mut self) -> Option<u8> {
        let next = self.peek();
        self.at += usize::from(next.is_some());
        next
    }

    fn takes(&mut self, byte: u8) -> bool {
        let next = self.peek() == Some(byte);
        self.at += usize::from(next);
        next
    }

    /// What was read since `from`. Both ends are next to a byte of ASCII.
    fn since(&self, from: usize) -> &'a str {
        self.text.get(from..self.at).unwrap_or_default()
    }

    fn white(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    /// Nothing but white space is left.
    fn end(&mut self) -> Result<(), Fault> {
        self.white();
        if self.peek().is_none() { Ok(()) } else { Err(Fault::Grammar) }
    }

    /// Reads one value that stands in `depth` others.
    fn value(&mut self, depth: usize) -> Result<(), Fault> {
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
        self.members(depth, |scanner, member| scanner.names.push(member.name))?;
        let names = self.names.get(outer..).unwrap_or_default();
        if any_twice(names.iter().map(|name| &**name)) {
            return Err(Fault::Twice);
        }
        self.names.truncate(outer);
        Ok(())
    }

    fn members(
        &mut self,
        depth: usize,
        mut found: impl FnMut(&mut Self, Member<'a>),
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
            let value = Json(self.since(from));
            found(self, Member { name, written, value });
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

    /// Whether a comma comes next, and not what closes.
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

    /// Takes one digit or more, and says how many.
    fn digits(&mut self) -> Result<usize, Fault> {
        let digits = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += digits;
        if digits == 0 { Err(Fault::Grammar) } else { Ok(digits) }
    }

    /// Takes a string. Gives what is between its quotes, and whether it has escapes.
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
                // The text ends, or has a control character (RFC 8259 section 7).
                _ => return Err(Fault::Grammar),
            }
        }
    }

    /// Takes what stands for itself in a string.
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

    /// Takes what stands behind a backslash (RFC 8259 section 7).
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

    /// Takes four hexadecimal digits: a unit of UTF-16.
    fn unit(&mut self) -> Result<u32, Fault> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.next().and_then(|byte| char::from(byte).to_digit(16));
            unit = unit << 4 | digit.ok_or(Fault::Grammar)?;
        }
        Ok(unit)
    }
}

/// Whether the nearest double of a number of JSON is finite.
///
/// It reads the digits and parses no float: a literal that is chosen for it costs microseconds there,
/// and anybody can send a few hundred of them in one header.
fn is_finite(literal: &str) -> bool {
    let (mantissa, exponent) = literal.split_once(['e', 'E']).unwrap_or((literal, ""));
    let mantissa = mantissa.strip_prefix('-').unwrap_or(mantissa);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = || whole.bytes().chain(fraction.bytes());
    let Some(zeros) = digits().position(|digit| digit != b'0') else { return true };
    // The number is d.ddd times ten to this power. It saturates far from where that matters: no text
    // has so many digits.
    let before = |digits: usize| i64::try_from(digits).unwrap_or(i64::MAX);
    let power = before(whole.len())
        .saturating_sub(1)
        .saturating_sub(before(zeros))
        .saturating_add(saturating(exponent));
    match power.cmp(&308) {
        Ordering::Less => true,
        Ordering::Greater => false,
        Ordering::Equal => {
            let significant = digits().skip(zeros).chain(iter::repeat(b'0'));
            significant.take(INFINITE.len()).lt(INFINITE.bytes())
        }
    }
}

/// An exponent of JSON. None is zero.
fn saturating(exponent: &str) -> i64 {
    let (is_negative, digits) = match exponent.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, exponent.strip_prefix('+').unwrap_or(exponent)),
    };
    let power = digits.bytes().fold(0_i64, |power, digit| {
        power.saturating_mul(10).saturating_add(i64::from(digit.wrapping_sub(b'0')))
    });
    if is_negative { -power } else { power }
}

/// Where the first of eight bytes is that does not stand for itself in a string. Eight: nowhere.
fn special(word: [u8; 8]) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    let word = u64::from_le_bytes(word);
    // The high bit of each byte that is less than `bound`, up to the first one exactly: only there
    // may a bit be borrowed from.
    let below = |word: u64, bound: u64| word.wrapping_sub(ONES * bound) & !word;
    let is = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    let found = (is(b'"') | is(b'\\') | below(word, 0x20)) & (ONES << 7);
    (found.trailing_zeros() / 8) as usize
}

#[cfg(test)]
mod tests {
    use super::{FEW, Fault, INFINITE, MAX_DEPTH, Object, is_finite};
    use proptest::{collection::vec, prelude::*};
    use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
    use serde_json::Value;
    use std::{collections::HashSet, fmt};

    /// Any JSON without duplicate members, as serde_json reads it.
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

    fn depth(value: &Value) -> usize {
        match value {
            Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
            Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
        }
    }

    /// What serde_json makes of a text that we take.
    fn by_serde_json(text: &str) -> Option<Value> {
        serde_json::from_str::<NoDuplicates>(text).ok()?;
        let value: Value = serde_json::from_str(text).ok()?;
        (value.is_object() && depth(&value) <= MAX_DEPTH).then_some(value)
    }

    fn fault(text: &str) -> Option<Fault> {
        Object::parse(text).err()
    }

    #[test]
    fn what_strict_readers_take_is_taken() {
        for text in [
            "{}",
            " {\r\n\t} ",
            r#"{"a":[1,-2,2.5,"x",null,true,false,{"b":{}},[],[[]]]}"#,
            r#"{"a":{"b":1},"b":{"a":1},"c":[{"a":1},{"a":1}]}"#,
            r#"{"\u0061":1,"\u0062":2,"A":3,"a ":4,"":5}"#,
            r#"{"a":"\"\\\/\b\f\n\r\t\u00e9\uD83D\ude00"}"#,
            "{\"a\":\"\u{7f}\u{80}é😀\u{ffff}\"}",
            r#"{"a":[0,-0,0.0,1e5,1E+5,1e-400,0e999,1.7976931348623157e308,18446744073709551616]}"#,
            r#"{"$serde_json":1,"serde_json::private::x":2,"$":3,"$serde_json::privat":4}"#,
            r#"{"a":"$serde_json::private::Number"}"#,
        ] {
            assert_eq!(fault(text), None, "{text}");
            assert!(by_serde_json(text).is_some(), "{text}");
        }
        let digits = format!("{{\"a\":{}}}", "9".repeat(308));
        assert_eq!(fault(&digits), None);
    }

    #[test]
    fn what_two_readers_may_read_differently_is_refused_at_every_depth() {
        let many = |last: &str| {
            let members: String = (0..2 * FEW).map(|n| format!("\"m{n}\":0,")).collect();
            format!("{{{members}\"{last}\":0}}")
        };
        assert_eq!(fault(&many("x")), None);
        let huge = format!("{{\"a\":{}}}", "9".repeat(309));
        let huger = format!("{{\"a\":-1{}.5}}", "0".repeat(100_000));
        let table = [
            (r#"{"a":1,"a":1}"#, Fault::Twice),
            (r#"{"a":1,"\u0061":1}"#, Fault::Twice),
            (r#"{"\ud83d\ude00":1,"😀":1}"#, Fault::Twice),
            (r#"{"\/":1,"/":1}"#, Fault::Twice),
            (r#"{"":1,"":1}"#, Fault::Twice),
            (&many("m7"), Fault::Twice),
            (&many(r"\u006d7"), Fault::Twice),
            (r#"{"a":1e309}"#, Fault::Number),
            (r#"{"a":-1e400}"#, Fault::Number),
            (r#"{"a":0.1e999999999999999999999}"#, Fault::Number),
            (r#"{"a":1.7976931348623159e308}"#, Fault::Number),
            (&huge, Fault::Number),
            (&huger, Fault::Number),
            (r#"{"a":"\ud800"}"#, Fault::Surrogate),
            (r#"{"a":"\udc00"}"#, Fault::Surrogate),
            (r#"{"a":"\ud800\ud800"}"#, Fault::Surrogate),
            (r#"{"a":"\ud800x\udc00"}"#, Fault::Surrogate),
            (r#"{"a":"\ude00\ud83d"}"#, Fault::Surrogate),
            (r#"{"a":"\uD83D\n"}"#, Fault::Surrogate),
            (r#"{"\ud800":1}"#, Fault::Surrogate),
            (r#"{"$serde_json::private::Number":"1e400"}"#, Fault::Reserved),
            (r#"{"$serde_json::private::RawValue":"{}"}"#, Fault::Reserved),
            (r#"{"$serde_json::private::":1}"#, Fault::Reserved),
            (r#"{"\u0024serde_json::private::RawValue":"{}"}"#, Fault::Reserved),
            (r#"{"x":1,"$serde_json\u003a:private::OfTomorrow":1}"#, Fault::Reserved),
        ];
        for (text, expected) in table {
            assert_eq!(fault(text), Some(expected), "{text:.200}");
            for deep in [
                format!(r#"{{"x":{text}}}"#),
                format!(r#"{{"x":[0,[{{"a":{{}}}},{text}]]}}"#),
                format!(r#"{{"x":{{"y":{{"z":{text}}}}},"y":1}}"#),
            ] {
                assert_eq!(fault(&deep), Some(expected), "{deep:.200}");
            }
        }
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in [
            "",
            " ",
            "{",
            "}",
            "{]",
            "{} x",
            "{}{}",
            "{}\0",
            "\u{feff}{}",
            "\u{a0}{}",
            "{,}",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{"a":1 "b":2}"#,
            r#"{"a":[1,]}"#,
            r#"{"a":[,1]}"#,
            r#"{"a":[1 2]}"#,
            r#"{"a":[1}"#,
            r#"{"a":[1"#,
            r#"{a:1}"#,
            r#"{'a':1}"#,
            r#"{1:1}"#,
            r#"{"a":01}"#,
            r#"{"a":-}"#,
            r#"{"a":+1}"#,
            r#"{"a":.5}"#,
            r#"{"a":1.}"#,
            r#"{"a":1e}"#,
            r#"{"a":1e+}"#,
            r#"{"a":1.e5}"#,
            r#"{"a":-01}"#,
            r#"{"a":0x10}"#,
            r#"{"a":NaN}"#,
            r#"{"a":Infinity}"#,
            r#"{"a":tru}"#,
            r#"{"a":True}"#,
            r#"{"a":nulll}"#,
            "{\"a\":\"\n\"}",
            "{\"a\":\"\0\"}",
            "{\"a\":\"1234567\u{1f}\"}",
            r#"{"a":"b}"#,
            r#"{"a":"b\"}"#,
            r#"{"a":"\x41"}"#,
            r#"{"a":"\u12"}"#,
            r#"{"a":"\u+123"}"#,
            r#"{"a":"\u12g4"}"#,
            r#"{"a":"\ud83d\u12"}"#,
            r#"{"a":/**/1}"#,
        ] {
            assert_eq!(fault(text), Some(Fault::Grammar), "{text}");
        }
        for text in ["[]", "1", "null", "\"x\"", "[{\"a\":1}]"] {
            assert_eq!(fault(text), Some(Fault::NotAnObject), "{text}");
        }
    }

    #[test]
    fn nesting_is_bounded_whatever_nests() {
        let nested = |open: &str, close: &str, levels: usize| {
            format!("{{\"a\":{}1{}}}", open.repeat(levels - 1), close.repeat(levels - 1))
        };
        for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[[{\"a\":[", "]}]]")] {
            let of_one = open.matches(['[', '{']).count();
            let fits = (MAX_DEPTH - 1) / of_one + 1;
            assert_eq!(fault(&nested(open, close, fits)), None, "{open}");
            assert_eq!(
                fault(&nested(open, close, fits + 1)),
                Some(Fault::Depth(MAX_DEPTH)),
                "{open}"
            );
            assert_eq!(
                fault(&nested(open, close, 1_000_000)),
                Some(Fault::Depth(MAX_DEPTH)),
                "{open}"
            );
        }
        // Wide is not deep.
        let wide = format!("{{\"a\":[{}0]}}", "[[]],".repeat(1000));
        assert_eq!(fault(&wide), None);
    }

    #[test]
    fn a_number_is_too_large_exactly_where_a_double_is_infinite() {
        // One less than the first that is infinite.
        let below = format!("{}1", &INFINITE[..INFINITE.len() - 1]);
        let mut table = vec!["0".to_owned(), "-0.0e-0".to_owned(), "1e308".to_owned()];
        for digits in [INFINITE, &below, "17976931348623157", "17976931348623158", "9", "1"] {
            let (first, rest) = digits.split_at(1);
            for rest in
                [rest.to_owned(), format!("{rest}{}1", "0".repeat(5000)), format!("{rest}99")]
            {
                table.push(format!("{first}.{rest}0e308"));
                table.push(format!("{first}{rest}e{}", 308_i64 - rest.len() as i64));
                for zeros in [1, 400, 5000] {
                    let zeros = "0".repeat(zeros);
                    table.push(format!("-0.{zeros}{first}{rest}E+{}", 309 + zeros.len()));
                    table.push(format!(
                        "{first}{rest}{zeros}e{}",
                        308_i64 - (rest.len() + zeros.len()) as i64
                    ));
                    table.push(format!("{first}.{rest}0E-{zeros}308"));
                    table.push(format!("{first}.{rest}0E{zeros}308"));
                }
            }
        }
        for exponent in
            ["9".repeat(5000), "9223372036854775807".into(), "18446744073709551616".into()]
        {
            for mantissa in ["0", "0.000", "1", "0.0001", "10000"] {
                table.extend(["", "+", "-"].map(|sign| format!("{mantissa}e{sign}{exponent}")));
            }
        }
        let (mut finite, mut infinite) = (0, 0);
        for literal in table {
            let expected = literal.parse::<f64>().unwrap().is_finite();
            *(if expected { &mut finite } else { &mut infinite }) += 1;
            assert_eq!(is_finite(&literal), expected, "{literal:.400}");
            let told = fault(&format!("{{\"a\":{literal}}}"));
            assert_eq!(told, (!expected).then_some(Fault::Number), "{literal:.400}");
        }
        assert!(finite > 50 && infinite > 50, "{finite} {infinite}");
    }

    #[test]
    fn values_and_names_are_given_as_they_were_written() {
        let text = " { \"a\" :\t[1, {\"b\" :2} ,\"x\"] , \"\\u0062\\n\":\"\\ud83d\\ude00\\\\\" } ";
        let object = Object::parse(text).unwrap();
        let members: Vec<_> = object.members().collect();
        assert_eq!(members[0].name, "a");
        assert_eq!(members[0].value.text(), "[1, {\"b\" :2} ,\"x\"]");
        assert_eq!(members[0].value.string(), None);
        assert_eq!(members[1].name, "b\n");
        assert_eq!(members[1].written, "\"\\u0062\\n\"");
        assert_eq!(members[1].value.text(), "\"\\ud83d\\ude00\\\\\"");
        assert_eq!(members[1].value.string().unwrap(), "😀\\");
    }

    /// JSON with names that are alike, and some that are so only once their escapes are resolved.
    fn any_json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            "null|true|false|0|-0|1|-1|12|1.5|1e3|1e999|18446744073709551616|01|nul"
                .prop_map(|s| s),
            "-?[0-9]{1,3}(\\.[0-9]{0,2})?([eE][+-]?[0-9]{1,3})?".prop_map(|s| s),
            "\"[ab]{0,2}\"|\"\\\\u0061\"|\"\\\\ud800\"|\"\\\\n\"".prop_map(|s| s),
            "\"([ -~é😀]|\\\\[\"\\\\/bfnrtux]|\\\\u[dD][89abcdef][0-9a-f]{2}){0,12}\""
                .prop_map(|s| s),
        ];
        let name = prop_oneof!["\"[ab]\"", Just("\"\\u0061\"".to_owned()), "\"[a-z]{0,9}\""];
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

    /// Numbers around the border, and any others.
    fn any_number() -> impl Strategy<Value = String> {
        // Some digits of the border, some of one's own, and a shift that the exponent makes good.
        let near = (0..=INFINITE.len(), "[0-9]{0,30}", 0..700_usize, -2..=2_i64).prop_map(
            |(shared, own, point, off)| {
                let digits = format!("{}{own}", &INFINITE[..shared]);
                let digits = if digits.is_empty() { "1".to_owned() } else { digits };
                let length = digits.len();
                if point < length && point > 0 && !digits.starts_with('0') {
                    let (whole, fraction) = digits.split_at(point);
                    format!("{whole}.{fraction}e{}", 309 - point as i64 + off)
                } else {
                    let zeros = "0".repeat(point);
                    format!("0.{zeros}{digits}e{}", 309 + point as i64 + off)
                }
            },
        );
        let any = "-?(0|[1-9][0-9]{0,400})(\\.0{0,400}[0-9]{1,30})?([eE][+-]?0{0,20}[0-9]{1,4})?";
        prop_oneof![near, any]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1024))]

        #[test]
        fn a_number_is_finite_as_a_double_is(literal in any_number()) {
            prop_assert_eq!(is_finite(&literal), literal.parse::<f64>().unwrap().is_finite());
        }

        #[test]
        fn an_object_is_what_serde_json_says_it_is(
            value in any_json(),
            change in proptest::option::weighted(0.3, (any::<prop::sample::Index>(), "\\PC|[\\[\\]{}\",:\\\\ 0-9eE.+-]|")),
        ) {
            let mut text = format!("{{\"a\":{value},\"c\":{value}}}");
            if let Some((at, with)) = change {
                let chars = text.chars().count();
                let at = at.index(chars);
                text = text.chars().take(at).chain(with.chars()).chain(text.chars().skip(at + 1)).collect();
            }
            let serde = by_serde_json(&text);
            let ours = Object::parse(&text);
            prop_assert_eq!(ours.is_ok(), serde.is_some(), "{}: {:?}", text, ours.err());
            if let (Ok(ours), Some(Value::Object(serde))) = (ours, serde) {
                prop_assert_eq!(ours.members().count(), serde.len());
                for member in ours.members() {
                    let value: Value = serde_json::from_str(member.value.text()).unwrap();
                    prop_assert_eq!(Some(&value), serde.get(&*member.name));
                    let string = member.value.string();
                    prop_assert_eq!(string.as_deref(), value.as_str());
                    let name: String = serde_json::from_str(member.written).unwrap();
                    prop_assert_eq!(&*name, &*member.name);
                }
            }
        }
    }
}
