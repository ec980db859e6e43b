//! A tenant's own plugins and files at a service.

use std::path::Path;

use serde_json::{Value, json};

use super::PAGE;
use super::client::{Client, part};
use crate::cli::exit::{Exit, Failure};
use crate::cli::plugin::ServicePluginCommand;
use crate::cli::printer::Printer;
use crate::cli::{ask, show};

/// What is done with plugins.
pub(super) async fn plugins(
    client: &Client,
    command: &ServicePluginCommand,
    printer: &Printer,
) -> Result<Exit, Failure> {
    match command {
        ServicePluginCommand::List => {
            let plugins: Vec<Value> = client.all("/v1/plugins", PAGE).await?;
            let summary = show::count(plugins.len(), "plugin");
            printer.result(&summary, &show::uploads(&plugins), &plugins);
        }
        ServicePluginCommand::Upload { file, as_name } => {
            let name = named(file, as_name.as_deref(), Path::file_stem)?;
            let path = format!("/v1/plugins?name={}", part(name));
            let kept: Value = client
                .upload("POST", &path, "application/wasm", read(file)?)
                .await?;
            let digest = kept["digest"].as_str().unwrap_or_default();
            let text = format!("uploaded `{name}`, sha256 {digest}");
            printer.result("uploaded", &text, &kept);
        }
        ServicePluginCommand::Remove { name, yes } => {
            if ask::confirm(&format!("Remove the plugin `{name}`?"), *yes)? {
                client
                    .delete(&format!("/v1/plugins/{}", part(name)))
                    .await?;
                let text = format!("removed `{name}`");
                printer.result("removed", &text, &json!({ "name": name }));
            }
        }
    }
    Ok(Exit::Ok)
}

/// Shows the files of a pipe.
pub(super) async fn files(client: &Client, pipe: &str, printer: &Printer) -> Result<(), Failure> {
    let path = format!("/v1/pipes/{}/files", part(pipe));
    let files: Vec<Value> = client.all(&path, PAGE).await?;
    let summary = show::count(files.len(), "file");
    printer.result(&summary, &show::uploads(&files), &files);
    Ok(())
}

/// Uploads a file for a pipe.
pub(super) async fn upload_file(
    client: &Client,
    pipe: &str,
    file: &Path,
    as_name: Option<&str>,
    printer: &Printer,
) -> Result<(), Failure> {
    let name = named(file, as_name, Path::file_name)?;
    let path = format!("/v1/pipes/{}/files/{}", part(pipe), part(name));
    let kept: Value = client
        .upload("PUT", &path, "application/octet-stream", read(file)?)
        .await?;
    let text = format!("uploaded `{name}`; the settings name it `files/{name}`");
    printer.result("uploaded", &text, &kept);
    Ok(())
}

/// Removes a file of a pipe.
pub(super) async fn remove_file(
    client: &Client,
    pipe: &str,
    name: &str,
    printer: &Printer,
) -> Result<(), Failure> {
    let path = format!("/v1/pipes/{}/files/{}", part(pipe), part(name));
    client.delete(&path).await?;
    let text = format!("removed `{name}`");
    printer.result("removed", &text, &json!({ "name": name }));
    Ok(())
}

fn named<'n>(
    file: &'n Path,
    as_name: Option<&'n str>,
    own: fn(&Path) -> Option<&std::ffi::OsStr>,
) -> Result<&'n str, Failure> {
    let name = as_name.or_else(|| own(file)?.to_str());
    name.ok_or_else(|| Failure::usage(format!("{} has no name: give one by --as", file.display())))
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(file)
        .map_err(|cause| Failure::usage(format!("{} can't be read: {cause}", file.display())))
}
