//! What the example servers share: their options, what these set up, and tokens.

mod token;

use token::DEVELOPMENT_SECRET;
pub(crate) use token::{Bearer, Trust, sign};

use clap::Args;
use std::{
    io::IsTerminal as _, num::NonZeroUsize, path::PathBuf, process::ExitCode, time::Duration,
};
use tower_tenancy::{
    BoxError, Env, Envs, MemoryLog, MemoryRegistry, Routing,
    auth::{Algorithm, JwtKey, JwtVerifier},
};
use tracing_subscriber::EnvFilter;

/// Keys, envs and threads.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) trust: Trust,
    /// Trust tokens signed by the owner of this public key, in PEM. Repeatable.
    #[arg(long = "public-key", value_name = "FILE.pem")]
    public_keys: Vec<PathBuf>,
    /// Serve this env. Repeatable; default: dev, staging and prod.
    #[arg(long = "env", value_name = "ENV")]
    envs: Vec<Env>,
    /// Register this thread at start. Repeatable.
    #[arg(long = "thread", value_name = "TENANT/ENV/THREAD")]
    threads: Vec<Routing>,
    /// Keep at most this many events of a thread.
    #[arg(long, value_name = "N")]
    retain: Option<NonZeroUsize>,
    /// How far the issuer's clock may differ from ours.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    leeway: u64,
}

/// What a server is made of.
pub(crate) struct Rails {
    pub(crate) verifier: JwtVerifier,
    pub(crate) envs: Envs,
    pub(crate) threads: MemoryRegistry,
    pub(crate) log: MemoryLog,
}

/// An identity to try a server with, and its thread.
pub(crate) struct Demo {
    pub(crate) tenant: &'static str,
    pub(crate) subject: &'static str,
    pub(crate) thread: &'static str,
}

pub(crate) const DEMO: [Demo; 2] = [
    Demo { tenant: "t_alpha", subject: "ada", thread: "welcome" },
    Demo { tenant: "t_beta", subject: "bob", thread: "plans" },
];

impl Options {
    /// Whether tokens are signed with the secret that everybody knows.
    pub(crate) fn development(&self) -> bool {
        self.trust.hs256_secret.is_none() && self.public_keys.is_empty()
    }

    /// The env of the identities to try the server with.
    pub(crate) fn demo_env(&self) -> &str {
        self.envs.first().map_or("prod", Env::as_str)
    }

    /// A token of `demo`, or a placeholder where only the owner of a key can make one.
    pub(crate) fn demo_token(&self, demo: &Demo) -> Result<String, BoxError> {
        if !self.development() && self.trust.hs256_secret.is_none() {
            return Ok(format!("$TOKEN_OF_{}", demo.tenant.to_uppercase()));
        }
        let env = self.demo_env();
        sign(&Bearer { tenant: demo.tenant, env, sub: demo.subject, roles: &[] }, 3600, &self.trust)
    }

    pub(crate) fn rails(&self) -> Result<Rails, BoxError> {
        if self.development() {
            tracing::warn!(
                "tokens are signed with the built-in development secret, which everybody knows; \
                 give --hs256-secret or --public-key before anybody else can reach this"
            );
        }
        let threads = MemoryRegistry::new();
        for thread in &self.threads {
            if !self.envs.is_empty() && !self.envs.contains(thread.env()) {
                tracing::warn!(
                    thread = thread.to_path(),
                    "nobody can reach this thread: its env is not served"
                );
            }
            threads.register(thread);
        }
        if self.development() {
            for Demo { tenant, thread, .. } in &DEMO {
                let thread: Routing = format!("{tenant}/{}/{thread}", self.demo_env()).parse()?;
                threads.register(&thread);
            }
        }
        let log = MemoryLog::builder();
        let log = self.retain.map_or(log.clone(), |events| log.max_events(events.get())).build();
        let envs = if self.envs.is_empty() { Envs::default() } else { Envs::new(&self.envs)? };
        Ok(Rails { verifier: self.verifier()?, envs, threads, log })
    }

    fn verifier(&self) -> Result<JwtVerifier, BoxError> {
        let mut builder = JwtVerifier::builder().leeway(Duration::from_secs(self.leeway));
        let development = self.development().then_some(DEVELOPMENT_SECRET);
        if let Some(secret) = self.trust.hs256_secret.as_deref().or(development) {
            let key = JwtKey::hmac(Algorithm::HS256, secret);
            builder = builder.key(key.map_err(|error| format!("--hs256-secret: {error}"))?);
        }
        for path in &self.public_keys {
            let named = |error: BoxError| format!("--public-key {}: {error}", path.display());
            let pem = std::fs::read(path).map_err(|error| named(error.into()))?;
            builder = builder.key(JwtKey::public_pem(pem).map_err(|error| named(error.into()))?);
        }
        if let Some(issuer) = &self.trust.issuer {
            builder = builder.issuer(issuer);
        }
        if let Some(audience) = &self.trust.audience {
            builder = builder.audience(audience);
        }
        Ok(builder.build()?)
    }
}

/// Tells what went wrong.
pub(crate) fn outcome(result: Result<(), BoxError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Logs to standard error what `RUST_LOG` names, or what is worth knowing.
pub(crate) fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
}
