//! What the example servers share: options, setup and tokens.

mod issuers;
mod token;

use token::DEVELOPMENT_SECRET;
pub(crate) use token::{Bearer, Trust, sign};

use clap::Args;
use issuers::{Tenants, TrustedIssuer};
use std::{
    collections::HashSet, io::IsTerminal as _, num::NonZeroUsize, path::PathBuf, process::ExitCode,
    sync::Arc, time::Duration,
};
use tower_tenancy::{
    Authenticator, BoxError, Env, Envs, MemoryLog, MemoryRegistry, Routing,
    auth::{
        Algorithm, JwtKey, JwtVerifier, JwtVerifierBuilder, KeySet, TokenCache, TrustedIssuers,
    },
};
use tracing_subscriber::EnvFilter;

/// Keys, envs and threads.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) trust: Trust,
    /// Trust this issuer with rotating keys: `issuer=ISS,jwks=URL,audience=AUD,tenants=T1|T2,envs=E1|E2`.
    /// The issuer may speak only for these tenants and envs; `tenants=*` means any tenant. `tenants=` is required if
    /// you also trust another issuer or a key. The URL must be https, except on loopback. Repeatable.
    #[arg(long = "trust", value_name = "ISSUER")]
    issuers: Vec<TrustedIssuer>,
    /// Remember at most this many verified tokens.
    #[arg(long, value_name = "N")]
    token_cache: Option<NonZeroUsize>,
    /// Trust tokens that the private key of this public key has signed. The file is PEM. Repeatable.
    #[arg(long = "public-key", value_name = "FILE.pem")]
    public_keys: Vec<PathBuf>,
    /// Let tokens of --hs256-secret or --public-key speak only for these tenants. Default: any tenant; if you also
    /// use --trust, the server warns at start.
    #[arg(long, value_name = "T1|T2", allow_hyphen_values = true)]
    key_tenants: Option<Tenants>,
    /// Serve this env. Repeatable; default: dev, staging and prod.
    #[arg(long = "env", value_name = "ENV", allow_hyphen_values = true)]
    envs: Vec<Env>,
    /// Serve only this env. A request without X-Env is a request to it.
    #[arg(long, value_name = "ENV", allow_hyphen_values = true, conflicts_with = "envs")]
    only_env: Option<Env>,
    /// Register this thread at start. Repeatable.
    #[arg(long = "thread", value_name = "TENANT/ENV/THREAD", allow_hyphen_values = true)]
    threads: Vec<Routing>,
    /// Keep at most this many events of each thread.
    #[arg(long, value_name = "N")]
    retain: Option<NonZeroUsize>,
    /// Keep at most this many bytes of all threads together, shared fairly among tenants and envs.
    #[arg(long, value_name = "N")]
    log_bytes: Option<usize>,
    /// How many seconds the issuer's clock may differ from the server's.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    leeway: u64,
}

/// The parts of a server.
pub(crate) struct Setup {
    pub(crate) verifier: Arc<dyn Authenticator>,
    /// The rotating keys of each issuer.
    #[allow(dead_code, reason = "only one example shows the health of the keys")]
    pub(crate) keys: Vec<(String, KeySet)>,
    pub(crate) envs: Envs,
    pub(crate) threads: MemoryRegistry,
    pub(crate) log: MemoryLog,
}

