//! Validated names: tenant, env, thread, request id and subject.
//!
//! Every id has one spelling, a bounded length and a bounded charset. Ids are compared byte for byte;
//! nothing is trimmed, folded or normalised.
//!
//! Tenants, envs, threads and types of actors follow one rule, `[A-Za-z0-9._:@~-]{1,128}`: what
//! identity providers and databases make ids of (UUIDs, `org_2x`, `acme.example`, `user@example.com`,
//! `arn:x:y`, random base64url that begins with `-`), and nothing that needs escaping in JSON, in a
//! header, in a log line or as one segment of a path. An id of dots alone is refused, for `.` and `..`
//! are no segments of a path (RFC 3986 section 5.2.4).
//!
//! No id can hold a `/`, so that is what a key may join them with: see [`ThreadKey::to_path`]. An id
//! can hold `.`, `:`, `-`, `_`, `@` and `~`: two ids that are joined by one of those can be mistaken for
//! two others.
//!
//! `t_unknown`, `undefined` and `null`, in any case, are placeholders: front ends and scripts send them
//! where nobody filled an id in. They are never an id.

use arrayvec::ArrayString;
use std::{
    borrow::Borrow,
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
    sync::Arc,
};

/// Longest tenant, env and thread id, in bytes.
const MAX_NAME: usize = 128;
/// Longest request id, in bytes.
const MAX_REQUEST_ID: usize = 128;
/// Longest subject, in bytes.
const MAX_SUBJECT: usize = 255;

/// Why a text is not an id.
///
/// The message names the rule and never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidId {
    /// The text is empty.
    #[error("is empty")]
    Empty,
    /// The text is longer than its kind of id may be.
    #[error("is longer than {max} bytes")]
    TooLong {
        /// The longest that this kind of id may be, in bytes.
        max: usize,
    },
    /// The text has a character that its kind of id may not have, or consists of dots.
    #[error("must be {allowed}")]
    Charset {
        /// What this kind of id looks like: a regular expression, or words.
        allowed: &'static str,
    },
    /// The text is `t_unknown`, `undefined` or `null`, in any case: nobody filled the id in.
    #[error("is a placeholder, which stands for nobody: send the real one")]
    Placeholder,
}

/// What front ends send where nobody filled an id in, and what scripts make of a value that is absent.
const PLACEHOLDERS: [&str; 3] = ["t_unknown", "undefined", "null"];

/// Refuses a placeholder, in any case.
fn refuse_placeholder(text: &str) -> Result<(), InvalidId> {
    if PLACEHOLDERS.iter().any(|placeholder| text.eq_ignore_ascii_case(placeholder)) {
        return Err(InvalidId::Placeholder);
    }
    Ok(())
}

/// `[A-Za-z0-9._:@~-]{1,128}`, not only dots, not a placeholder.
fn check_name(text: &str) -> Result<(), InvalidId> {
    if text.is_empty() {
        return Err(InvalidId::Empty);
    }
    if text.len() > MAX_NAME {
        return Err(InvalidId::TooLong { max: MAX_NAME });
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._:@~-".contains(&b);
    if !text.bytes().all(allowed) || text.bytes().all(|b| b == b'.') {
        return Err(InvalidId::Charset { allowed: "[A-Za-z0-9._:@~-]{1,128}, and not only dots" });
    }
    refuse_placeholder(text)
}

/// Visible ASCII without `"` and `\`, at most 128 characters, not a placeholder. Needs no escaping in
/// JSON, a header or a quoted field of a log line.
fn check_request_id(text: &str) -> Result<(), InvalidId> {
    if text.is_empty() {
        return Err(InvalidId::Empty);
    }
    if text.len() > MAX_REQUEST_ID {
        return Err(InvalidId::TooLong { max: MAX_REQUEST_ID });
    }
    if !text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\')) {
        return Err(RequestId::CHARSET);
    }
    refuse_placeholder(text)
}

/// Free text such as `auth0|123`, without control characters, not a placeholder.
fn check_subject(text: &str) -> Result<(), InvalidId> {
    if text.is_empty() {
        return Err(InvalidId::Empty);
    }
    if text.len() > MAX_SUBJECT {
        return Err(InvalidId::TooLong { max: MAX_SUBJECT });
    }
    if text.chars().any(char::is_control) {
        return Err(InvalidId::Charset { allowed: "text without control characters" });
    }
    refuse_placeholder(text)
}

/// Longest text that stands in place, in bytes: a UUID has 36.
const IN_PLACE: usize = 40;

/// Text of at most a few hundred bytes. Nearly all ids are short: one that is stands in place, so that
/// to make or clone it allocates nothing, and touches no counter that other cores touch, too.
#[derive(Clone)]
pub(crate) enum Text {
    Short(ArrayString<IN_PLACE>),
    Long(Arc<str>),
}

impl Text {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Short(text) => text,
            Self::Long(text) => text,
        }
    }

    /// How many bytes the text keeps outside of itself.
    #[cfg(any(feature = "tickets", feature = "token-cache"))]
    pub(crate) fn heap_bytes(&self) -> usize {
        kept_aside(self.as_str())
    }
}

