//! From what was typed to what it means: each check names the key that it is about.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::error::PipeError;
use super::file::{
    ApplyFile, DestinationFile, PipeFile, SnapshotFile, SourceFile, SwapFile, TableFile, TlsMode,
    ValuesFile,
};
use super::locate::SourceText;
use super::{
    Access, DestinationServer, DestinationSettings, Pipe, SnapshotSettings, SourceAddress,
    SourceSettings, SwapSettings, TableMapping,
};
use crate::schema::{old_name, rejected_name, shadow_name};

mod transforms;

/// ClickHouse cuts an insert into several blocks from here on, and a block is what it writes whole or not at all.
pub(super) const LARGEST_BLOCK_BYTES: u64 = 256 << 20;
const LARGEST_BATCH_ROWS: usize = 65_536;
/// The most tables of a pipe.
const MOST_TABLES: usize = 10_000;

pub(super) fn pipe(text: SourceText, access: Access) -> Result<Pipe, PipeError> {
    let file: PipeFile = toml::from_str(&text.text).map_err(|error| PipeError::Invalid {
        location: match error.span() {
            Some(span) => text.at_offset(span.start, None),
            None => text.at_offset(0, None),
        },
        reason: error.message().to_owned(),
    })?;
    let check = Check {
        folder: folder_of(&text.path),
        text: &text,
        access: &access,
    };
    check.name(&file.name)?;
    let state = check.state(&file)?;
    let tables = check.tables(&file.tables, &file.values, &file.apply)?;
    Ok(Pipe {
        source: check.source(file.source)?,
        destination: check.destination(file.destination)?,
        snapshot: check.snapshot(&file.snapshot)?,
        cdc: check.cdc(file.cdc, file.cdc_only)?,
        apply: check.apply(&file.apply, &file.name, &state)?,
        brakes: check.brakes(&file.brakes)?,
        verify: file.verify.mode,
        swap: check.swap(&file.swap)?,
        metadata: file.metadata,
        state,
        tables,
        name: file.name,
        folder: check.folder.clone(),
        text,
        access,
    })
}

/// The folder of a pipe file, so that a bare file name means the current one.
fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// A pipe file's text, and where it is.
pub(super) struct Check<'a> {
    text: &'a SourceText,
    folder: PathBuf,
    access: &'a Access,
}

