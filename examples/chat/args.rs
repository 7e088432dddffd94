//! The command line.

use clap::{Args, Parser, Subcommand};
use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf};
use tower_tenancy::{Env, Routing};

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
    pub(crate) trust: Trust,
    /// Trust tokens signed by the owner of this public key, in PEM. Repeatable.
    #[arg(long = "public-key", value_name = "FILE.pem")]
    pub(crate) public_keys: Vec<PathBuf>,
    /// Serve this env. Repeatable; default: dev, staging and prod.
    #[arg(long = "env", value_name = "ENV")]
    pub(crate) envs: Vec<Env>,
    /// Register this thread at start. Repeatable.
    #[arg(long = "thread", value_name = "TENANT/ENV/THREAD")]
    pub(crate) threads: Vec<Routing>,
    /// Keep at most this many events of a thread.
    #[arg(long, value_name = "N")]
    pub(crate) retain: Option<NonZeroUsize>,
    /// How far the issuer's clock may differ from ours.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) leeway: u64,
}

/// What issuer and verifier have to agree on.
#[derive(Args, Clone)]
pub(crate) struct Trust {
    /// The `iss` of tokens.
    #[arg(long, value_name = "ISS")]
    pub(crate) issuer: Option<String>,
    /// The `aud` of tokens.
    #[arg(long, value_name = "AUD")]
    pub(crate) audience: Option<String>,
    /// The secret shared with the issuer, at least 32 bytes.
    #[arg(long, value_name = "S")]
    pub hs256_secret: Option<String>,
}

#[derive(Args)]
pub(crate) struct TokenArgs {
    /// The tenant that the token speaks for.
    #[arg(long)]
    pub(crate) tenant: String,
    /// The env that the token speaks for.
    #[arg(long)]
    pub(crate) env: String,
    /// Who the token names.
    #[arg(long)]
    pub(crate) sub: String,
    /// A role that the token gives. Repeatable.
    #[arg(long = "role")]
    pub(crate) roles: Vec<String>,
    /// How long the token is valid. Negative: since when it is not any more.
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, allow_negative_numbers = true)]
    pub(crate) ttl: i64,
    #[command(flatten)]
    pub(crate) trust: Trust,
}
