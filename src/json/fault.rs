//! The error of the JSON parser.

/// The reason why the parser refuses a text. It does not repeat any of the text, so clients may see it.
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
