//! Whose pipe it is: what its file may name of the machine, and where its secrets are.

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::policy::Reach;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

/// Where the secrets of a service's pipe are kept.
pub trait Secrets: fmt::Debug + Send + Sync {
    /// The secret of this name, if there is one; why it can't be read.
    fn get(&self, name: &str) -> Result<Option<SecretString>, String>;
}

/// The name of the source's password among a pipe's secrets.
pub const SOURCE_PASSWORD: &str = "source.password";
/// The name of the destination's password among a pipe's secrets.
pub const DESTINATION_PASSWORD: &str = "destination.password";

/// What a pipe file may name of the machine.
#[derive(Clone, Debug, Default)]
pub enum Access {
    /// It is the user's own who runs Tidemill: their files, sockets and environment variables.
    #[default]
    Own,
    /// It is a tenant's of a service: nothing but what the tenant has uploaded.
    Tenant(Arc<Tenancy>),
}

/// What a tenant's pipe may name.
#[derive(Debug)]
pub struct Tenancy {
    /// The pipe's folder: files that the pipe names are in its `files`.
    pub home: PathBuf,
    /// Its passwords and keys.
    pub secrets: Box<dyn Secrets>,
    /// Whether the operator allows embedded ClickHouse servers.
    pub embedded: bool,
    /// Which addresses it may connect to.
    pub reach: Reach,
}

/// The folder of a pipe's uploaded files, in its own.
pub const FILES: &str = "files";

impl Access {
    /// Refuses what is the operator's, where the pipe is a tenant's; `what` is the beginning of a sentence.
    pub(super) fn check_machine(&self, what: &str, instead: &str) -> Result<(), String> {
        match self {
            Self::Own => Ok(()),
            Self::Tenant(_) => Err(format!(
                "{what} of the service's machine, which a pipe of a service can't use; {instead}"
            )),
        }
    }

    /// Refuses a file outside of those that the tenant has uploaded, or that were kept with a load.
    pub(super) fn check_file(&self, path: &Path) -> Result<(), String> {
        let Self::Tenant(tenancy) = self else {
            return Ok(());
        };
        let within = [tenancy.home.join(FILES), tenancy.home.join("state/pinned")];
        let climbs = path
            .components()
            .any(|part| matches!(part, Component::ParentDir));
        match !climbs && within.iter().any(|folder| path.starts_with(folder)) {
            true => Ok(()),
            false => Err(format!(
                "a pipe of a service reads uploaded files only: upload it, and write `{FILES}/` and its name"
            )),
        }
    }

    /// Whether a ClickHouse server may be started for the pipe.
    pub(super) fn allows_embedded(&self) -> bool {
        match self {
            Self::Own => true,
            Self::Tenant(tenancy) => tenancy.embedded,
        }
    }

    /// Which addresses the pipe may connect to.
    pub(super) fn reach(&self) -> Reach {
        match self {
            Self::Own => Reach::anywhere(),
            Self::Tenant(tenancy) => tenancy.reach.clone(),
        }
    }

    /// The secret that a tenant's pipe has under this name.
    pub(super) fn kept_secret(&self, name: &str) -> Result<Option<SecretString>, String> {
        match self {
            Self::Own => Ok(None),
            Self::Tenant(tenancy) => tenancy.secrets.get(name),
        }
    }

    /// Puts the values of secrets where a configuration names them: `{ secret = "NAME" }`. On one's own machine the name is an environment variable's.
    pub(super) fn fill_secrets(&self, config: &mut Value) -> Result<(), String> {
        if let Some(name) = secret_name(config) {
            let secret = self.named_secret(name)?;
            *config = Value::String(secret.expose_secret().to_owned());
            return Ok(());
        }
        match config {
            Value::Array(items) => items
                .iter_mut()
                .try_for_each(|item| self.fill_secrets(item)),
            Value::Object(fields) => fields
                .values_mut()
                .try_for_each(|field| self.fill_secrets(field)),
            _ => Ok(()),
        }
    }

    fn named_secret(&self, name: &str) -> Result<SecretString, String> {
        match self {
            Self::Own => match std::env::var(name) {
                Ok(value) => Ok(value.into()),
                Err(_) => Err(format!(
                    "the secret `{name}` is no environment variable that is set"
                )),
            },
            Self::Tenant(tenancy) => tenancy.secrets.get(name)?.ok_or_else(|| {
                format!("the pipe has no secret `{name}`: set it beside the pipe's settings")
            }),
        }
    }
}

/// The name in `{ secret = "NAME" }`.
fn secret_name(value: &Value) -> Option<&str> {
    let fields = value.as_object()?;
    match fields.len() {
        1 => fields.get("secret")?.as_str(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Debug)]
    struct One;

    impl Secrets for One {
        fn get(&self, name: &str) -> Result<Option<SecretString>, String> {
            Ok((name == "key").then(|| "value".into()))
        }
    }

    fn tenant() -> Access {
        Access::Tenant(Arc::new(Tenancy {
            home: PathBuf::from("/data/pipe"),
            secrets: Box::new(One),
            embedded: false,
            reach: Reach::anywhere(),
        }))
    }

    #[test]
    fn secrets_are_put_where_they_are_named_and_nowhere_else() {
        let mut config = json!({"key": {"secret": "key"}, "all": [{"secret": "key"}, {"secret": 1}], "secret": "key"});
        tenant().fill_secrets(&mut config).unwrap();
        let expected = json!({"key": "value", "all": ["value", {"secret": 1}], "secret": "key"});
        assert_eq!(config, expected);
        let missing = tenant().fill_secrets(&mut json!([{"secret": "none"}]));
        assert!(missing.unwrap_err().contains("`none`"));
    }

    #[test]
    fn a_tenant_reads_what_was_uploaded_and_pinned_alone() {
        let allowed = [
            "/data/pipe/files/a.csv",
            "/data/pipe/state/pinned/tables/x.csv",
        ];
        let refused = [
            "/etc/passwd",
            "/data/pipe/files/../pipe.toml",
            "/data/pipe/pipe.toml",
            "/data/pipe/filesystem",
            "/data/other/files/a.csv",
        ];
        for path in allowed {
            assert_eq!(tenant().check_file(Path::new(path)), Ok(()), "{path}");
        }
        for path in refused {
            assert!(tenant().check_file(Path::new(path)).is_err(), "{path}");
        }
        assert_eq!(Access::Own.check_file(Path::new("/etc/passwd")), Ok(()));
    }
}