/// An identity for trying out a server, and its thread.
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
    /// Whether the development secret signs tokens.
    pub(crate) fn development(&self) -> bool {
        !self.has_fixed_keys() && self.issuers.is_empty()
    }

    fn has_fixed_keys(&self) -> bool {
        self.trust.hs256_secret.is_some() || !self.public_keys.is_empty()
    }

    /// The env of the demo identities.
    pub(crate) fn demo_env(&self) -> &str {
        self.only_env.iter().chain(&self.envs).next().map_or("prod", Env::as_str)
    }

    /// A token of `demo`, or a placeholder if only the owner of a key can sign one.
    pub(crate) fn demo_token(&self, demo: &Demo) -> Result<String, BoxError> {
        if !self.development() && self.trust.hs256_secret.is_none() {
            return Ok(format!("$TOKEN_OF_{}", demo.tenant.to_uppercase()));
        }
        let env = self.demo_env();
        sign(&Bearer { tenant: demo.tenant, env, sub: demo.subject, roles: &[] }, 3600, &self.trust)
    }

    pub(crate) fn set_up(&self) -> Result<Setup, BoxError> {
        if self.development() {
            tracing::warn!(
                "tokens are signed with the built-in development secret, which everybody knows; \
                 use --hs256-secret or --public-key before others can reach this server"
            );
        }
        let threads = MemoryRegistry::new();
        for thread in &self.threads {
            let mut served = self.only_env.iter().chain(&self.envs).peekable();
            if served.peek().is_some() && !served.any(|env| env == thread.env()) {
                tracing::warn!(
                    thread = thread.to_path(),
                    "nobody can reach this thread: the server does not serve its env"
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
        let mut log = MemoryLog::builder();
        if let Some(events) = self.retain {
            log = log.max_events(events.get());
        }
        if let Some(bytes) = self.log_bytes {
            log = log.max_total_bytes(bytes);
        }
        let log = log.build();
        let envs = match &self.only_env {
            Some(env) => Envs::only(env)?,
            None if self.envs.is_empty() => Envs::default(),
            None => Envs::new(&self.envs)?,
        };
        let (verifier, keys) = self.verifier()?;
        Ok(Setup { verifier, keys, envs, threads, log })
    }

    /// Makes the verifier of all tokens that are trusted.
    fn verifier(&self) -> Result<(Arc<dyn Authenticator>, Vec<(String, KeySet)>), BoxError> {
        let mut builder = JwtVerifier::builder().leeway(Duration::from_secs(self.leeway));
        if let Some(entries) = self.token_cache {
            builder = builder.cache(TokenCache::new(entries.get()));
        }
        if self.issuers.is_empty() {
            return Ok((Arc::new(self.fixed(builder)?), Vec::new()));
        }
        self.check_issuers()?;
        let trusted = TrustedIssuers::new();
        let mut keys = Vec::new();
        for issuer in &self.issuers {
            let set = issuer.keys()?;
            trusted.insert(issuer.verifier(builder.clone(), set.clone())?)?;
            keys.push((issuer.issuer().to_owned(), set));
        }
        if self.has_fixed_keys() {
            if self.key_tenants.is_none() {
                tracing::warn!(
                    "tokens of --hs256-secret or --public-key may speak for every tenant, also for the tenants \
                     of the issuers of --trust; limit them with --key-tenants T1|T2"
                );
            }
            let fixed = self.fixed(builder)?;
            match &self.trust.issuer {
                Some(_) => trusted.insert(fixed)?,
                None => trusted.set_fallback(fixed)?,
            }
        }
        Ok((Arc::new(trusted), keys))
    }

    /// Checks that each issuer names its tenants, unless it is the only one that is trusted.
    fn check_issuers(&self) -> Result<(), BoxError> {
        let fixed = self.trust.issuer.as_deref().filter(|_| self.has_fixed_keys());
        let mut known: HashSet<_> = fixed.into_iter().collect();
        for issuer in self.issuers.iter().map(TrustedIssuer::issuer) {
            if !known.insert(issuer) {
                return Err(format!("the issuer `{issuer}` is trusted twice: name it once").into());
            }
        }
        let alone = self.issuers.len() == 1 && !self.has_fixed_keys();
        let silent = self.issuers.iter().find(|issuer| !alone && !issuer.names_tenants());
        if let Some(silent) = silent {
            return Err(format!(
                "--trust issuer={}: you also trust other issuers or keys, so name the tenants that this \
                 issuer may speak for: add `,tenants=T1|T2`, or `,tenants=*` for any tenant",
                silent.issuer()
            )
            .into());
        }
        if self.key_tenants.is_some() && !self.has_fixed_keys() {
            return Err(
                "--key-tenants limits a key: give --hs256-secret or --public-key, too".into()
            );
        }
        Ok(())
    }

    /// A verifier with fixed keys.
    fn fixed(&self, mut builder: JwtVerifierBuilder) -> Result<JwtVerifier, BoxError> {
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
        builder = self.key_tenants.as_ref().unwrap_or(&Tenants::Any).of(builder);
        if let Some(issuer) = &self.trust.issuer {
            builder = builder.issuer(issuer);
        }
        if let Some(audience) = &self.trust.audience {
            builder = builder.audience(audience);
        }
        Ok(builder.build()?)
    }
}

/// Prints an error, and returns the exit code.
pub(crate) fn outcome(result: Result<(), BoxError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Logs to standard error, with the filter in `RUST_LOG`. The default filter is `info`.
pub(crate) fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
}
