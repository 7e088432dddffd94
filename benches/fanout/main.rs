//! What it costs to bring one event to many subscribers, over real sockets: this crate, next to
//! servers that do the same by other means.
//!
//! ```sh
//! cargo bench -p tower-tenancy-benches --bench fanout -- compare
//! cargo bench -p tower-tenancy-benches --bench fanout -- help
//! ```
//!
//! Servers run in processes of their own on one core, the load generator on another. Without a
//! command, every server is held against what it must do, once and quickly.

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
    /// What cargo says to benches.
    #[arg(long, global = true, hide = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Measure servers side by side.
    Compare(compare::Compare),
    /// Measure the memory of streams that are open and quiet.
    Idle(idle::Idle),
    /// Measure how cost grows.
    Curve(curve::Curve),
    /// Be one of the servers.
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
