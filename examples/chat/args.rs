//! The command line.

use crate::common::{Options, Trust};
use clap::{Args, Parser, Subcommand};
use std::net::SocketAddr;

/// A chat server for many tenants, on an in-memory log.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) serve: Serve,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Print a token.
    Token(TokenArgs),
}

#[derive(Args)]
pub(crate) struct Serve {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:3000")]
    pub(crate) addr: SocketAddr,
    #[command(flatten)]
    pub(crate) options: Options,
    /// If a WebSocket upgrade is refused, accept it and close it at once, with a close code that the page can read.
    #[arg(long)]
    pub(crate) close_refused_upgrades: bool,
}

#[derive(Args)]
pub(crate) struct TokenArgs {
    /// The tenant in the token.
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) tenant: String,
    /// The env in the token.
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) env: String,
    /// The token's subject.
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) sub: String,
    /// A role in the token. Repeatable.
    #[arg(long = "role", allow_hyphen_values = true)]
    pub(crate) roles: Vec<String>,
    /// How long the token is valid. A negative number makes a token that expired so long ago.
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, allow_negative_numbers = true)]
    pub(crate) ttl: i64,
    #[command(flatten)]
    pub(crate) trust: Trust,
}
