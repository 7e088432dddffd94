//! Measures how the cost grows with subscribers, threads, payload, idle streams and missed events.

mod resume;

use crate::{
    compare::median,
    idle,
    load::Plan,
    machine,
    measure::{Sample, measure},
    serve::{Kind, Protocol},
};
use clap::{Args, ValueEnum};
use std::{fs, path::PathBuf};
use tower_tenancy::BoxError;

#[derive(Args, Debug)]
pub(crate) struct Curve {
    what: What,
    /// The number of runs of each point. The result is their median.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    /// The cost of a delivery, over the number of subscribers of one thread.
    Subscribers,
    /// The cost of a delivery to 1,000 subscribers of one thread, over the number of threads in the log.
    Threads,
    /// The cost of a delivery to 100 subscribers, over the bytes of data.
    Payload,
    /// The memory of a server, over the number of open and quiet streams.
    Idle,
    /// The time until the first event of a resumed stream, over the number of events that it missed.
    Resume,
}

/// A table that is printed as it grows.
struct Table(String);

impl Table {
    fn new(columns: &str) -> Self {
        let mut table = Self(String::new());
        table.row(columns);
        table
    }

    fn row(&mut self, row: &str) {
        println!("{row}");
        self.0 += row;
        self.0 += "\n";
    }
}

pub(crate) fn run(args: &Curve) -> Result<(), BoxError> {
    machine::raise_open_files()?;
    let rounds = args.rounds.max(1);
    let table = match args.what {
        What::Subscribers => subscribers(rounds)?,
        What::Threads => threads(rounds)?,
        What::Payload => payload(rounds)?,
        What::Idle => idle()?,
        What::Resume => resume::run()?,
    };
    if let Some(path) = &args.csv {
        fs::write(path, table.0)?;
    }
    Ok(())
}

const SERVERS: [Kind; 3] = [Kind::TowerTenancy, Kind::ByHand, Kind::Raw];

/// A plan with enough events for a steady figure, in about a second.
fn plan(subscribers: usize, data: usize) -> Plan {
    let events = (100_000 / subscribers).clamp(20, 3000);
    let warm_up = (events / 4).clamp(5, 500);
    Plan { subscribers, window: 1, events, data, warm_up }
}

/// One point of a curve.
struct Point {
    at: usize,
    server: Kind,
    options: Vec<String>,
    plan: Plan,
}

/// Returns the medians of each point. Every round measures each point once, so that the load of the machine affects
/// all points equally.
fn costs(axis: &str, points: &[Point], rounds: usize) -> Result<Table, BoxError> {
    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); points.len()];
    for _ in 0..rounds {
        for (point, samples) in points.iter().zip(&mut samples) {
            let Point { server, options, plan, .. } = point;
            samples.push(measure(*server, options, *plan, Protocol::Http1)?);
        }
    }
    let mut table = Table::new(&format!(
        "{axis},server,deliveries_per_s,cpu_us,p50_us,p99_us,max_us,bytes_per_delivery"
    ));
    for (Point { at, server, .. }, samples) in points.iter().zip(&samples) {
        let of = |read: fn(&Sample) -> f64| median(samples.iter().map(read));
        table.row(&format!(
            "{at},{server},{:.0},{:.3},{:.0},{:.0},{:.0},{:.0}",
            of(|s| s.rate),
            of(|s| s.cpu),
            of(|s| s.p50.into()),
            of(|s| s.p99.into()),
            of(|s| s.max.into()),
            of(|s| s.bytes),
        ));
    }
    Ok(table)
}

fn subscribers(rounds: usize) -> Result<Table, BoxError> {
    let mut points = Vec::new();
    for at in [1, 3, 10, 30, 100, 300, 1000, 3000, 10_000] {
        machine::room_for(at)?;
        points.extend(SERVERS.map(|server| {
            let plan = plan(at, 256);
            Point { at, server, options: Vec::new(), plan }
        }));
    }
    costs("subscribers", &points, rounds)
}

fn threads(rounds: usize) -> Result<Table, BoxError> {
    let points = [1, 10, 100, 1000, 10_000, 100_000].map(|at| {
        let options = vec!["--threads".to_owned(), at.to_string()];
        Point { at, server: Kind::TowerTenancy, options, plan: plan(1000, 256) }
    });
    costs("threads", &points, rounds)
}

fn payload(rounds: usize) -> Result<Table, BoxError> {
    let mut points = Vec::new();
    for at in (7..=16).map(|power| 1 << power) {
        points.extend(SERVERS.map(|server| {
            let plan = plan(100, at);
            Point { at, server, options: Vec::new(), plan }
        }));
    }
    costs("data_bytes", &points, rounds)
}

fn idle() -> Result<Table, BoxError> {
    let mut table = Table::new("streams,server,pss_kib,kib_per_stream");
    for kind in [Kind::TowerTenancy, Kind::ByHand, Kind::TowerTenancyTuned] {
        for (nth, streams) in [1000, 2000, 4000, 7000, 10_000].into_iter().enumerate() {
            machine::room_for(streams)?;
            let memory = idle::measure(kind, streams)?;
            if nth == 0 {
                table.row(&format!("0,{kind},{},", memory.before));
            }
            let each = (memory.idle - memory.before) as f64 / streams as f64;
            table.row(&format!("{streams},{kind},{},{each:.2}", memory.idle));
        }
    }
    Ok(table)
}
