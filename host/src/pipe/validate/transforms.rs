//! `[[table.transform]]`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::Check;
use crate::pipe::error::PipeError;
use crate::pipe::file::{GrantsFile, LimitsFile, TransformFile};
use crate::pipe::{GrantSettings, LimitSettings, TransformUse};
use crate::rows::{Reference, ReferenceFile};

impl Check<'_> {
    pub(super) fn transform(
        &self,
        file: &TransformFile,
        key: String,
    ) -> Result<TransformUse, PipeError> {
        let mut config = match serde_json::to_value(&file.config) {
            Ok(config) => config,
            Err(cause) => {
                return self.invalid(
                    &format!("{key}.config"),
                    format!("it can't be written as JSON: {cause}"),
                );
            }
        };
        let config_key = format!("{key}.config");
        self.allowed(&config_key, self.access.fill_secrets(&mut config))?;
        self.plugin(&file.plugin, &format!("{key}.plugin"))?;
        let limits = self.limits(&file.limits, &format!("{key}.limits"))?;
        let grants = self.grants(&file.grants, &format!("{key}.grants"))?;
        let references = self.references(&file.tables, &key)?;
        let share = file.max_rejected_share.as_deref();
        let share = share
            .map(|text| self.share(&format!("{key}.max_rejected_share"), text))
            .transpose()?;
        if file.rejected_window == Some(0) {
            return self.invalid(
                &format!("{key}.rejected_window"),
                "a window has at least one row",
            );
        }
        Ok(TransformUse {
            plugin: file.plugin.clone(),
            config,
            references,
            limits,
            grants,
            on_error: file.on_error,
            max_rejected: file.max_rejected,
            max_rejected_share: share,
            rejected_window: file.rejected_window,
            keep_row: file.keep_row,
            show_output: file.show_output,
            key,
        })
    }

    /// A plugin of a service's pipe is one that was uploaded, that comes with the service or from a registry.
    fn plugin(&self, name: &str, key: &str) -> Result<(), PipeError> {
        let is_path = name.contains(['/', '\\']) || name.ends_with(".wasm");
        if !is_path || name.starts_with("oci://") {
            return Ok(());
        }
        let instead = "upload the plugin, and write its name";
        self.allowed(key, self.access.check_machine("it is a file", instead))
    }

    fn references(
        &self,
        files: &BTreeMap<String, ReferenceFile>,
        key: &str,
    ) -> Result<Vec<Reference>, PipeError> {
        let reference = |(name, file): (&String, &ReferenceFile)| {
            let at = |setting: &str| format!("{key}.tables.{name}.{setting}");
            let reference = file
                .resolve(name, &self.folder)
                .or_else(|(setting, reason)| self.invalid(&at(setting), reason))?;
            self.allowed(&at("file"), self.access.check_file(&reference.file))?;
            Ok(reference)
        };
        files.iter().map(reference).collect()
    }

    fn grants(&self, file: &GrantsFile, key: &str) -> Result<GrantSettings, PipeError> {
        let reach = self.access.reach();
        let address = |(i, text): (usize, &String)| match text.parse::<SocketAddr>() {
            Ok(address) => {
                let reached = reach.check(&address.ip().to_string(), address);
                let reached = reached.map_err(|refused| refused.to_string());
                self.allowed(&format!("{key}.network[{i}]"), reached)?;
                Ok(address)
            }
            Err(_) => self.invalid(
                &format!("{key}.network[{i}]"),
                format!(
                    "`{text}` is no address: write it as `10.0.0.5:443`; names are not looked up"
                ),
            ),
        };
        let network = file.network.as_ref();
        let network = network.map(|all| all.iter().enumerate().map(address).collect());
        for (granted, name) in [
            (file.environment.is_some(), "environment"),
            (file.files.is_some(), "files"),
        ] {
            if granted {
                let refused = self.access.check_machine(
                    "they are",
                    "give the plugin what it needs in its configuration",
                );
                self.allowed(&format!("{key}.{name}"), refused)?;
            }
        }
        let folder = |path: &PathBuf| self.folder.join(path);
        Ok(GrantSettings {
            environment: file.environment.clone(),
            files: file
                .files
                .as_ref()
                .map(|all| all.iter().map(folder).collect()),
            network: network.transpose()?,
        })
    }

    fn limits(&self, file: &LimitsFile, key: &str) -> Result<LimitSettings, PipeError> {
        let bytes = |name: &str, text: &Option<String>| {
            text.as_deref()
                .map(|text| self.bytes(&format!("{key}.{name}"), text))
                .transpose()
        };
        let duration = |name: &str, text: &Option<String>| {
            text.as_deref()
                .map(|text| self.duration(&format!("{key}.{name}"), text))
                .transpose()
        };
        Ok(LimitSettings {
            memory_bytes: bytes("memory", &file.memory)?,
            output_bytes: bytes("output", &file.output)?,
            batch_deadline: duration("deadline", &file.deadline)?,
            cpu: duration("cpu", &file.cpu)?,
            growth: file.growth,
            batches: file.batches,
            log_lines: file.log_lines,
        })
    }
}
