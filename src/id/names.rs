//! The ids.

use super::{
    rules::{InvalidId, check_name, check_request_id, check_subject},
    text::Text,
};
use std::{borrow::Borrow, fmt, str::FromStr};

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
    /// A fresh id: time-ordered and unguessable (UUID version 7, RFC 9562 section 5.7).
    #[must_use]
    pub fn generate() -> Self {
        let mut buffer = uuid::Uuid::encode_buffer();
        let text: &str = uuid::Uuid::now_v7().hyphenated().encode_lower(&mut buffer);
        Self(text.into())
    }
}
