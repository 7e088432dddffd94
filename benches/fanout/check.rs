//! Runs every server once, with few events. All subscribers must get all events, in order and once.

use crate::{
    load::{Plan, marker, tally},
    measure::measure,
    serve::Kind,
    server::Server,
};
use clap::ValueEnum as _;
use tower_tenancy::BoxError;

pub(crate) fn run() -> Result<(), BoxError> {
    marker::check();
    tally::check();
    for kind in Kind::value_variants() {
        if let Some(why) = Server::missing(*kind) {
            println!("{kind:<19} {why}");
            continue;
        }
        for protocol in kind.protocols() {
            for window in [1, 16] {
                let plan = Plan { subscribers: 5, window, events: 20, data: 256, warm_up: 5 };
                measure(*kind, &[], plan, *protocol)?;
            }
            println!("{kind:<19} {}: complete", protocol.name());
        }
    }
    Ok(())
}
