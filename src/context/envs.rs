//! The envs that a service serves.

use crate::id::{Env, InvalidId};
use std::sync::Arc;

/// The envs that a service serves, and their aliases.
///
/// The default serves `dev`, `staging` and `prod`, with the aliases `development`, `stage` and
/// `production`.
///
/// ```
/// use tower_tenancy::Envs;
///
/// let envs = Envs::new(["prod", "eu-prod"])?.alias("live", "prod")?;
/// # Ok::<(), tower_tenancy::id::InvalidId>(())
/// ```
#[derive(Clone, Debug)]
pub struct Envs(Arc<Table>);

#[derive(Clone, Debug, Default)]
struct Table {
    /// Pairs of a name and its env. An env that is served has a pair with its own name.
    names: Vec<(Env, Env)>,
    /// The env of a request that does not name an env.
    if_absent: Option<Env>,
}

const DEFAULT_ALIASES: [(&str, &str); 3] =
    [("development", "dev"), ("stage", "staging"), ("production", "prod")];

impl Envs {
    /// Serves `names`. The default aliases of these envs remain.
    ///
    /// # Errors
    ///
    /// A name that is not an [`Env`].
    pub fn new<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Result<Self, InvalidId> {
        let mut table = Table::default();
        for name in names {
            let env = Env::new(name)?;
            table.names.push((env.clone(), env));
        }
        let mut envs = Self(Arc::new(table));
        for (alias, name) in DEFAULT_ALIASES {
            if envs.resolve(name).is_some() && envs.resolve(alias).is_none() {
                envs = envs.alias(alias, name)?;
            }
        }
        Ok(envs)
    }

    /// Serves only this env. A request without `X-Env` belongs to this env. The default aliases of the
    /// env remain.
    ///
    /// A request may still name the env. The layer refuses a request that names another env, an empty env
    /// or two envs. The token must prove the env in any case.
    ///
    /// ```
    /// use tower_tenancy::{Envs, RequireTenantScope};
    ///
    /// # fn layer(verifier: tower_tenancy::auth::JwtVerifier) -> Result<(), tower_tenancy::BoxError> {
    /// let layer = RequireTenantScope::new(verifier).envs(Envs::only("prod")?);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// A name that is not an [`Env`].
    pub fn only(name: impl AsRef<str>) -> Result<Self, InvalidId> {
        let env = Env::new(name)?;
        let mut envs = Self::new([env.as_str()])?;
        Arc::make_mut(&mut envs.0).if_absent = Some(env);
        Ok(envs)
    }

    /// Adds the alias `alias` for the env `name`. It has no effect if the env is not served.
    ///
    /// # Errors
    ///
    /// A name that is not an [`Env`].
    pub fn alias(mut self, alias: &str, name: &str) -> Result<Self, InvalidId> {
        let table = &mut Arc::make_mut(&mut self.0).names;
        // A later alias replaces an earlier one. A served env keeps its own name.
        table.retain(|(known, env)| known.as_str() != alias || known == env);
        table.push((Env::new(alias)?, Env::new(name)?));
        Ok(self)
    }

    /// The served env with this name or alias.
    pub(super) fn resolve(&self, name: &str) -> Option<&Env> {
        let (_, env) = self.0.names.iter().find(|(known, _)| known.as_str() == name)?;
        self.0.names.iter().any(|(known, served)| known == served && served == env).then_some(env)
    }

    /// The served env with this name or alias, or the reason why there is none.
    pub(super) fn named(&self, name: &str) -> Result<&Env, String> {
        if name.is_empty() {
            return Err(InvalidId::Empty.to_string());
        }
        let unknown =
            || format!("names an env that is not served here. Send one of: {}", self.served());
        self.resolve(name).ok_or_else(unknown)
    }

    /// The env of a request that does not name an env, if the application allows this.
    pub(super) fn if_absent(&self) -> Option<&Env> {
        self.0.if_absent.as_ref()
    }

    fn served(&self) -> String {
        let names =
            self.0.names.iter().filter(|(known, env)| known == env).map(|(_, env)| env.as_str());
        names.collect::<Vec<_>>().join(", ")
    }
}

impl Default for Envs {
    fn default() -> Self {
        let names = ["dev", "staging", "prod"];
        // These names are valid. If they were not, the service would serve no env.
        Self::new(names).unwrap_or_else(|_| Self(Arc::default()))
    }
}