/// The first few of `names` for a log line, in quotes, and how many more there are: at most 200 bytes
/// in all, however many and however long they are.
pub(crate) fn few<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const MOST: usize = 8;
    const WHOLE: usize = 150;
    let mut text = String::from("[");
    let (mut shown, mut more) = (0, 0_usize);
    for name in names {
        let quoted = quoted(name);
        if more == 0 && shown < MOST && text.len() + quoted.len() + 2 < WHOLE {
            text.push_str(if shown == 0 { "" } else { ", " });
            text.push_str(&quoted);
            shown += 1;
        } else {
            more += 1;
        }
    }
    text.push(']');
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

/// The start of a text, in quotes and escaped.
fn quoted(text: &str) -> String {
    const MOST: usize = 100;
    let mut quoted = String::from('"');
    for char in text.chars() {
        if quoted.len() >= MOST {
            quoted.push('…');
            break;
        }
        quoted.extend(char.escape_debug());
    }
    quoted.push('"');
    quoted
}

/// What the allocator takes for one allocation besides the bytes that it was asked for, in bytes: its
/// header, and rounding up.
#[cfg(any(feature = "tickets", feature = "token-cache"))]
pub(crate) const ALLOCATION: usize = 16;

/// What a [`Text`] keeps outside itself, in bytes.
#[cfg(any(feature = "tickets", feature = "token-cache"))]
pub(crate) fn kept_aside(text: &str) -> usize {
    // The counters of its `Arc`.
    if text.len() > IN_PLACE { 2 * size_of::<usize>() + text.len() + ALLOCATION } else { 0 }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        ArrayString::from(text).map_or_else(|_| Self::Long(text.into()), Self::Short)
    }
}

impl serde::Serialize for Text {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> serde::Deserialize<'de> for Text {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyText;

