//! Tests of the parser, and a comparison with serde_json.

use super::{
    Fault, MAX_DEPTH, Object,
    number::{INFINITE, is_finite},
    scanner::FEW,
};
use proptest::{collection::vec, prelude::*};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::{collections::HashSet, fmt};

/// JSON that serde_json parses, if it has no duplicate members.
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
                return Err(A::Error::custom("duplicate member"));
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

/// The value that serde_json parses, if our parser should accept the text.
fn by_serde_json(text: &str) -> Option<Value> {
    serde_json::from_str::<NoDuplicates>(text).ok()?;
    let value: Value = serde_json::from_str(text).ok()?;
    (value.is_object() && depth(&value) <= MAX_DEPTH).then_some(value)
}

fn fault(text: &str) -> Option<Fault> {
    Object::parse(text).err()
}

#[test]
fn strict_json_objects_are_accepted() {
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
fn texts_that_parsers_read_differently_are_refused_at_every_depth() {
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
fn malformed_json_and_values_that_are_not_objects_are_refused() {
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
fn the_nesting_of_arrays_and_objects_is_limited() {
    let nested = |open: &str, close: &str, levels: usize| {
        format!("{{\"a\":{}1{}}}", open.repeat(levels - 1), close.repeat(levels - 1))
    };
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[[{\"a\":[", "]}]]")] {
        let of_one = open.matches(['[', '{']).count();
        let fits = (MAX_DEPTH - 1) / of_one + 1;
        assert_eq!(fault(&nested(open, close, fits)), None, "{open}");
        assert_eq!(fault(&nested(open, close, fits + 1)), Some(Fault::Depth(MAX_DEPTH)), "{open}");
        assert_eq!(fault(&nested(open, close, 1_000_000)), Some(Fault::Depth(MAX_DEPTH)), "{open}");
    }
    // Many values in one array do not count as nesting.
    let wide = format!("{{\"a\":[{}0]}}", "[[]],".repeat(1000));
    assert_eq!(fault(&wide), None);
}

#[test]
fn a_number_is_refused_exactly_if_its_double_is_infinite() {
    // One less than the first number that is infinite.
    let below = format!("{}1", &INFINITE[..INFINITE.len() - 1]);
    let mut table = vec!["0".to_owned(), "-0.0e-0".to_owned(), "1e308".to_owned()];
    for digits in [INFINITE, &below, "17976931348623157", "17976931348623158", "9", "1"] {
        let (first, rest) = digits.split_at(1);
        for rest in [rest.to_owned(), format!("{rest}{}1", "0".repeat(5000)), format!("{rest}99")] {
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
    for exponent in ["9".repeat(5000), "9223372036854775807".into(), "18446744073709551616".into()]
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
        let found = fault(&format!("{{\"a\":{literal}}}"));
        assert_eq!(found, (!expected).then_some(Fault::Number), "{literal:.400}");
    }
    assert!(finite > 50 && infinite > 50, "{finite} {infinite}");
}

#[test]
fn values_and_names_keep_their_written_text() {
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

/// JSON with duplicate names. Some names are equal only after their escapes are decoded.
fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        "null|true|false|0|-0|1|-1|12|1.5|1e3|1e999|18446744073709551616|01|nul".prop_map(|s| s),
        "-?[0-9]{1,3}(\\.[0-9]{0,2})?([eE][+-]?[0-9]{1,3})?".prop_map(|s| s),
        "\"[ab]{0,2}\"|\"\\\\u0061\"|\"\\\\ud800\"|\"\\\\n\"".prop_map(|s| s),
        "\"([ -~é😀]|\\\\[\"\\\\/bfnrtux]|\\\\u[dD][89abcdef][0-9a-f]{2}){0,12}\"".prop_map(|s| s),
    ];
    let name = prop_oneof!["\"[ab]\"", Just("\"\\u0061\"".to_owned()), "\"[a-z]{0,9}\""];
    leaf.prop_recursive(4, 64, 5, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            vec((name.clone(), inner), 0..4).prop_map(|members| {
                let members: Vec<_> = members.iter().map(|(n, v)| format!("{n}: {v}")).collect();
                format!("{{{}}}", members.join(" , "))
            }),
        ]
    })
}

/// Numbers around the largest double, and any others.
fn any_number() -> impl Strategy<Value = String> {
    // Some digits of the limit, some other digits, and a shifted point with an exponent that undoes it.
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
    fn is_finite_agrees_with_the_parser_of_f64(literal in any_number()) {
        prop_assert_eq!(is_finite(&literal), literal.parse::<f64>().unwrap().is_finite());
    }

    #[test]
    fn the_parser_agrees_with_serde_json(
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
