//! Strings and their escapes.

use std::borrow::Cow;

/// The decoded text of a string. `inside` is the checked text between its quotes.
pub(super) fn resolved(inside: &str) -> Option<Cow<'_, str>> {
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
                    // A high surrogate. The low surrogate follows after `\u`.
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

/// The index of the first quote, backslash or control character, or 8 if there is none.
pub(super) fn special(word: [u8; 8]) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    let word = u64::from_le_bytes(word);
    // Sets the high bit of each byte that is less than `bound`. Only the first set bit is reliable: the
    // borrow of the subtraction may change later bits.
    let below = |word: u64, bound: u64| word.wrapping_sub(ONES * bound) & !word;
    let is = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    let found = (is(b'"') | is(b'\\') | below(word, 0x20)) & (ONES << 7);
    (found.trailing_zeros() / 8) as usize
}
