//! Checks that a double can represent a number.

use std::{cmp::Ordering, iter};

/// An integer with this number of digits is less than the largest double.
pub(super) const SURELY_FINITE: usize = 308;

/// The smallest number that is rounded to an infinite double: 2^1024 - 2^970, which is half a step
/// above the largest double.
pub(super) const INFINITE: &str = "1797693134862315807937289714053034150799341327100378269361737789804449682927647509466490\
    1797758720709633028641669288791094655554785194040263065748867150582068190890200070838367\
    6273854845817711531764475730270069855571366959622842914819860834936475292719074168444365\
    510704342711559699508093042880177904174497792";
/// Whether the double that is nearest to a JSON number is finite.
///
/// It compares digits and does not parse a float. A sender could choose numbers whose parsing takes
/// microseconds, and send hundreds of them in one header.
pub(super) fn is_finite(literal: &str) -> bool {
    let (mantissa, exponent) = literal.split_once(['e', 'E']).unwrap_or((literal, ""));
    let mantissa = mantissa.strip_prefix('-').unwrap_or(mantissa);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = || whole.bytes().chain(fraction.bytes());
    let Some(zeros) = digits().position(|digit| digit != b'0') else { return true };
    // The number is d.ddd times ten to this power. The power saturates far from 308: no text has that
    // many digits.
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

/// The exponent of a JSON number. An empty text is zero.
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
