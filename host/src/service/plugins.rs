//! Plugins that a tenant uploads: checked as a pipe would check them, and kept by name.

use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;

use axum::body::Bytes;
use jiff::Timestamp;

use super::Service;
use super::api::PluginDetail;
use super::auth::Caller;
use super::problem::Problem;
use super::store::PluginRecord;
use super::uploads::too_much;
use crate::files::write_whole;
use crate::transform::Plugin;

/// Pipes that are looked at at a time.
const PIPES: usize = 500;

impl Service {
    fn plugin_file(&self, caller: &Caller, name: &str) -> PathBuf {
        let folder = self.tenant_folder(&caller.tenant).join("plugins");
        folder.join(format!("{name}.wasm"))
    }

    /// Checks and keeps a plugin, in place of one of its name.
    pub(super) async fn upload_plugin(
        &self,
        caller: &Caller,
        name: &str,
        bytes: Bytes,
    ) -> Result<PluginDetail, Problem> {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.len() > 64 || !name.chars().all(fits) {
            let detail = "a plugin's name has 1 to 64 letters, digits, `-` or `_`";
            return Err(Problem::unusable(detail));
        }
        let policy = self.environment.policy();
        policy.check_size(name, bytes.len() as u64)?;
        let most = self.most_uploaded(caller)?;
        let file = self.plugin_file(caller, name);
        let plugin = self.loaded(caller, file.clone(), bytes.clone()).await?;
        let record = PluginRecord {
            name: name.to_owned(),
            digest: plugin.digest().to_owned(),
            bytes: bytes.len() as u64,
            title: plugin.name().to_owned(),
            version: plugin.version().to_owned(),
            uploaded: Timestamp::now(),
        };
        let mut private = std::fs::DirBuilder::new();
        let folder = file.parent().unwrap_or(&self.data);
        private.recursive(true).mode(0o700).create(folder)?;
        if !caller.store(self).put_plugin(&record, most)? {
            return Err(too_much(most));
        }
        write_whole(&file, 0o600, &[&bytes])?;
        self.described(caller, record, &plugin)
    }

    /// A plugin and what it says of itself.
    pub(super) async fn inspect_plugin(
        &self,
        caller: &Caller,
        name: &str,
    ) -> Result<PluginDetail, Problem> {
        let record = caller.store(self).plugin(name)?;
        let record = record.ok_or_else(|| Problem::not_found("plugin", name))?;
        let file = self.plugin_file(caller, name);
        let bytes = std::fs::read(&file)?.into();
        let plugin = self.loaded(caller, file, bytes).await?;
        self.described(caller, record, &plugin)
    }

    /// Removes a plugin that no pipe uses.
    pub(super) fn remove_plugin(&self, caller: &Caller, name: &str) -> Result<(), Problem> {
        let used = self.users(caller, name)?;
        if !used.is_empty() {
            let detail = format!("the plugin `{name}` is used by {}", used.join(", "));
            return Err(Problem::conflict(detail).suggest("take it out of their settings first"));
        }
        if !caller.store(self).remove_plugin(name)? {
            return Err(Problem::not_found("plugin", name));
        }
        std::fs::remove_file(self.plugin_file(caller, name))?;
        Ok(())
    }

    async fn loaded(
        &self,
        caller: &Caller,
        file: PathBuf,
        bytes: Bytes,
    ) -> Result<Arc<Plugin>, Problem> {
        let environment = self.environment_of(&caller.tenant);
        let folder = self.tenant_folder(&caller.tenant);
        let load = move || environment.runtime().load_bytes(&file, &bytes);
        let loaded = self.work.spawn_blocking(load).await;
        let loaded = loaded.map_err(|cause| {
            Problem::unusable(format!("the plugin could not be looked at: {cause}"))
        })?;
        loaded.map_err(|error| Problem::from(error).without_path(&folder))
    }

    fn described(
        &self,
        caller: &Caller,
        record: PluginRecord,
        plugin: &Plugin,
    ) -> Result<PluginDetail, Problem> {
        Ok(PluginDetail {
            pipes: self.users(caller, &record.name)?,
            record,
            summary: plugin.summary().to_owned(),
            contract: plugin.contract_version().to_owned(),
            imports: plugin.imports(),
            config_schema: plugin.config_schema().clone(),
        })
    }

    /// The pipes that use a plugin, by name.
    fn users(&self, caller: &Caller, plugin: &str) -> Result<Vec<String>, Problem> {
        let (mut users, mut after) = (Vec::new(), String::new());
        loop {
            let pipes = caller.store(self).pipes(&after, PIPES)?;
            let Some(last) = pipes.last() else {
                return Ok(users);
            };
            after.clone_from(&last.name);
            let uses = pipes
                .into_iter()
                .filter(|pipe| pipe.plugins.iter().any(|p| p == plugin));
            users.extend(uses.map(|pipe| pipe.name));
        }
    }
}
