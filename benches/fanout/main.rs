//! Measures what it costs to deliver one event to many subscribers over real sockets. It compares this crate with
//! other servers for the same task.
//!
//! ```sh
//! cargo bench -p tower-tenancy-benches --bench fanout -- compare
//! cargo bench -p tower-tenancy-benches --bench fanout -- help
//! ```
//!
//! Each server runs in its own process on one core, and the load generator runs on another core. Without a command,
//! the bench only checks that every server works.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    reason = "a bench"
)]

mod check;
mod compare;
mod curve;
mod envelope;
mod idle;
mod load;
mod machine;
mod measure;
#[path = "../../tests/minter/mod.rs"]
mod minter;
mod serve;
mod server;
mod token;

use clap::{Parser, Subcommand};
use std::process::ExitCode;
use tower_tenancy::BoxError;

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// An argument that cargo passes to benches.
    #[arg(long, global = true, hide = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Measure servers side by side.
    Compare(compare::Compare),
    /// Measure the memory of open and quiet streams.
    Idle(idle::Idle),
    /// Measure how the cost grows.
    Curve(curve::Curve),
    /// Run one of the servers.
    #[command(hide = true)]
    Serve(serve::Serve),
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<(), BoxError> {
    if let Some(Command::Serve(args)) = cli.command {
        return serve::run(&args);
    }
    machine::pin(machine::LOAD_CORE);
    match cli.command {
        Some(Command::Compare(args)) => compare::run(&args),
        Some(Command::Idle(args)) => idle::run(&args),
        Some(Command::Curve(args)) => curve::run(&args),
        Some(Command::Serve(_)) | None => check::run(),
    }
}
