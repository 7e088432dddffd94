//! What a log takes in is made by a grant or a publisher alone.
use tower_tenancy::{EventType, Routing, event::NewEvent};

fn draft(routing: Routing, kind: EventType) -> NewEvent {
    NewEvent::new(routing, kind, "text", None).unwrap()
}

fn main() {}
