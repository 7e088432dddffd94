//! Code cannot read a delivery's field, or turn a delivery back into an event.
use tower_tenancy::{Delivery, StreamEvent};

fn field(delivery: Delivery) {
    let _item = delivery.0;
}

fn event(delivery: Delivery) -> StreamEvent {
    delivery.into()
}

fn main() {}
