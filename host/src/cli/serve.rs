//! `tidemill serve`, and what the operator does with tenants on its machine.

use std::path::Path;

use jiff::Timestamp;
use serde_json::json;

use super::arguments::{QuotaArguments, ServeArguments, TenantCommand};
use super::ask;
use super::exit::{Exit, Failure};
use super::printer::Printer;
use crate::service::store::{Quotas, Role, Store, StoreError, TenantRecord};
use crate::service::{ServeError, Settings};

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        match error {
            ServeError::Policy(error) => error.into(),
            ServeError::Engine(error) => error.into(),
            error => Self {
                exit: Exit::State,
                code: "serve".to_owned(),
                ..Self::usage(error.to_string())
            },
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self {
            exit: Exit::State,
            code: "store".to_owned(),
            ..Self::usage(error.to_string())
        }
    }
}

/// Serves until the process is asked to end.
pub(super) fn serve(arguments: &ServeArguments, printer: &Printer) -> Result<Exit, Failure> {
    let unreadable = |file: &Path, cause| {
        Failure::usage(format!(
            "the file {} can't be read: {cause}",
            file.display()
        ))
    };
    let metrics_token = match (&arguments.metrics_token_file, &arguments.metrics_token) {
        (Some(file), _) => {
            let text = std::fs::read_to_string(file);
            Some(text.map_err(|cause| unreadable(file, cause))?.into())
        }
        (None, token) => token.clone(),
    };
    let settings = Settings {
        metrics_token,
        data: arguments.data.data.clone(),
        listen: arguments.listen,
        key_file: arguments.key_file.clone(),
        drain: arguments.drain,
        public_url: arguments.public_url.clone(),
    };
    let tell = |address| {
        printer.note(&format!(
            "listening at http://{address}; sign in there, its API is described at /docs"
        ));
    };
    crate::service::serve(&settings, tell)?;
    printer.result("ended", "ended", &json!({}));
    Ok(Exit::Ok)
}

/// Encrypts a service's secrets with another key.
pub(super) fn rekey(
    data: &Path,
    key_file: Option<&Path>,
    new_key_file: &Path,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let secrets = crate::service::rekey(data, key_file, new_key_file)?;
    let text = format!(
        "{} encrypted with the key of {}; start the service with it",
        super::show::count(secrets, "secret"),
        new_key_file.display()
    );
    printer.result("encrypted", &text, &json!({ "secrets": secrets }));
    Ok(Exit::Ok)
}

/// Does something with tenants.
pub(super) fn tenant(
    data: &Path,
    command: &TenantCommand,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let store = Store::open(data)?;
    let known = |name: &str| {
        let found = store.tenant_record(name)?;
        found.ok_or_else(|| Failure::usage(format!("there is no tenant `{name}`")))
    };
    match command {
        TenantCommand::Create { name, quotas } => {
            check_name(name)?;
            if store.tenant_record(name)?.is_some() {
                let message = format!("there is a tenant `{name}` already");
                return Err(Failure::usage(message));
            }
            let record = TenantRecord {
                name: name.clone(),
                created: Timestamp::now(),
                quotas: changed(Quotas::default(), quotas),
            };
            store.put_tenant(&record)?;
            let token = store
                .tenant(name)
                .make_token("first token", Role::Admin, None)?;
            let text = format!(
                "made the tenant `{name}`; its first token, an admin's, is shown this once:\n{}",
                token.token
            );
            printer.result("made", &text, &token);
        }
        TenantCommand::List => {
            let tenants = store.tenants()?;
            let line = |tenant: &TenantRecord| {
                format!("{}  since {}\n", tenant.name, tenant.created.strftime("%F"))
            };
            let text: String = tenants.iter().map(line).collect();
            printer.result(
                &super::show::count(tenants.len(), "tenant"),
                &text,
                &tenants,
            );
        }
        TenantCommand::Set { name, quotas } => {
            let mut record = known(name)?;
            record.quotas = changed(record.quotas, quotas);
            store.put_tenant(&record)?;
            let text =
                format!("changed what `{name}` may use; a service that runs knows within seconds");
            printer.result("changed", &text, &record);
        }
        TenantCommand::Token {
            name,
            role,
            purpose,
        } => {
            known(name)?;
            let token = store.tenant(name).make_token(purpose, *role, None)?;
            printer.result("made", &token.token, &token);
        }
        TenantCommand::Remove { name, yes } => {
            known(name)?;
            let question = format!("Remove the tenant `{name}` with all of its pipes?");
            if !ask::confirm(&question, *yes)? {
                return Ok(Exit::Ok);
            }
            crate::service::remove_tenant(data, &store, name)?;
            let text = format!("removed the tenant `{name}`");
            printer.result("removed", &text, &json!({ "tenant": name }));
        }
    }
    Ok(Exit::Ok)
}

fn check_name(name: &str) -> Result<(), Failure> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    match (1..=63).contains(&name.len()) && name.chars().all(fits) {
        true => Ok(()),
        false => Err(Failure::usage(
            "a tenant's name has 1 to 63 small letters, digits and `-`",
        )),
    }
}

fn changed(quotas: Quotas, arguments: &QuotaArguments) -> Quotas {
    let limit = |now: Option<u64>, stated: Option<u64>| match stated {
        Some(0) => None,
        Some(stated) => Some(stated),
        None => now,
    };
    Quotas {
        pipes: arguments.pipes.unwrap_or(quotas.pipes),
        parallel_chunks: arguments.parallel_chunks.unwrap_or(quotas.parallel_chunks),
        plugin_memory_bytes: arguments
            .plugin_memory
            .map_or(quotas.plugin_memory_bytes, |size| size.as_u64()),
        plugin_cpu_ms_per_minute: limit(quotas.plugin_cpu_ms_per_minute, arguments.plugin_cpu),
        upload_bytes: arguments
            .uploads
            .map_or(quotas.upload_bytes, |size| size.as_u64()),
        rows_per_second: limit(quotas.rows_per_second, arguments.rows_per_second),
    }
}
