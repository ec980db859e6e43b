//! The settings of a pipe: as they are sent, checked and kept, with the secrets that were in them.

use std::collections::BTreeMap;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::PathBuf;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use toml::{Table, Value};

use super::record;
use crate::files::write_whole;
use crate::pipe::{
    Access, DESTINATION_PASSWORD, Pipe, SOURCE_PASSWORD, Secrets, SourceSettings, Tenancy,
};
use crate::service::Service;
use crate::service::auth::Caller;
use crate::service::problem::Problem;
use crate::service::store::{Made, PipeRecord};
use crate::service::supervisor::PipeId;

/// Secrets of a pipe, at most.
const MOST_SECRETS: u32 = 200;
/// The largest secret, in bytes.
const LARGEST_SECRET: usize = 64 << 10;

/// Settings as they were sent.
pub(in crate::service) enum Sent {
    /// TOML.
    Toml(String),
    /// The same structure as JSON, with `secrets` beside it if there are any.
    Json(serde_json::Map<String, serde_json::Value>),
    /// TOML without secrets, and those by name.
    Apart(String, BTreeMap<String, SecretString>),
}

/// Settings that were read: their text, and the secrets that were in them.
struct Read {
    /// As it is to be checked: errors name its lines.
    whole: String,
    /// As it is kept.
    kept: String,
    secrets: BTreeMap<String, SecretString>,
}

impl Sent {
    fn read(self) -> Result<Read, Problem> {
        let unusable = |error: &dyn std::fmt::Display| Problem::unusable(error.to_string());
        let whole = match self {
            Self::Toml(text) => text,
            Self::Apart(text, secrets) => {
                return Ok(Read {
                    whole: text.clone(),
                    kept: text,
                    secrets,
                });
            }
            Self::Json(settings) => {
                toml::to_string(&without_nulls(settings)).map_err(|error| unusable(&error))?
            }
        };
        let mut table: Table = whole.parse().map_err(|error| unusable(&error))?;
        let mut secrets = BTreeMap::new();
        if let Some(named) = table.remove("secrets") {
            let named = named.try_into::<BTreeMap<String, String>>();
            let named = named.map_err(|_| Problem::unusable("`secrets` has names and texts"))?;
            secrets.extend(named.into_iter().map(|(name, value)| (name, value.into())));
        }
        for (section, name) in [
            ("source", SOURCE_PASSWORD),
            ("destination", DESTINATION_PASSWORD),
        ] {
            let section = table.get_mut(section).and_then(Value::as_table_mut);
            if let Some(Value::String(password)) = section.and_then(|s| s.remove("password")) {
                secrets.insert(name.to_owned(), password.into());
            }
        }
        let kept = match secrets.is_empty() {
            true => whole.clone(),
            // Comments go with it; a text without secrets keeps them.
            false => toml::to_string(&table).map_err(|error| unusable(&error))?,
        };
        Ok(Read {
            whole: without_secrets_table(whole, &table),
            kept,
            secrets,
        })
    }
}

/// TOML has no nulls: a key that is null isn't there.
fn without_nulls(
    map: serde_json::Map<String, serde_json::Value>,
) -> serde_json::Map<String, serde_json::Value> {
    fn clean(value: serde_json::Value) -> Option<serde_json::Value> {
        use serde_json::Value;
        match value {
            Value::Null => None,
            Value::Object(map) => Some(Value::Object(without_nulls(map))),
            Value::Array(items) => {
                Some(Value::Array(items.into_iter().filter_map(clean).collect()))
            }
            value => Some(value),
        }
    }
    let fields = map.into_iter();
    fields
        .filter_map(|(key, value)| Some((key, clean(value)?)))
        .collect()
}

/// The pipe file knows no `secrets`; without them its lines are others, and it is checked as it will be kept.
fn without_secrets_table(whole: String, table: &Table) -> String {
    match whole.parse::<Table>() {
        Ok(parsed) if parsed.contains_key("secrets") => table.to_string(),
        _ => whole,
    }
}

