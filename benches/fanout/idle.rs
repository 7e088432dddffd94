//! Measures the memory of open and quiet streams, and checks that all of them get an event that is published later.

use crate::{
    load::{Client, Load as _, http1::Http1, phase, tally::Tally},
    machine,
    serve::Kind,
    server::Server,
};
use clap::Args;
use std::{thread::sleep, time::Duration};
use tower_tenancy::BoxError;

#[derive(Args, Debug)]
pub(crate) struct Idle {
    #[arg(long, default_value_t = 10_000)]
    streams: usize,
    #[arg(long, value_delimiter = ',', default_values = ["tower-tenancy", "by-hand", "tower-tenancy-tuned"])]
    servers: Vec<Kind>,
}

/// The number of events that are published to all streams after the memory is measured.
const BURST: usize = 5;

/// The memory of a server in KiB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// With one stream open.
    pub(crate) before: u64,
    pub(crate) idle: u64,
    /// After each stream has received a few events.
    pub(crate) after_burst: u64,
    pub(crate) burst: Duration,
}

pub(crate) fn run(args: &Idle) -> Result<(), BoxError> {
    machine::room_for(args.streams)?;
    println!("server                streams  KiB each  after a burst  burst of {BURST} events");
    for kind in &args.servers {
        if let Some(why) = Server::missing(*kind) {
            println!("{kind:<19} {why}");
            continue;
        }
        let Memory { before, idle, after_burst, burst } = measure(*kind, args.streams)?;
        let each = |memory: u64| (memory - before) as f64 / args.streams as f64;
        println!(
            "{kind:<19} {:>9} {:>9.1} {:>14.1}  complete in {:.0} ms",
            args.streams,
            each(idle),
            each(after_burst),
            burst.as_secs_f64() * 1e3,
        );
    }
    Ok(())
}

pub(crate) fn measure(kind: Kind, streams: usize) -> Result<Memory, BoxError> {
    let named = |error: BoxError| format!("{kind}, {streams} idle streams: {error}");
    let server = Server::start(kind, &[])?;
    let client = || Client::new(server.address(), kind, 256);
    // The first stream takes memory that the others share.
    let first = Http1::open(client()?, 1).map_err(named)?;
    sleep(Duration::from_millis(200));
    let before = server.pss_kib();
    let mut load = Http1::open(client()?, streams).map_err(named)?;
    sleep(Duration::from_millis(500));
    let idle = server.pss_kib();
    let mut tally = Tally::new(streams, BURST);
    let burst = phase(&mut load, &mut tally, BURST).map_err(named)?;
    load.settle(&mut tally).map_err(named)?;
    let after_burst = server.pss_kib();
    drop(first);
    Ok(Memory { before, idle, after_burst, burst: burst.wall })
}
