//! The type of an event.

use crate::id::validated_text;

/// The error for an event with an invalid type or invalid data.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidEvent {
    /// The type is empty, longer than 64 bytes, or has a character outside `[A-Za-z0-9._:/~-]`.
    #[error("the event type must be 1 to 64 characters of [A-Za-z0-9._:/~-]")]
    Type,
    /// The type is reserved for notices.
    #[error("the event type is reserved: stream.*, auth.*, access.*, error and open are notices")]
    Reserved,
    /// The data do not serialize to JSON.
    #[error("the data cannot be written as JSON")]
    Data(#[source] serde_json::Error),
}

fn check_event_type(text: &str) -> Result<(), InvalidEvent> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._:/~-".contains(&b);
    if text.is_empty() || text.len() > 64 || !text.bytes().all(allowed) {
        return Err(InvalidEvent::Type);
    }
    let family = text.split_once('.').map_or(text, |(family, _)| family);
    let is = |name: &str| family.eq_ignore_ascii_case(name);
    let alone = family.len() == text.len();
    if ((is("stream") || is("auth") || is("access")) && !alone)
        || ((is("error") || is("open")) && alone)
    {
        return Err(InvalidEvent::Reserved);
    }
    Ok(())
}

validated_text! {
    /// The type of an event: `[A-Za-z0-9._:/~-]{1,64}`, not one of the reserved ones.
    ///
    /// `stream.*`, `auth.*`, `access.*`, `error` and `open`, in any case, are reserved for notices. So a
    /// client can distinguish a notice of this crate from a published event.
    ///
    /// ```
    /// use tower_tenancy::EventType;
    ///
    /// assert!(EventType::new("agent.token").is_ok());
    /// assert!(EventType::new("stream.gap").is_err());
    /// assert!(EventType::new("two\nlines").is_err());
    /// ```
    EventType, check_event_type, InvalidEvent
}
