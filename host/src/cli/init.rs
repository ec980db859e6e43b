//! `tidemill init`: a commented pipe file for a source.

use std::path::Path;

use super::arguments::InitArguments;
use super::exit::{Exit, Failure};
use super::printer::Printer;
use super::show;
use crate::lifecycle;
use crate::pipe::template::Template;
use crate::pipe::{Pipe, PipeError};

pub(super) async fn run(
    arguments: &InitArguments,
    file: &Path,
    printer: &Printer,
) -> Result<Exit, Failure> {
    if file.exists() && !arguments.force {
        return Err(Failure::usage(format!(
            "{} exists already; write over it with --force",
            file.display()
        )));
    }
    let mut template = template(arguments, file);
    let settings = settings(&template, file)?;
    template.tables = lifecycle::init(&settings.source, &arguments.databases).await?;
    std::fs::write(file, template.render()).map_err(|cause| Failure::internal(&cause))?;
    let copied = template
        .tables
        .iter()
        .filter(|table| !table.is_view)
        .count();
    let text = format!(
        "wrote {}: {}; next: tidemill check",
        file.display(),
        show::count(copied, "table")
    );
    printer.result(
        &text,
        &text,
        &serde_json::json!({ "file": file, "tables": copied }),
    );
    Ok(Exit::Ok)
}

fn template(arguments: &InitArguments, file: &Path) -> Template {
    let absolute = |path: &Path| {
        std::path::absolute(path)
            .unwrap_or_else(|_| path.to_owned())
            .display()
            .to_string()
    };
    let mut source: Vec<(String, toml::Value)> = Vec::new();
    let mut add = |key: &str, value: toml::Value| source.push((key.to_owned(), value));
    match &arguments.socket {
        Some(socket) => add("socket", absolute(socket).into()),
        None => {
            add("host", arguments.host.clone().into());
            add("port", i64::from(arguments.port).into());
        }
    }
    add("user", arguments.user.clone().into());
    if let Some(variable) = &arguments.password_env {
        add("password_env", variable.clone().into());
    }
    if let Some(password_file) = &arguments.password_file {
        add("password_file", absolute(password_file).into());
    }
    if let Some(tls) = &arguments.tls {
        add("tls", tls.clone().into());
    }
    if let Some(ca) = &arguments.ca {
        add("ca", absolute(ca).into());
    }
    let stem = file
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned())
        .unwrap_or_default();
    let name: String = stem
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '_'
            }
        })
        .collect();
    let database = arguments
        .destination_database
        .clone()
        .or_else(|| arguments.databases.first().cloned());
    Template {
        name: if name.is_empty() {
            "pipe".to_owned()
        } else {
            name
        },
        source,
        destination: arguments.destination.clone(),
        database: database.unwrap_or_else(|| "tidemill".to_owned()),
        user: None,
        tables: Vec::new(),
    }
}

/// The settings as the file will be read: checked in the one place that checks them.
fn settings(template: &Template, file: &Path) -> Result<Pipe, Failure> {
    let text = template.render() + "\n[[table]]\nsource = \"placeholder.placeholder\"\n";
    Pipe::parse(file, text).map_err(|error: PipeError| Failure::usage(error.to_string()))
}