        impl serde::de::Visitor<'_> for AnyText {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E>(self, text: &str) -> Result<Text, E> {
                Ok(text.into())
            }
        }

        deserializer.deserialize_str(AnyText)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Text {}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for Text {
    /// As the text itself, which ids borrow as.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

macro_rules! id {
    ($(#[$docs:meta])* $name:ident, $check:ident) => {
        $(#[$docs])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Text);

        impl $name {
            /// Checks `text` against the rule of this type.
            ///
            /// # Errors
            ///
            /// [`InvalidId`] says which part of the rule the text breaks.
            pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidId> {
                let text = text.as_ref();
                $check(text)?;
                Ok(Self(text.into()))
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::new(text).map_err(serde::de::Error::custom)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self.as_str(), f)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                self.as_str()
            }
        }
    };
}

id! {
    /// Whose data: `[A-Za-z0-9._:@~-]{1,128}`, not only dots, not a placeholder.
    ///
    /// ```
    /// use tower_tenancy::TenantId;
    ///
    /// assert_eq!(TenantId::new("t_alpha")?.as_str(), "t_alpha");
    /// assert_eq!(TenantId::new("acme.example:eu@7")?.as_str(), "acme.example:eu@7");
    /// assert!(TenantId::new("T_Unknown").is_err(), "a placeholder is nobody's tenant");
    /// assert!(TenantId::new("undefined").is_err(), "neither is what a script makes of nothing");
    /// assert!(TenantId::new("a/b").is_err());
    /// # Ok::<(), tower_tenancy::id::InvalidId>(())
    /// ```
    TenantId, check_name
}

id! {
    /// Which deployment environment, such as `prod`: `[A-Za-z0-9._:@~-]{1,128}`, not only dots, not a
    /// placeholder.
    Env, check_name
}

id! {
    /// The addressable stream inside a tenant and env: `[A-Za-z0-9._:@~-]{1,128}`, not only dots,
    /// not a placeholder.
    ///
    /// The same thread id in two tenants is two threads.
    ThreadId, check_name
}

id! {
    /// One request, in logs and in every event of its stream: 1 to 128 characters of visible ASCII
    /// (RFC 5234 `VCHAR`: no space) without `"` and `\`, not a placeholder.
    ///
    /// It is what gateways write: `uuid#1`, `Root=1-67891233-abcdef012345678912345678;Parent=53995c`,
    /// `105445aa7843bc8b/1;o=1`, base64, several ids joined by commas. It needs no escaping in JSON, in a
    /// header, or in a quoted field of a log line.
    ///
    /// ```
    /// use tower_tenancy::RequestId;
    ///
    /// assert!(RequestId::new("7b3bf470-9456-11e8-9eb6-529269fb1459#1").is_ok());
    /// assert!(RequestId::new("two words").is_err());
    /// ```
    RequestId, check_request_id
}

id! {
    /// Who acts, as the token says: up to 255 bytes without control characters (`auth0|123`), not a
    /// placeholder.
    Subject, check_subject
}

id! {
    /// What acts, such as `human` or `agent`: `[A-Za-z0-9._:@~-]{1,128}`, not only dots, not a
    /// placeholder.
    ActorType, check_name
}

impl RequestId {
    pub(crate) const CHARSET: InvalidId =
        InvalidId::Charset { allowed: "visible ASCII without \" and \\" };

    /// A fresh id: time-ordered and unguessable (UUID version 7, RFC 9562 section 5.7).
    #[must_use]
    pub fn generate() -> Self {
        let mut buffer = uuid::Uuid::encode_buffer();
        let text: &str = uuid::Uuid::now_v7().hyphenated().encode_lower(&mut buffer);
        Self(text.into())
    }
}

/// Names one thread of one tenant in one env: the key of a log or a map.
///
/// Two keys are equal only if all three parts are, whatever the parts contain: nothing is
/// concatenated. An engine that needs text gets an injective one from [`ThreadKey::to_path`].
/// A log gets one from a grant that reads; there is no public constructor.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ThreadKey(Arc<Names>);

#[derive(PartialEq, Eq, Hash)]
struct Names {
    tenant: TenantId,
    env: Env,
    thread: ThreadId,
}

impl ThreadKey {
    pub(crate) fn new(tenant: TenantId, env: Env, thread: ThreadId) -> Self {
        Self(Arc::new(Names { tenant, env, thread }))
    }

    /// Whose thread this is.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        &self.0.tenant
    }

    /// The env that the thread lives in.
    #[must_use]
    pub fn env(&self) -> &Env {
        &self.0.env
    }

    /// The thread's id inside its tenant and env.
    #[must_use]
    pub fn thread(&self) -> &ThreadId {
        &self.0.thread
    }

    /// `tenant/env/thread`: different keys give different texts, since no part can hold a `/`. No part
    /// is empty, `.` or `..`, so that it can also name a file or a resource.
    #[must_use]
    pub fn to_path(&self) -> String {
        format!("{}/{}/{}", self.tenant(), self.env(), self.thread())
    }
}

impl fmt::Debug for ThreadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ThreadKey").field(&self.to_path()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        ActorType, Env, IN_PLACE, InvalidId, RequestId, Subject, TenantId, ThreadId, ThreadKey, few,
    };
    use crate::event::Routing;
    use proptest::{prop_assert_eq, proptest};
    use std::{collections::HashSet, fmt, str::FromStr};

    #[test]
    fn a_log_line_shows_a_few_names_and_how_many_more() {
        assert_eq!(few([]), "[]");
        assert_eq!(few(["a", "b\n\"", ""]), r#"["a", "b\n\"", ""]"#);
        let many: Vec<String> = (0..512).map(|i| format!("t_{i}")).collect();
        let told = few(many.iter().map(String::as_str));
        assert_eq!(
            told,
            r#"["t_0", "t_1", "t_2", "t_3", "t_4", "t_5", "t_6", "t_7"] and 504 more"#
        );
        for name in ["x", "\u{10ffff}", "\n", "é😀", "\""] {
            let long = name.repeat(8000);
            let told = few(vec![long.as_str(); 512]);
            assert!(told.starts_with("[\"") && told.contains('…'), "{told}");
            assert!(told.len() <= 200 && told.ends_with("\"] and 511 more"), "{told}");
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
    fn names_are_what_identity_providers_and_databases_make() {
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
    fn request_ids_are_what_gateways_write() {
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
            // What splices it into JSON need not escape it, and neither does what quotes it in a log.
            assert_eq!(serde_json::to_string(good).unwrap(), format!("\"{good}\""));
            assert_eq!(format!("{id:?}"), format!("\"{good}\""));
        }
        assert_eq!(RequestId::new(""), Err(InvalidId::Empty));
        assert_eq!(RequestId::new("x".repeat(129)), Err(InvalidId::TooLong { max: 128 }));
        for bad in PLACEHOLDERS {
            assert_eq!(RequestId::new(bad), Err(InvalidId::Placeholder), "{bad}");
        }
        for bad in
            ["a b", " a", "a, b", "a\"b", "a\\b", "a\tb", "a\r\nb", "\u{7f}", "ä", "\u{2028}"]
        {
            assert!(matches!(RequestId::new(bad), Err(InvalidId::Charset { .. })), "{bad:?}");
        }
    }

    #[test]
    fn subjects_are_free_text_without_control_characters_and_no_placeholder() {
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
    fn ids_are_the_same_wherever_their_text_stands() {
        for len in [1, IN_PLACE - 1, IN_PLACE, IN_PLACE + 1, 128] {
            let text = "x".repeat(len);
            let (id, again) = (TenantId::new(&text).unwrap(), TenantId::new(&text).unwrap());
            assert_eq!((id.as_str(), &id), (&*text, &again), "{len}");
            // Found by its text in a map, so it hashes like it.
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
        fn keys_are_injective(
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
        fn whatever_is_an_id_needs_no_escaping(text in "\\PC{0,6}|[ -~]{0,6}") {
            if TenantId::new(&text).is_ok() || RequestId::new(&text).is_ok() {
                prop_assert_eq!(serde_json::to_string(&text).unwrap(), format!("\"{text}\""));
                prop_assert_eq!(format!("{text:?}"), format!("\"{text}\""));
            }
        }
    }
}