impl Check<'_> {
    pub(super) fn invalid<T>(&self, key: &str, reason: impl Into<String>) -> Result<T, PipeError> {
        Err(PipeError::Invalid {
            location: self.text.at_key(key),
            reason: reason.into(),
        })
    }

    /// A path of the file, relative to the file's own folder.
    fn path(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    fn name(&self, name: &str) -> Result<(), PipeError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.len() > 64 || !name.chars().all(fits) {
            return self.invalid(
                "name",
                "a pipe's name has 1 to 64 letters, digits, `-` or `_`",
            );
        }
        Ok(())
    }

    /// Turns a refusal into an error at a key.
    pub(super) fn allowed<T>(&self, key: &str, allowed: Result<T, String>) -> Result<T, PipeError> {
        allowed.or_else(|reason| self.invalid(key, reason))
    }

    /// The state folder. That of a service's pipe is beside its file, whatever the pipe is called by then.
    fn state(&self, file: &PipeFile) -> Result<PathBuf, PipeError> {
        let own = "leave it out: the service has a place for it";
        match (&file.state, self.access) {
            (Some(state), access) => {
                self.allowed("state", access.check_machine("it is a folder", own))?;
                Ok(self.path(state))
            }
            (None, Access::Own) => Ok(self.folder.join(".tidemill").join(&file.name)),
            (None, Access::Tenant(tenancy)) => Ok(tenancy.home.join("state")),
        }
    }

    fn source(&self, file: SourceFile) -> Result<SourceSettings, PipeError> {
        let address = match &file.socket {
            Some(socket) => {
                let refused = self
                    .access
                    .check_machine("it is a socket", "name `host` and `port`");
                self.allowed("source.socket", refused)?;
                SourceAddress::Socket(self.path(socket))
            }
            None => SourceAddress::Tcp {
                host: file.host,
                port: file.port,
            },
        };
        let tls = file.tls.unwrap_or(if is_local(&address) {
            TlsMode::Disabled
        } else {
            TlsMode::Required
        });
        if tls != TlsMode::Disabled && matches!(address, SourceAddress::Socket(_)) {
            return self.invalid("source.tls", "a Unix socket has no TLS; leave `tls` out");
        }
        if file.ca.is_some() && !matches!(tls, TlsMode::VerifyCa | TlsMode::VerifyIdentity) {
            return self.invalid(
                "source.ca",
                "an authority is only looked at with tls = \"verify_ca\" or \"verify_identity\"",
            );
        }
        let ca = file.ca.map(|ca| self.path(&ca));
        if let Some(ca) = &ca {
            self.allowed("source.ca", self.access.check_file(ca))?;
        }
        if let Some(missing) = ca.as_ref().filter(|ca| !ca.is_file()) {
            return self.invalid(
                "source.ca",
                format!("there is no file {}", missing.display()),
            );
        }
        let password = self.password(
            "source",
            file.password,
            file.password_env,
            file.password_file,
        )?;
        Ok(SourceSettings {
            address,
            user: file.user,
            password,
            tls,
            ca,
            reach: self.access.reach(),
        })
    }

    fn destination(&self, file: DestinationFile) -> Result<DestinationSettings, PipeError> {
        let server = if file.url == "embedded" {
            if !self.access.allows_embedded() {
                return self.invalid(
                    "destination.url",
                    "the service starts no ClickHouse servers: write the address of yours",
                );
            }
            DestinationServer::Embedded { port: file.port }
        } else {
            match Url::parse(&file.url) {
                Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {
                    if !url.username().is_empty() || url.password().is_some() {
                        return self.invalid(
                            "destination.url",
                            "user and password have keys of their own, `user` and `password_env`",
                        );
                    }
                    DestinationServer::Url(url)
                }
                _ => {
                    return self.invalid(
                        "destination.url",
                        "expected `embedded` or an address such as `http://localhost:8123`",
                    );
                }
            }
        };
        if file.port.is_some() && matches!(server, DestinationServer::Url(_)) {
            return self.invalid(
                "destination.port",
                "only an embedded server's port is chosen here; put this one into `url`",
            );
        }
        if file.database.is_empty() {
            return self.invalid(
                "destination.database",
                "the destination's database has no name",
            );
        }
        let password = self.password(
            "destination",
            file.password,
            file.password_env,
            file.password_file,
        )?;
        Ok(DestinationSettings {
            server,
            user: file.user,
            password,
            database: file.database,
            reach: self.access.reach(),
        })
    }

    /// A password from one of its three places.
    fn password(
        &self,
        section: &str,
        plain: Option<String>,
        variable: Option<String>,
        file: Option<String>,
    ) -> Result<Option<SecretString>, PipeError> {
        if variable.is_some() || file.is_some() {
            let instead = "give the password itself, which is kept encrypted";
            let refused = self.access.check_machine("it is a secret", instead);
            self.allowed(section, refused)?;
        }
        match (plain, variable, file) {
            (None, None, None) => {
                let name = format!("{section}.password");
                self.allowed(&name, self.access.kept_secret(&name))
            }
            (Some(plain), None, None) => Ok(Some(plain.into())),
            (None, Some(variable), None) => match std::env::var(&variable) {
                Ok(secret) => Ok(Some(secret.into())),
                Err(_) => self.invalid(
                    &format!("{section}.password_env"),
                    format!("the environment variable {variable} is not set"),
                ),
            },
            (None, None, Some(file)) => match std::fs::read_to_string(self.path(&file)) {
                Ok(secret) => Ok(Some(secret.lines().next().unwrap_or_default().into())),
                Err(cause) => self.invalid(
                    &format!("{section}.password_file"),
                    format!("{} can't be read: {cause}", self.path(&file).display()),
                ),
            },
            _ => self.invalid(
                section,
                "give one of `password`, `password_env` and `password_file`",
            ),
        }
    }

    fn snapshot(&self, file: &SnapshotFile) -> Result<SnapshotSettings, PipeError> {
        if !(1..=64).contains(&file.parallel_chunks) {
            return self.invalid(
                "snapshot.parallel_chunks",
                "1 to 64 chunks are read at the same time",
            );
        }
        if !(1_000..=1_000_000).contains(&file.chunk_rows) {
            return self.invalid("snapshot.chunk_rows", "a chunk has 1000 to 1000000 rows");
        }
        if !(1..=LARGEST_BATCH_ROWS).contains(&file.batch_rows) {
            return self.invalid(
                "snapshot.batch_rows",
                format!("a batch has 1 to {LARGEST_BATCH_ROWS} rows"),
            );
        }
        if file.rows_per_second == Some(0) {
            return self.invalid(
                "snapshot.rows_per_second",
                "at least one row a second; leave it out for no ceiling",
            );
        }
        let block_bytes = self.bytes("snapshot.block", &file.block)?;
        let batch_bytes = self.bytes("snapshot.batch", &file.batch)?;
        if !(1 << 20..=LARGEST_BLOCK_BYTES).contains(&block_bytes) {
            return self.invalid(
                "snapshot.block",
                "an insert has 1MiB to 256MiB, so that ClickHouse writes it whole or not at all",
            );
        }
        if !(1 << 16..=64 << 20).contains(&batch_bytes) {
            return self.invalid("snapshot.batch", "a batch has 64KiB to 64MiB");
        }
        Ok(SnapshotSettings {
            parallel_chunks: file.parallel_chunks,
            chunk_rows: file.chunk_rows,
            block_bytes: block_bytes as usize,
            batch_rows: file.batch_rows,
            batch_bytes: batch_bytes as usize,
            rows_per_second: file.rows_per_second,
        })
    }

    fn swap(&self, file: &SwapFile) -> Result<SwapSettings, PipeError> {
        Ok(SwapSettings {
            max_shrink: self.share("swap.max_shrink", &file.max_shrink)?,
            max_growth: file
                .max_growth
                .as_deref()
                .map(|text| self.share("swap.max_growth", text))
                .transpose()?,
            keep_old: self.duration("swap.keep_old", &file.keep_old)?,
            on_table_error: file.on_table_error,
        })
    }

    fn tables(
        &self,
        files: &[TableFile],
        values: &ValuesFile,
        apply: &ApplyFile,
    ) -> Result<Vec<TableMapping>, PipeError> {
        if files.is_empty() {
            return self.invalid(
                "table",
                "a pipe has at least one [[table]]; `tidemill init` lists the source's tables",
            );
        }
        if files.len() > MOST_TABLES {
            return self.invalid(
                &format!("table[{MOST_TABLES}]"),
                format!("a pipe has at most {MOST_TABLES} tables: make several pipes of it"),
            );
        }
        let mut tables: Vec<TableMapping> = Vec::with_capacity(files.len());
        // Which table has the source, the destination, and the name of its own or of a twin.
        let (mut sources, mut destinations) = (HashMap::new(), HashMap::new());
        let mut borne = HashMap::new();
        for (i, file) in files.iter().enumerate() {
            let table = self.table(file, values, apply, format!("table[{i}]"))?;
            if let Some(&twin) = sources.get(&table.source) {
                let twin: &TableMapping = &tables[twin];
                return self.invalid(
                    &format!("{}.source", table.key),
                    format!("{} is in `{}` already", table.source, twin.key),
                );
            }
            let own = &table.destination;
            let names = [
                own.clone(),
                shadow_name(own),
                old_name(own),
                rejected_name(own),
            ];
            let with_its_name = names.iter().filter_map(|name| destinations.get(name));
            let clash = borne.get(own).into_iter().chain(with_its_name).min();
            if let Some(&twin) = clash {
                let twin: &TableMapping = &tables[twin];
                return self.invalid(
                    &table.key,
                    format!(
                        "its destination `{}` clashes with `{}` of `{}`, or with its _resync, _resync_old or _rejected twin: give one of them \
                         another name with `destination`",
                        table.destination, twin.destination, twin.key
                    ),
                );
            }
            sources.insert(table.source.clone(), i);
            destinations.insert(own.clone(), i);
            borne.extend(names.map(|name| (name, i)));
            tables.push(table);
        }
        Ok(tables)
    }

    fn table(
        &self,
        file: &TableFile,
        values: &ValuesFile,
        apply: &ApplyFile,
        key: String,
    ) -> Result<TableMapping, PipeError> {
        let source: crate::schema::TableName = match file.source.parse() {
            Ok(source) => source,
            Err(reason) => return self.invalid(&format!("{key}.source"), reason),
        };
        let destination = file
            .destination
            .clone()
            .unwrap_or_else(|| source.name.clone());
        if destination.is_empty() {
            return self.invalid(
                &format!("{key}.destination"),
                "the destination table has no name",
            );
        }
        let settings = file.settings.iter().map(|(name, value)| {
            let value_key = format!("{key}.settings.{name}");
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                return self.invalid(&value_key, "a setting's name has letters, digits and `_`");
            }
            match value {
                toml::Value::Integer(number) => Ok((name.clone(), number.to_string())),
                toml::Value::Float(number) => Ok((name.clone(), number.to_string())),
                toml::Value::Boolean(flag) => Ok((name.clone(), u8::from(*flag).to_string())),
                toml::Value::String(text) => Ok((
                    name.clone(),
                    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'")),
                )),
                _ => self.invalid(&value_key, "a setting is a number, a string or a boolean"),
            }
        });
        let columns = file.types.iter().map(|(name, column)| {
            self.column(name, &column.settings, format!("{key}.types.{name}"))
        });
        let transforms = file
            .transforms
            .iter()
            .enumerate()
            .map(|(i, t)| self.transform(t, format!("{key}.transform[{i}]")));
        Ok(TableMapping {
            source,
            destination,
            engine: file.engine,
            order_by: file.order_by.clone(),
            primary_key: file.primary_key.clone(),
            partition_by: file.partition_by.clone(),
            ttl: file.ttl.clone(),
            indexes: file.indexes.clone(),
            comment: file.comment.clone(),
            on_out_of_range: file.on_out_of_range.unwrap_or(values.on_out_of_range),
            zero_dates: match &file.zero_dates {
                Some(stated) => self.zero_dates(Some(stated), &key)?,
                None => self.zero_dates(values.zero_dates.as_deref(), "values")?,
            },
            on_truncate: file.on_truncate.unwrap_or(apply.on_truncate),
            on_drop: file.on_drop.unwrap_or(apply.on_drop),
            settings: settings.collect::<Result<_, _>>()?,
            columns: columns.collect::<Result<_, _>>()?,
            transforms: transforms.collect::<Result<_, _>>()?,
            key,
        })
    }

    /// A size such as `64MiB`.
    pub(super) fn bytes(&self, key: &str, text: &str) -> Result<u64, PipeError> {
        match text.parse::<bytesize::ByteSize>() {
            Ok(size) => Ok(size.as_u64()),
            Err(_) => self.invalid(key, format!("`{text}` is no size: write it as `64MiB`")),
        }
    }

    /// A duration such as `7d`, `90s` or `200ms`.
    pub(super) fn duration(&self, key: &str, text: &str) -> Result<Duration, PipeError> {
        let days_are_24_hours =
            |span: jiff::Span| span.to_duration(jiff::SpanRelativeTo::days_are_24_hours());
        let parsed = text
            .parse::<jiff::Span>()
            .and_then(days_are_24_hours)
            .and_then(Duration::try_from);
        match parsed {
            Ok(duration) => Ok(duration),
            Err(_) => self.invalid(
                key,
                format!("`{text}` is no duration: write it as `7d`, `90s` or `200ms`"),
            ),
        }
    }

    /// A share such as `10%`.
    fn share(&self, key: &str, text: &str) -> Result<f64, PipeError> {
        let percent = text
            .strip_suffix('%')
            .and_then(|digits| digits.trim().parse::<f64>().ok());
        match percent {
            Some(percent) if percent.is_finite() && percent >= 0.0 => Ok(percent / 100.0),
            _ => self.invalid(key, format!("`{text}` is no share: write it as `10%`")),
        }
    }
}

/// Whether the way to the server stays on this machine.
fn is_local(address: &SourceAddress) -> bool {
    match address {
        SourceAddress::Socket(_) => true,
        SourceAddress::Tcp { host, .. } => {
            host == "localhost"
                || host
                    .parse::<std::net::IpAddr>()
                    .is_ok_and(|ip| ip.is_loopback())
        }
    }
}

#[cfg(test)]
mod tests;
