//! Plugins that a tenant uploads: checked as a pipe would check them, and kept by name.

use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use tracing::Span;

use super::Service;
use super::api::PluginDetail;
use super::auth::Caller;
use super::pipes::has_failed;
use super::problem::Problem;
use super::store::{PluginAbout, PluginRecord};
use super::uploads::{Uploaded, too_much};
use crate::files::write_whole;

/// Pipes that are looked at at a time.
const PIPES: usize = 500;

impl Service {
    fn plugin_file(&self, caller: &Caller, name: &str) -> PathBuf {
        let folder = self.tenant_folder(&caller.tenant).join("plugins");
        folder.join(format!("{name}.wasm"))
    }

    /// Checks and keeps a plugin, in place of one of its name.
    pub(super) async fn upload_plugin(
        self: &Arc<Self>,
        caller: &Caller,
        name: &str,
        sent: Uploaded,
    ) -> Result<PluginDetail, Problem> {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.len() > 64 || !name.chars().all(fits) {
            let detail = "a plugin's name has 1 to 64 letters, digits, `-` or `_`";
            return Err(Problem::unusable(detail));
        }
        let (service, caller, name) = (self.clone(), caller.clone(), name.to_owned());
        let span = Span::current();
        // It is compiled where pipes run, by threads that step back behind those that answer.
        let kept = self
            .work
            .spawn_blocking(move || span.in_scope(|| service.keep_plugin(&caller, name, &sent)));
        kept.await.unwrap_or_else(|cause| Err(has_failed(&cause)))
    }

    fn keep_plugin(
        &self,
        caller: &Caller,
        name: String,
        sent: &Uploaded,
    ) -> Result<PluginDetail, Problem> {
        let (bytes, store) = (sent.bytes.len() as u64, caller.store(self));
        self.environment.policy().check_size(&name, bytes)?;
        let most = self.most_uploaded(caller)?;
        // What it is compiled to is kept as well, and is for those that may be kept.
        if !store.has_room_for_plugin(&name, bytes, most)? {
            return Err(too_much(most));
        }
        let file = self.plugin_file(caller, &name);
        let environment = self.environment_of(&caller.tenant);
        let plugin = environment.runtime().load_bytes(&file, &sent.bytes);
        let folder = self.tenant_folder(&caller.tenant);
        let plugin = plugin.map_err(|error| Problem::from(error).without_path(&folder))?;
        let record = PluginRecord {
            name,
            digest: plugin.digest().to_owned(),
            bytes,
            title: plugin.name().to_owned(),
            version: plugin.version().to_owned(),
            uploaded: Timestamp::now(),
        };
        let about = PluginAbout {
            summary: plugin.summary().to_owned(),
            contract: plugin.contract_version().to_owned(),
            imports: plugin.imports(),
            config_schema: plugin.config_schema().clone(),
        };
        let mut private = std::fs::DirBuilder::new();
        let folder = file.parent().unwrap_or(&self.data);
        private.recursive(true).mode(0o700).create(folder)?;
        if !store.put_plugin(&record, &about, most)? {
            return Err(too_much(most));
        }
        write_whole(&file, 0o600, &[&sent.bytes])?;
        self.described(caller, record, about)
    }

    /// A plugin and what it said of itself when it was uploaded: it isn't loaded for that.
    pub(super) async fn inspect_plugin(
        self: &Arc<Self>,
        caller: &Caller,
        name: &str,
    ) -> Result<PluginDetail, Problem> {
        let found = caller.store(self).plugin(name)?;
        let (record, about) = found.ok_or_else(|| Problem::not_found("plugin", name))?;
        let describe =
            move |service: &Arc<Self>, caller: &Caller| service.described(caller, record, about);
        self.on_disk(caller, describe).await
    }

    /// Removes a plugin that no pipe uses.
    pub(super) async fn remove_plugin(
        self: &Arc<Self>,
        caller: &Caller,
        name: &str,
    ) -> Result<(), Problem> {
        let name = name.to_owned();
        let removed = self.on_disk(caller, move |service, caller| {
            let used = service.users(caller, &name)?;
            if !used.is_empty() {
                let detail = format!("the plugin `{name}` is used by {}", used.join(", "));
                return Err(
                    Problem::conflict(detail).suggest("take it out of their settings first")
                );
            }
            if !caller.store(service).remove_plugin(&name)? {
                return Err(Problem::not_found("plugin", &name));
            }
            std::fs::remove_file(service.plugin_file(caller, &name))?;
            Ok(())
        });
        removed.await
    }

    fn described(
        &self,
        caller: &Caller,
        record: PluginRecord,
        about: PluginAbout,
    ) -> Result<PluginDetail, Problem> {
        Ok(PluginDetail {
            pipes: self.users(caller, &record.name)?,
            record,
            summary: about.summary,
            contract: about.contract,
            imports: about.imports,
            config_schema: about.config_schema,
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
