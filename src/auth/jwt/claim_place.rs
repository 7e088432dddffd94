//! Places in a token that contain names, and the JSON types of the names.

use super::{
    claim_values::{FoundKind, find, log_malformed},
    json::Pointer,
};
use crate::{
    auth::texts::Texts,
    id::Text,
    json::{Json, Member, Object},
};

/// The most names of one kind that are read: tenants, envs, roles, scopes, audiences. The limit bounds the
/// memory: a stored name needs more bytes than its shortest form in a token, which is `"",`.
const MAX_NAMES: usize = 512;

/// A place in a token that contains names: tenants, envs, roles or scopes.
///
/// A string converts into a place: it is a JSON pointer (RFC 6901) to a string or an array of strings. Some
/// issuers write names as the keys of an object instead: Zitadel writes roles this way, and Keycloak writes
/// organizations this way:
///
/// ```
/// use tower_tenancy::auth::{ClaimNames, ClaimPlace};
///
/// // {"urn:zitadel:iam:org:project:roles": {"admin": {"<organization>": "example.com"}}}
/// let zitadel = ClaimNames::default()
///     .tenant("/urn:zitadel:iam:user:resourceowner:id")
///     .roles(ClaimPlace::keys_of("/urn:zitadel:iam:org:project:roles"));
/// // {"organization": {"acme": {"id": "5e8a…"}}}
/// let keycloak = ClaimNames::default().tenants(ClaimPlace::keys_of("/organization"));
/// ```
#[derive(Clone, Debug)]
pub struct ClaimPlace {
    pub(super) pointer: Pointer,
    /// Whether the keys of an object are names.
    takes_keys: bool,
}

impl ClaimPlace {
    /// The place that `pointer` points to: a string or an array of strings.
    pub fn at(pointer: impl Into<String>) -> Self {
        Self { pointer: Pointer::new(pointer), takes_keys: false }
    }

    /// The place that `pointer` points to: an object. Its keys are the names. A key with the value `null` or
    /// `false` is skipped. A string or an array of strings is accepted as well.
    pub fn keys_of(pointer: impl Into<String>) -> Self {
        Self { pointer: Pointer::new(pointer), takes_keys: true }
    }

    /// Adds the names of the claim to `names`. Returns whether the claim exists.
    pub(super) fn read(
        &self,
        claims: &Object<'_>,
        spelling: Spelling,
        names: &mut Vec<Text>,
    ) -> Result<bool, FoundKind> {
        let Some(value) = find(claims, &self.pointer)? else { return Ok(false) };
        if let Some(text) = value.string() {
            if spelling != Spelling::Words {
                add(names, &text)?;
                return Ok(true);
            }
            for word in text.split(' ').filter(|word| !word.is_empty()) {
                add(names, word)?;
            }
        } else if let Some(items) = value.items() {
            for item in items.filter(|item| !item.is_null()) {
                match (item.string(), spelling.integer(item)) {
                    (Some(name), _) => add(names, &name)?,
                    (None, Some(name)) => add(names, name)?,
                    (None, None) => return Err(kind_in_array(item)),
                }
            }
        } else if let Some(name) = spelling.integer(value) {
            add(names, name)?;
        } else if self.takes_keys
            && let Ok(object) = Object::parse(value.text())
        {
            for Member { name, value, .. } in object.members() {
                if !matches!(value.text(), "null" | "false") {
                    add(names, name)?;
                }
            }
        } else {
            return Err(value.kind());
        }
        Ok(true)
    }

    /// The names of a claim that no rule needs. If the claim is malformed, the result has no names.
    pub(super) fn read_if_well_formed(&self, claims: &Object<'_>, spelling: Spelling) -> Texts {
        let mut names = Vec::new();
        match self.read(claims, spelling, &mut names) {
            Ok(_) => names.into(),
            Err(found) => {
                log_malformed(self.pointer.as_str(), found);
                Texts::Unread(found)
            }
        }
    }
}

impl From<&str> for ClaimPlace {
    fn from(pointer: &str) -> Self {
        Self::at(pointer)
    }
}

impl From<String> for ClaimPlace {
    fn from(pointer: String) -> Self {
        Self::at(pointer)
    }
}

impl From<&String> for ClaimPlace {
    fn from(pointer: &String) -> Self {
        Self::at(pointer)
    }
}

/// What a claim may be, apart from an array of names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    /// A string: one name.
    Name,
    /// A string or a whole number: one name.
    NameOrInteger,
    /// A string with spaces between names (RFC 8693 section 4.2).
    Words,
}

impl Spelling {
    /// The text of a whole number, if whole numbers are names here.
    fn integer(self, value: Json<'_>) -> Option<&str> {
        value.integer().filter(|_| self == Self::NameOrInteger)
    }
}

fn add(names: &mut Vec<Text>, name: &str) -> Result<(), FoundKind> {
    if names.len() >= MAX_NAMES {
        return Err("more than 512 names");
    }
    names.push(name.into());
    Ok(())
}

/// The kind of value for an array with an item that is not a name.
fn kind_in_array(item: Json<'_>) -> FoundKind {
    match item.kind() {
        "an object" => "an array with an object in it",
        "an array" => "an array with an array in it",
        "a boolean" => "an array with a boolean in it",
        _ => "an array with a number in it",
    }
}
