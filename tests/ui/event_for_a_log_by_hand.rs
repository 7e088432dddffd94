//! Only a grant or a publisher can make an event for a log.
use tower_tenancy::{EventType, Routing, event::NewEvent};

fn draft(routing: Routing, kind: EventType) -> NewEvent {
    NewEvent::new(routing, kind, "text", None).unwrap()
}

fn main() {}
