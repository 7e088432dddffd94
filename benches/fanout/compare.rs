//! Compares servers. Every round measures each server once, so that the load of the machine affects all servers
//! equally.

use crate::{
    load::Plan,
    machine,
    measure::{Sample, measure},
    serve::{Kind, Protocol},
    server::Server,
};
use clap::{Args, ValueEnum as _};
use std::{collections::BTreeMap, fmt::Write as _, fs, path::PathBuf};
use tower_tenancy::BoxError;

#[derive(Args, Debug)]
pub(crate) struct Compare {
    #[arg(long, default_value_t = 1000)]
    subscribers: usize,
    /// The most events that are published and have not reached all subscribers yet.
    #[arg(long, default_value_t = 1)]
    window: usize,
    /// The number of events in each run, after a warm-up.
    #[arg(long, default_value_t = 300)]
    events: usize,
    /// Bytes of data in each event, without its envelope.
    #[arg(long, default_value_t = 256)]
    data: usize,
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    #[arg(long, value_delimiter = ',')]
    servers: Vec<Kind>,
    /// Use HTTP/2, with 100 streams on each connection.
    #[arg(long)]
    http2: bool,
    /// Leave `TCP_NODELAY` off in the servers under `axum::serve`.
    #[arg(long)]
    nagle: bool,
    /// Write the figures of each run to this file.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

pub(crate) fn run(args: &Compare) -> Result<(), BoxError> {
    machine::room_for(args.subscribers)?;
    let &Compare { subscribers, window, events, data, rounds, .. } = args;
    let warm_up = (50_000 / subscribers.max(1)).clamp(5, 1000);
    let plan = Plan { subscribers, window, events, data, warm_up };
    let protocol = if args.http2 { Protocol::Http2 } else { Protocol::Http1 };
    let mut kinds = args.servers.clone();
    if kinds.is_empty() {
        kinds = Kind::value_variants().to_vec();
        kinds.retain(|kind| kind.protocols().contains(&protocol));
    }
    kinds.retain(|kind| {
        let missing = Server::missing(*kind);
        missing.inspect(|why| println!("{kind:<10} {why}")).is_none()
    });
    let options = if args.nagle { vec!["--nagle".to_owned()] } else { Vec::new() };
    let mut samples: BTreeMap<usize, Vec<Sample>> = BTreeMap::new();
    for round in 0..rounds {
        // Rotate the order, so that no server is always the first.
        for turn in 0..kinds.len() {
            let at = (turn + round) % kinds.len();
            samples.entry(at).or_default().push(measure(kinds[at], &options, plan, protocol)?);
        }
    }
    let samples: Vec<(Kind, Vec<Sample>)> =
        samples.into_iter().map(|(at, samples)| (kinds[at], samples)).collect();
    println!(
        "{subscribers} subscribers, {window} in flight, {events} events of {data} bytes of data, {}, \
         medians of {rounds} rounds; every run complete",
        protocol.name()
    );
    print!("{}", table(&samples));
    print!("{}", ratios(&samples));
    if let Some(path) = &args.csv {
        fs::write(path, csv(&samples, plan, protocol)?)?;
    }
    Ok(())
}

fn table(samples: &[(Kind, Vec<Sample>)]) -> String {
    let mut text = String::from(
        "server               deliveries/s  CPU us each   p50 ms   p99 ms   max ms  bytes each  load busy\n",
    );
    for (kind, samples) in samples {
        let of = |read: fn(&Sample) -> f64| median(samples.iter().map(read));
        let _ = writeln!(
            text,
            "{kind:<20} {:>12.0} {:>12.2} {:>8.2} {:>8.2} {:>8.2} {:>11.0} {:>9.0}%",
            of(|s| s.rate),
            of(|s| s.cpu),
            of(|s| f64::from(s.p50) / 1e3),
            of(|s| f64::from(s.p99) / 1e3),
            of(|s| f64::from(s.max) / 1e3),
            of(|s| s.bytes),
            of(|s| s.load_busy * 100.0),
        );
    }
    text
}

/// Compares the first server with each other server, round by round. It also compares the tuned server.
fn ratios(samples: &[(Kind, Vec<Sample>)]) -> String {
    let mut text = String::new();
    for (at, (ours, _)) in samples.iter().enumerate() {
        if at == 0 || *ours == Kind::TowerTenancyTuned {
            text += &ratios_of(at, samples);
        }
    }
    text
}

fn ratios_of(at: usize, samples: &[(Kind, Vec<Sample>)]) -> String {
    let (first, ours) = &samples[at];
    let mut text = String::new();
    for (kind, theirs) in samples.iter().filter(|(kind, _)| kind != first) {
        for (what, read) in
            [("CPU", (|s| s.cpu) as fn(&Sample) -> f64), ("deliveries/s", |s| s.rate)]
        {
            let rounds: Vec<f64> =
                ours.iter().zip(theirs).map(|(a, b)| read(a) / read(b)).collect();
            let each: Vec<_> = rounds.iter().map(|ratio| format!("{ratio:.2}")).collect();
            let _ = writeln!(
                text,
                "{first} / {kind:<20} {what:<12} {:.2}  (rounds: {})",
                median(rounds),
                each.join(" "),
            );
        }
    }
    text
}

fn csv(
    samples: &[(Kind, Vec<Sample>)],
    plan: Plan,
    protocol: Protocol,
) -> Result<String, BoxError> {
    let Plan { subscribers, window, events, data, .. } = plan;
    let mut text = String::from(
        "server,round,protocol,subscribers,window,events,data_bytes,deliveries_per_s,cpu_us,\
         p50_us,p99_us,max_us,bytes_per_delivery,load_busy\n",
    );
    for (kind, samples) in samples {
        for (round, sample) in (1..).zip(samples) {
            let Sample { rate, cpu, p50, p99, max, bytes, load_busy } = sample;
            writeln!(
                text,
                "{kind},{round},{},{subscribers},{window},{events},{data},{rate:.0},{cpu:.3},{p50},\
                 {p99},{max},{bytes:.0},{load_busy:.3}",
                protocol.name()
            )?;
        }
    }
    Ok(text)
}

pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.get(middle) {
        None => f64::NAN,
        Some(upper) if values.len() % 2 == 1 => *upper,
        Some(upper) => f64::midpoint(values[middle - 1], *upper),
    }
}
