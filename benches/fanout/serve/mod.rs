//! The servers. Each runs in its own process: this program with the command `serve`.

pub(crate) mod by_hand;
mod crowd;
pub(crate) mod guarded;
pub(crate) mod nchan;
pub(crate) mod preframed;
pub(crate) mod raw;
pub(crate) mod tuned;

use crate::machine;
use axum::{Router, serve::ListenerExt as _};
use clap::{Args, ValueEnum};
use raw::Writers;
use std::{fmt, net::SocketAddr};
use tokio::net::TcpListener;
use tower_tenancy::BoxError;

/// The path of the measured thread: GET reads it, POST publishes to it.
pub(crate) const PATH: &str = "/threads/th/events";

/// The protocol of the subscribers' connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

impl Protocol {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Http1 => "http1",
            Self::Http2 => "http2",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// This crate under axum.
    TowerTenancy,
    /// This crate on hyper's HTTP/1, with less memory for each connection.
    TowerTenancyTuned,
    /// A typical server by hand: a broadcast channel, and serde_json for each connection.
    ByHand,
    /// axum with bytes that are framed once.
    Preframed,
    /// `preframed` on hyper, tuned like `tower-tenancy-tuned`: the least that a server on hyper can do.
    PreframedTuned,
    /// One write of bytes that are framed once, and nothing else.
    Raw,
    /// `raw` with a task for each subscriber.
    RawTasks,
    /// nginx with nchan.
    Nchan,
}

impl Kind {
    /// The protocols over which the bench measures this server.
    pub(crate) fn protocols(self) -> &'static [Protocol] {
        match self {
            Self::TowerTenancy | Self::ByHand => &[Protocol::Http1, Protocol::Http2],
            Self::TowerTenancyTuned
            | Self::Preframed
            | Self::PreframedTuned
            | Self::Raw
            | Self::RawTasks
            | Self::Nchan => &[Protocol::Http1],
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.to_possible_value().as_ref().map_or("", |value| value.get_name()))
    }
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Serve {
    pub(crate) kind: Kind,
    /// The port. 0 means any free port. The server prints its address.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The number of threads in the log of tower-tenancy, with the measured one.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Leave `TCP_NODELAY` off under `axum::serve`, as it is by default.
    #[arg(long)]
    nagle: bool,
}

/// Runs the server until the process ends.
pub(crate) fn run(args: &Serve) -> Result<(), BoxError> {
    machine::end_with_parent()?;
    machine::pin(machine::SERVER_CORE);
    machine::raise_open_files()?;
    if args.kind == Kind::Nchan {
        return nchan::run(args.port);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let others = args.threads.saturating_sub(1);
        let listener = TcpListener::bind(("127.0.0.1", args.port)).await?;
        announce(listener.local_addr()?);
        match args.kind {
            Kind::TowerTenancy => axum(listener, args.nagle, guarded::router(others).await?).await,
            Kind::TowerTenancyTuned => tuned::run(listener, guarded::router(others).await?).await,
            Kind::ByHand => axum(listener, args.nagle, by_hand::router()).await,
            Kind::Preframed => axum(listener, args.nagle, preframed::router()).await,
            Kind::PreframedTuned => tuned::run(listener, preframed::router()).await,
            Kind::Raw => raw::run(listener, Writers::One).await,
            Kind::RawTasks => raw::run(listener, Writers::Each).await,
            Kind::Nchan => Ok(()),
        }
    })
}

/// Prints the address for the parent process.
fn announce(address: SocketAddr) {
    println!("listening on {address}");
}

async fn axum(listener: TcpListener, nagle: bool, router: Router) -> Result<(), BoxError> {
    // Without TCP_NODELAY, small events wait for the acknowledgement of earlier ones.
    let listener = listener.tap_io(move |tcp| {
        if let Err(error) = tcp.set_nodelay(!nagle) {
            eprintln!("TCP_NODELAY: {error}");
        }
    });
    Ok(axum::serve(listener, router).await?)
}
