//! Tests of the rules for ids, and of keys.

use super::{
    ActorType, Env, InvalidId, RequestId, Subject, TenantId, ThreadId, ThreadKey, few,
    text::IN_PLACE,
};
use crate::event::Routing;
use proptest::{prop_assert_eq, proptest};
use std::{collections::HashSet, fmt, str::FromStr};

#[test]
fn a_log_line_shows_a_few_names_and_the_number_of_the_others() {
    assert_eq!(few([]), "[]");
    assert_eq!(few(["a", "b\n\"", ""]), r#"["a", "b\n\"", ""]"#);
    let many: Vec<String> = (0..512).map(|i| format!("t_{i}")).collect();
    let shown = few(many.iter().map(String::as_str));
    assert_eq!(shown, r#"["t_0", "t_1", "t_2", "t_3", "t_4", "t_5", "t_6", "t_7"] and 504 more"#);
    for name in ["x", "\u{10ffff}", "\n", "é😀", "\""] {
        let long = name.repeat(8000);
        let shown = few(vec![long.as_str(); 512]);
        assert!(shown.starts_with("[\"") && shown.contains('…'), "{shown}");
        assert!(shown.len() <= 200 && shown.ends_with("\"] and 511 more"), "{shown}");
    }
}

const PLACEHOLDERS: [&str; 9] = [
    "t_unknown",
    "T_Unknown",
    "T_UNKNOWN",
    "undefined",
    "Undefined",
    "UNDEFINED",
    "null",
    "Null",
    "NULL",
];

#[test]
fn ids_of_identity_providers_and_databases_are_accepted_and_others_refused() {
    fn holds<T: FromStr<Err = InvalidId> + fmt::Display>() {
        let longest = "x".repeat(128);
        for good in [
            "a",
            "t_alpha",
            "0-9",
            "org_2abcDEF",
            "0190b3e0-0000-7000-8000-000000000000",
            "-Zq3_base64url",
            "_private",
            "--",
            "acme.example",
            "user@example.com",
            "urn:uuid:1",
            "~home",
            ".hidden",
            "..a",
            "a..",
            ":",
            "nulls",
            "null.",
            "undefined-1",
            &longest,
        ] {
            let id = good.parse::<T>().unwrap_or_else(|why| panic!("{good}: {why}"));
            assert_eq!(id.to_string(), good, "byte for byte");
        }
        let refused = |bad: &str| bad.parse::<T>().err();
        assert_eq!(refused(""), Some(InvalidId::Empty));
        assert_eq!(refused(&"x".repeat(129)), Some(InvalidId::TooLong { max: 128 }));
        for bad in PLACEHOLDERS {
            assert_eq!(refused(bad), Some(InvalidId::Placeholder), "{bad}");
        }
        let dots = ".".repeat(128);
        for bad in [
            ".",
            "..",
            "...",
            &dots,
            "a b",
            " a",
            "a ",
            "a/b",
            "/",
            "a\\b",
            "a\"b",
            "a|b",
            "a,b",
            "a%2fb",
            "%2e%2e",
            "a#b",
            "a?b",
            "a&b",
            "a=b",
            "a;b",
            "a+b",
            "a*b",
            "a$b",
            "a{b}",
            "ä",
            "a\u{200b}",
            "a\0",
            "a\n",
            "\u{7f}",
        ] {
            assert!(matches!(refused(bad), Some(InvalidId::Charset { .. })), "{bad:?}");
        }
    }
    holds::<TenantId>();
    holds::<Env>();
    holds::<ThreadId>();
    holds::<ActorType>();
}

#[test]
fn request_ids_of_gateways_are_accepted_and_others_refused() {
    let longest = "x".repeat(128);
    for good in [
        "r-1",
        "0190b3e0-0000-7000-8000-000000000000",
        "7b3bf470-9456-11e8-9eb6-529269fb1459#1",
        "7F000001:C0B6_7F000001:0050_5F3B2A1C_0001:0A2B",
        "7b3bf470-9456-11e8-9eb6-529269fb1459/suffix",
        "Root=1-67891233-abcdef012345678912345678;Parent=53995c3f42cd8ad8;Sampled=1",
        "105445aa7843bc8bf206b12000100000/1;o=1",
        "q83vEjRWeJCrze8BI0VniQ==",
        "a+b/c==",
        "first,second",
        "{braces}",
        "<b>&'%`$(x)",
        "!",
        "~",
        &longest,
    ] {
        let id = RequestId::new(good).unwrap_or_else(|why| panic!("{good}: {why}"));
        assert_eq!(id.as_str(), good, "byte for byte");
        // It needs no escaping, neither in JSON nor in a quoted field of a log line.
        assert_eq!(serde_json::to_string(good).unwrap(), format!("\"{good}\""));
        assert_eq!(format!("{id:?}"), format!("\"{good}\""));
    }
    assert_eq!(RequestId::new(""), Err(InvalidId::Empty));
    assert_eq!(RequestId::new("x".repeat(129)), Err(InvalidId::TooLong { max: 128 }));
    for bad in PLACEHOLDERS {
        assert_eq!(RequestId::new(bad), Err(InvalidId::Placeholder), "{bad}");
    }
    for bad in ["a b", " a", "a, b", "a\"b", "a\\b", "a\tb", "a\r\nb", "\u{7f}", "ä", "\u{2028}"] {
        assert!(matches!(RequestId::new(bad), Err(InvalidId::Charset { .. })), "{bad:?}");
    }
}

#[test]
fn subjects_are_free_text_without_control_characters_and_placeholders() {
    for good in ["auth0|123 ü", "nullable", "the null", "x/y\"z\\"] {
        assert!(Subject::new(good).is_ok(), "{good}");
    }
    for bad in PLACEHOLDERS {
        assert_eq!(Subject::new(bad), Err(InvalidId::Placeholder), "{bad}");
    }
    assert!(Subject::new("a\u{7f}").is_err());
    assert!(Subject::new("x".repeat(256)).is_err());
}

#[test]
fn short_and_long_ids_behave_the_same() {
    for len in [1, IN_PLACE - 1, IN_PLACE, IN_PLACE + 1, 128] {
        let text = "x".repeat(len);
        let (id, again) = (TenantId::new(&text).unwrap(), TenantId::new(&text).unwrap());
        assert_eq!((id.as_str(), &id), (&*text, &again), "{len}");
        // A map finds the id by its text, so both have the same hash.
        assert!(HashSet::from([id.clone()]).contains(&*text), "{len}");
        let longer = TenantId::new("x".repeat(len.min(127) + 1)).unwrap();
        assert_eq!(id < longer, id.as_str() < longer.as_str(), "{len}");
    }
}

#[test]
fn generated_request_ids_are_valid_ordered_and_differ() {
    let ids: Vec<_> = (0..100).map(|_| RequestId::generate()).collect();
    assert!(ids.iter().all(|id| RequestId::new(id).is_ok()));
    assert!(ids.windows(2).all(|w| w[0] < w[1]));
}

proptest! {
    #[test]
    fn different_keys_give_different_paths(
        a in ("[ab._:@~-]{1,3}", "[ab._:@~-]{1,3}", "[ab._:@~-]{1,3}"),
        b in ("[ab._:@~-]{1,3}", "[ab._:@~-]{1,3}", "[ab._:@~-]{1,3}"),
    ) {
        let key = |(t, e, th): &(String, String, String)| {
            Some(ThreadKey::new(
                TenantId::new(t).ok()?,
                Env::new(e).ok()?,
                ThreadId::new(th).ok()?,
            ))
        };
        if let (Some(x), Some(y)) = (key(&a), key(&b)) {
            prop_assert_eq!(a == b, x == y);
            prop_assert_eq!(a == b, x.to_path() == y.to_path());
            let read: Routing = x.to_path().parse().unwrap();
            prop_assert_eq!(read.to_path(), x.to_path());
            prop_assert_eq!(read.key() == &x, true);
        }
    }

    #[test]
    fn ids_need_no_escaping(text in "\\PC{0,6}|[ -~]{0,6}") {
        if TenantId::new(&text).is_ok() || RequestId::new(&text).is_ok() {
            prop_assert_eq!(serde_json::to_string(&text).unwrap(), format!("\"{text}\""));
            prop_assert_eq!(format!("{text:?}"), format!("\"{text}\""));
        }
    }
}