/// A pipe's secrets, with those that are about to be kept.
#[derive(Debug)]
struct WithNew {
    new: BTreeMap<String, SecretString>,
    kept: Box<dyn Secrets>,
}

impl Secrets for WithNew {
    fn get(&self, name: &str) -> Result<Option<SecretString>, String> {
        match self.new.get(name) {
            Some(secret) => Ok(Some(secret.clone())),
            None => self.kept.get(name),
        }
    }
}

impl Service {
    /// Reads what the settings of a pipe mean, if they can be used. The pipe's place is known once its name is.
    fn check_settings(&self, caller: &Caller, read: &Read) -> Result<Pipe, Problem> {
        let table: Table = read.whole.parse().unwrap_or_default();
        let name = table
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        // A name that is none is told below; it must not become a path.
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let id = caller.pipe(if name.chars().all(fits) { name } else { "_" });
        self.settings_at(&id, self.pipe_folder(&id), read)
    }

    /// The pipe of settings that are not kept, with a folder of its own for what it needs meanwhile.
    pub(in crate::service) fn pipe_at(
        &self,
        caller: &Caller,
        folder: PathBuf,
        sent: Sent,
    ) -> Result<Pipe, Problem> {
        self.settings_at(&caller.pipe("_"), folder, &sent.read()?)
    }

    fn settings_at(&self, id: &PipeId, home: PathBuf, read: &Read) -> Result<Pipe, Problem> {
        let tenancy = self.tenancy(id);
        let access = Access::Tenant(Arc::new(Tenancy {
            home: home.clone(),
            embedded: tenancy.embedded,
            reach: tenancy.reach,
            secrets: Box::new(WithNew {
                new: read.secrets.clone(),
                kept: tenancy.secrets,
            }),
        }));
        let pipe = Pipe::parse_as(&home.join("pipe.toml"), read.whole.clone(), access);
        pipe.map_err(|error| Problem::from(error).without_path(&home))
    }

    /// The settings of a source of which a pipe is to be made.
    pub(in crate::service) fn source_settings(
        &self,
        caller: &Caller,
        mut section: Table,
        password: Option<SecretString>,
    ) -> Result<SourceSettings, Problem> {
        // Nothing is a pipe's yet: there are no files and no secrets.
        section.remove("password");
        let access = self.access(&caller.pipe("_"));
        let mut settings = Pipe::source_of(section, access)?;
        settings.password = password;
        Ok(settings)
    }

    /// Makes a pipe.
    pub(in crate::service) fn create_pipe(
        &self,
        caller: &Caller,
        sent: Sent,
    ) -> Result<PipeId, Problem> {
        let read = sent.read()?;
        let pipe = self.check_settings(caller, &read)?;
        let id = caller.pipe(&pipe.name);
        let tenant = self.store.tenant_record(&caller.tenant)?;
        let most = tenant.map_or(0, |tenant| tenant.quotas.pipes);
        match caller.store(self).make_pipe(&record(&pipe), most)? {
            Made::Made => {}
            Made::Exists => {
                let detail = format!("there is a pipe `{}` already", pipe.name);
                return Err(Problem::conflict(detail).suggest("change it, or choose another name"));
            }
            Made::TooMany => {
                let detail = format!("the tenant has {most} pipes, and may have no more");
                return Err(Problem::quota(detail));
            }
        }
        let kept = self.keep_settings(&id, &read);
        if kept.is_err() {
            self.store.tenant(&id.tenant).remove_pipe(&id.name)?;
        }
        kept?;
        self.note(caller, &id, "made");
        Ok(id)
    }

