//! The envs that a service serves.

use crate::id::{Env, InvalidId};
use std::sync::Arc;

/// The envs that a service serves, and the other names they go by.
///
/// The default serves `dev`, `staging` and `prod`, and knows `development`, `stage` and
/// `production` as their aliases.
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
    /// What an env goes by, and the env. One that is served goes by its own name as well.
    names: Vec<(Env, Env)>,
    /// What a request names that names none.
    if_absent: Option<Env>,
}

const DEFAULT_ALIASES: [(&str, &str); 3] =
    [("development", "dev"), ("stage", "staging"), ("production", "prod")];

impl Envs {
    /// Serves `names`. The default aliases of those among them stay.
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

    /// Serves this env alone, and takes it for named where a request has no `X-Env`. The default aliases
    /// of the env stay.
    ///
    /// A request may still name it. One that names another env, an empty one or two of them is refused,
    /// and the token must prove the env all the same.
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

    /// Takes `alias` for `name` as well. An alias of an env that is not served means nothing.
    ///
    /// # Errors
    ///
    /// A name that is not an [`Env`].
    pub fn alias(mut self, alias: &str, name: &str) -> Result<Self, InvalidId> {
        let table = &mut Arc::make_mut(&mut self.0).names;
        // The last word on an alias counts; a served env keeps its own name.
        table.retain(|(known, env)| known.as_str() != alias || known == env);
        table.push((Env::new(alias)?, Env::new(name)?));
        Ok(self)
    }

    /// The served env that goes by `name`.
    pub(super) fn resolve(&self, name: &str) -> Option<&Env> {
        let (_, env) = self.0.names.iter().find(|(known, _)| known.as_str() == name)?;
        self.0.names.iter().any(|(known, served)| known == served && served == env).then_some(env)
    }

    /// The served env that goes by `name`, or why there is none.
    pub(super) fn named(&self, name: &str) -> Result<&Env, String> {
        if name.is_empty() {
            return Err(InvalidId::Empty.to_string());
        }
        let unknown =
            || format!("names no env that is served here. Send one of: {}", self.served());
        self.resolve(name).ok_or_else(unknown)
    }

    /// The env of a request that names none, where the application says so.
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
        // The names are constants and valid; were they not, no env would be served at all.
        Self::new(names).unwrap_or_else(|_| Self(Arc::default()))
    }
}
