//! Runs one server once, to measure what a delivery costs.

use crate::{
    load::{Client, Load, Plan, http1::Http1, http2::Http2, phase, tally::Tally},
    machine,
    serve::{Kind, Protocol},
    server::Server,
};
use std::{thread::sleep, time::Duration};
use tower_tenancy::BoxError;

/// The figures of one run. There is a sample only if all deliveries arrived, in order and once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Deliveries per second, by wall-clock time.
    pub(crate) rate: f64,
    /// Processor time of the server per delivery, in microseconds.
    pub(crate) cpu: f64,
    /// The time from the publisher's write until a subscriber had the event, in microseconds: the median.
    pub(crate) p50: u32,
    pub(crate) p99: u32,
    pub(crate) max: u32,
    /// Bytes that a subscriber received per event.
    pub(crate) bytes: f64,
    /// The share of the time in which the load generator was busy. Near 1, the run measures the generator.
    pub(crate) load_busy: f64,
}

/// Starts a new server, and measures it.
pub(crate) fn measure(
    kind: Kind,
    options: &[String],
    plan: Plan,
    protocol: Protocol,
) -> Result<Sample, BoxError> {
    let server = Server::start(kind, options)?;
    let client = Client::new(server.address(), kind, plan.data)?;
    let sample = match protocol {
        Protocol::Http2 => drive(&server, &mut Http2::open(client, plan.subscribers)?, plan),
        Protocol::Http1 => drive(&server, &mut Http1::open(client, plan.subscribers)?, plan),
    };
    sample.map_err(|error| format!("{kind}, {}, {plan:?}: {error}", protocol.name()).into())
}

fn drive(server: &Server, load: &mut impl Load, plan: Plan) -> Result<Sample, BoxError> {
    // A server may send the head of a stream a moment before it adds the subscriber.
    sleep(Duration::from_millis(50));
    let mut tally = Tally::new(plan.subscribers, plan.window);
    phase(load, &mut tally, plan.warm_up)?;
    let of_server = server.cpu();
    let busy =
        |load: &dyn Load| machine::cpu_of_process(std::process::id()).saturating_sub(load.idle());
    let of_load = busy(load);
    let measured = phase(load, &mut tally, plan.events)?;
    let of_server = server.cpu() - of_server;
    let of_load = busy(load).saturating_sub(of_load);
    load.settle(&mut tally)?;
    let mut latencies = measured.latencies;
    latencies.sort_unstable();
    let deliveries = latencies.len() as f64;
    Ok(Sample {
        rate: deliveries / measured.wall.as_secs_f64(),
        cpu: of_server.as_secs_f64() * 1e6 / deliveries,
        p50: quantile(&latencies, 0.5),
        p99: quantile(&latencies, 0.99),
        max: quantile(&latencies, 1.0),
        bytes: measured.bytes as f64 / deliveries,
        load_busy: of_load.as_secs_f64() / measured.wall.as_secs_f64(),
    })
}

fn quantile(sorted: &[u32], share: f64) -> u32 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share) as usize).copied().unwrap_or(0)
}
