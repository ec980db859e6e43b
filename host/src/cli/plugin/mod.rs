//! `tidemill plugin`: builds, inspects and ships plugins.

mod ship;

use serde_json::json;

use crate::cli::arguments::PluginCommand;
use crate::cli::exit::{Exit, Failure};
use crate::cli::printer::Printer;
use crate::registry::Reference;
use crate::transform::{Compiler, Plugin, Runtime, RuntimeSettings, build, default_cache_dir};

pub(super) fn run(command: &PluginCommand, printer: &Printer) -> Result<Exit, Failure> {
    let runtime = Runtime::new(RuntimeSettings {
        cache_dir: default_cache_dir(),
        compiler: Compiler::own(),
        ..RuntimeSettings::default()
    })?;
    match command {
        PluginCommand::Build { folder, out } => {
            let built = build::build(&runtime, folder, out.as_deref())
                .map_err(|cause| Failure::plugin(&cause))?;
            let text = format!(
                "built {} ({} bytes, {:.1} s)",
                built.path.display(),
                built.size_bytes,
                built.duration.as_secs_f64()
            );
            let result = json!({ "file": built.path, "size_bytes": built.size_bytes, "digest": built.digest, "seconds": built.duration.as_secs_f64() });
            printer.result(&text, &text, &result);
        }
        PluginCommand::Inspect { file } => {
            // A path's `oci://` would be lost on the way.
            let plugin = match file.to_str().filter(|name| Reference::is_one(name)) {
                Some(reference) => {
                    let fetched = ship::fetch(reference)?;
                    runtime.load_bytes(&fetched.path, &fetched.bytes)?
                }
                None => runtime.load(file)?,
            };
            printer.result(plugin.name(), &text(&plugin), &result(&plugin));
        }
        PluginCommand::Ship(command) => return ship::run(command, &runtime, printer),
    }
    Ok(Exit::Ok)
}

fn text(plugin: &Plugin) -> String {
    let imports = plugin.imports();
    format!(
        "{} {}: {}\ncontract {}, {} bytes, sha256 {}\nimports: {}\nconfiguration:\n{:#}\n",
        plugin.name(),
        plugin.version(),
        plugin.summary(),
        plugin.contract_version(),
        plugin.size_bytes(),
        plugin.digest(),
        if imports.is_empty() {
            "nothing".to_owned()
        } else {
            imports.join(", ")
        },
        plugin.config_schema()
    )
}

fn result(plugin: &Plugin) -> serde_json::Value {
    json!({
        "name": plugin.name(), "version": plugin.version(), "summary": plugin.summary(), "contract": plugin.contract_version(),
        "size_bytes": plugin.size_bytes(), "digest": plugin.digest(), "imports": plugin.imports(), "config_schema": plugin.config_schema(),
    })
}