    /// Changes a pipe's settings. What may change while it runs is in force at once, the rest with the next resync.
    pub(in crate::service) fn change_pipe(
        &self,
        caller: &Caller,
        name: &str,
        sent: Sent,
    ) -> Result<PipeId, Problem> {
        let before = self.pipe_record(caller, name)?;
        let read = sent.read()?;
        let pipe = self.check_settings(caller, &read)?;
        if pipe.name != name {
            let detail = format!(
                "the settings are of a pipe `{}`, and this one is `{name}`: a pipe keeps its name",
                pipe.name
            );
            return Err(Problem::unusable(detail));
        }
        let id = caller.pipe(name);
        let new = record(&pipe);
        self.check_passwords(&id, &before, &new, &read)?;
        self.keep_settings(&id, &read)?;
        caller.store(self).change_pipe(name, |record| {
            *record = PipeRecord {
                created: record.created,
                wanted: record.wanted,
                error: record.error.take(),
                last: record.last.take(),
                ..new
            };
        })?;
        self.supervisor.nudge(&id);
        self.note(caller, &id, "settings changed");
        Ok(id)
    }

    /// A password that was given for one server goes to no other one.
    fn check_passwords(
        &self,
        id: &PipeId,
        before: &PipeRecord,
        now: &PipeRecord,
        read: &Read,
    ) -> Result<(), Problem> {
        let ends = [
            ("source", SOURCE_PASSWORD, &before.source, &now.source),
            (
                "destination",
                DESTINATION_PASSWORD,
                &before.destination,
                &now.destination,
            ),
        ];
        for (end, name, before, now) in ends {
            let store = self.store.tenant(&id.tenant);
            let is_kept = || store.secret(&id.name, name).map(|kept| kept.is_some());
            if before != now && !read.secrets.contains_key(name) && is_kept()? {
                let detail = format!(
                    "the {end} is another server now, `{now}` and no longer `{before}`: the password that is kept was given for that one"
                );
                return Err(Problem::unusable(detail).suggest(format!(
                    "send the password once more, as `password` in `[{end}]`"
                )));
            }
        }
        Ok(())
    }

    /// Writes a pipe's settings and secrets.
    fn keep_settings(&self, id: &PipeId, read: &Read) -> Result<(), Problem> {
        let folder = self.pipe_folder(id);
        let mut private = std::fs::DirBuilder::new();
        private.recursive(true).mode(0o700).create(&folder)?;
        // Where plugins are looked for by name.
        let plugins = folder.join("plugins");
        if plugins.symlink_metadata().is_err() {
            symlink("../../plugins", &plugins)?;
        }
        self.put_secrets(id, &read.secrets)?;
        write_whole(&self.pipe_file(id), 0o600, &[read.kept.as_bytes()])?;
        Ok(())
    }

    /// Keeps secrets of a pipe, in place of those of their names.
    pub(in crate::service) fn put_secrets(
        &self,
        id: &PipeId,
        secrets: &BTreeMap<String, SecretString>,
    ) -> Result<(), Problem> {
        let mut sealed = Vec::with_capacity(secrets.len());
        for (name, secret) in secrets {
            check_secret(name, secret)?;
            let place = [id.tenant.as_str(), &id.name, name];
            sealed.push((name.clone(), self.vault.seal(&place, secret)?));
        }
        let store = self.store.tenant(&id.tenant);
        match store.put_secrets(&id.name, &sealed, MOST_SECRETS)? {
            true => Ok(()),
            false => {
                let detail = format!("a pipe has {MOST_SECRETS} secrets at most");
                Err(Problem::quota(detail).suggest("remove those that it doesn't name"))
            }
        }
    }
}

fn check_secret(name: &str, secret: &SecretString) -> Result<(), Problem> {
    if secret.expose_secret().len() > LARGEST_SECRET {
        return Err(Problem::unusable(format!(
            "the secret `{name}` has more than {LARGEST_SECRET} bytes"
        )));
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match !name.is_empty() && name.len() <= 64 && name.chars().all(fits) {
        true => Ok(()),
        false => Err(Problem::unusable(
            "a secret's name has 1 to 64 letters, digits, `-`, `_` or `.`",
        )),
    }
}
