//! Binds a table mapping: the source table as it is now, the chain of transforms, the destination table that they make.
//!
//! All that the pipe file can have got wrong about a table is found here, before anything is created, with its line.

use std::path::PathBuf;

use jiff::Timestamp;
use secrecy::SecretString;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::design;
use super::error::Error;
use super::names;
use super::references::{self, BoundReference, WholeConfig};
use super::session::Session;
use super::supply::Supplied;
use crate::destination::{Fitter, Zones};
use crate::journal::PinnedPlugin;
use crate::pipe::{GrantSettings, Pipe, TableMapping, TransformUse};
use crate::schema::{Grant, SourceTable, TargetTable};
use crate::source::SourceError;
use crate::transform::{
    Chain, Grants, Limits, Origin, Step, TableShape, Tolerance, TransformError,
};

/// A table mapping with all that a load needs.
#[derive(Clone, Debug)]
pub(super) struct BoundTable {
    pub(super) mapping: TableMapping,
    pub(super) source: SourceTable,
    pub(super) chain: Chain,
    pub(super) target: TargetTable,
    pub(super) fitter: Fitter,
    pub(super) plugins: Vec<PinnedPlugin>,
    pub(super) references: Vec<BoundReference>,
}

impl BoundTable {
    /// Looks at the source table, loads and binds the plugins, and designs the destination table. `zones` are those that are known from
    /// other tables; it gains this table's.
    pub(super) async fn bind(
        session: &Session,
        mapping: &TableMapping,
        zones: &mut Zones,
    ) -> Result<Self, Error> {
        let pipe = &session.pipe;
        let source = session
            .source
            .table(&mapping.source)
            .await
            .map_err(|cause| at_table(pipe, mapping, cause))?;
        let source = design::with_choices(pipe, mapping, source)?;
        let mut plugins = Vec::with_capacity(mapping.transforms.len());
        for transform in &mapping.transforms {
            let plugin = session.supply.plugin(&transform.plugin, &pipe.folder).await;
            let place = || pipe.locate(&format!("{}.plugin", transform.key));
            plugins.push(plugin.map_err(|error| error.at_plugin(place()))?);
        }
        Self::bind_as(session, pipe, mapping, source, plugins, zones).await
    }

    /// The same for a table that is known, by a mapping of a pipe file that may be an older one, with a plugin for each of its transforms.
    pub(super) async fn bind_as(
        session: &Session,
        pipe: &Pipe,
        mapping: &TableMapping,
        source: SourceTable,
        plugins: Vec<Supplied>,
        zones: &mut Zones,
    ) -> Result<Self, Error> {
        let (chain, plugins, references) = tokio::task::block_in_place(|| {
            let (configs, references) = references::read(pipe, mapping)?;
            let (chain, plugins) = chain(session, pipe, mapping, &source, plugins, configs)?;
            Ok::<_, Error>((chain, plugins, references))
        })?;
        let features = session.destination.features();
        let target = design::target(pipe, mapping, &source, &chain, features)?;
        names::fit(pipe, mapping, &target)?;
        let names = target.zones();
        *zones = session
            .retried("read time zones", || {
                session.destination.zones(zones.clone(), &names)
            })
            .await?;
        let fitter = Fitter::new(&target, chain.output(), zones).map_err(|unfit| {
            let settings = mapping.column(&unfit.column);
            let key = settings.map_or(&mapping.key, |settings| &settings.key);
            pipe.invalid(key, format!("column `{}`: {}", unfit.column, unfit.reason))
        })?;
        Ok(Self {
            mapping: mapping.clone(),
            source,
            chain,
            target,
            fitter,
            plugins,
            references,
        })
    }

    /// What the shadow's content depends on. A restart that finds another fingerprint starts the load over.
    pub(super) fn fingerprint(&self, pipe: &Pipe) -> String {
        let snapshot = &pipe.snapshot;
        // The cut into blocks is part of it where the tokens that keep a block from being written twice depend on it.
        let mends = pipe.cdc.follows() && super::load::mends_itself(pipe, self);
        let blocks = (!mends).then_some((
            snapshot.block_bytes,
            snapshot.batch_rows,
            snapshot.batch_bytes,
        ));
        let columns = &self.source.columns;
        let text = format!(
            "{columns:?}{:?}{:?}{}{blocks:?}",
            self.source.key,
            self.target,
            self.chain.fingerprint()
        );
        format!("{:032x}", xxh3_128(text.as_bytes()))
    }

    /// Whether its rows have a key.
    pub(super) fn is_keyed(&self) -> bool {
        !self.source.key.is_empty()
    }
}

/// A source error about a table, at the line that names the table. A lost connection isn't the table's fault.
fn at_table(pipe: &Pipe, mapping: &TableMapping, cause: SourceError) -> Error {
    let location = (!cause.is_transient()).then(|| pipe.locate(&format!("{}.source", mapping.key)));
    Error::Source { location, cause }
}

/// Loads the plugins of a mapping and binds them to the table.
fn chain(
    session: &Session,
    pipe: &Pipe,
    mapping: &TableMapping,
    source: &SourceTable,
    supplied: Vec<Supplied>,
    configs: Vec<WholeConfig>,
) -> Result<(Chain, Vec<PinnedPlugin>), Error> {
    let runtime = &session.runtime;
    let mut steps = Vec::with_capacity(mapping.transforms.len());
    let mut plugins = Vec::with_capacity(mapping.transforms.len());
    let transforms = mapping.transforms.iter().zip(supplied).zip(configs);
    for ((transform, supplied), config) in transforms {
        let at_plugin = |cause| Error::Transform {
            location: Some(pipe.locate(&format!("{}.plugin", transform.key))),
            cause,
        };
        let plugin = runtime
            .load_bytes(&supplied.path, &supplied.bytes)
            .map_err(at_plugin)?;
        for grant in transform.grants.granted() {
            let place = pipe.locate(&format!("{}.grants.{grant}", transform.key));
            let allowed = session.supply.check_grant(grant);
            allowed.map_err(|error| error.at_plugin(place))?;
        }
        let granted = grants(&transform.grants).map_err(|(grant, reason)| {
            pipe.invalid(&format!("{}.grants.{grant}", transform.key), reason)
        })?;
        plugins.push(PinnedPlugin {
            plugin: transform.plugin.clone(),
            digest: plugin.digest().to_owned(),
            config: Some(config.digest),
            grants: granted.digest(),
        });
        steps.push(Step {
            plugin,
            config: config.config,
            limits: limits(transform),
            grants: granted,
            tolerance: tolerance(transform),
        });
    }
    let shape = TableShape {
        database: source.name.database.clone(),
        name: source.name.name.clone(),
        schema: source.arrow_schema(),
        key: source.key.clone(),
    };
    let chain = Chain::bind(runtime, &shape, &steps).map_err(|cause| {
        // The first step that can't be bound after those before it.
        let at_fault =
            (0..steps.len()).find(|&last| Chain::bind(runtime, &shape, &steps[..=last]).is_err());
        let key = match at_fault {
            Some(step) => config_key(&mapping.transforms[step], &cause),
            None => mapping.key.clone(),
        };
        Error::Transform {
            location: Some(pipe.locate(&key)),
            cause,
        }
    })?;
    Ok((chain, plugins))
}

/// Where in the pipe file the fault of a configuration is: `….config.columns[0].method` for `/columns/0/method`, and the file of a reference table
/// for what is in it.
fn config_key(transform: &TransformUse, cause: &TransformError) -> String {
    let pointer = match cause {
        TransformError::Config { violations, .. } => violations.first(),
        _ => None,
    };
    let pointer = pointer.map_or("", |violation| violation.path.as_str());
    let mut references = transform.references.iter();
    let table = references.find(|reference| {
        let within = pointer.strip_prefix("/tables/");
        within.and_then(|rest| rest.split('/').next()) == Some(&reference.name)
    });
    if let Some(reference) = table {
        return transform.table_key(reference);
    }
    let part = |part: &str| match part.parse::<usize>() {
        Ok(index) => format!("[{index}]"),
        Err(_) => format!(".{part}"),
    };
    let parts = pointer.split('/').filter(|text| !text.is_empty());
    let path: String = parts.map(part).collect();
    format!("{}.config{path}", transform.key)
}

/// The limits of a transform: the pipe's where it states them, else the defaults.
fn limits(transform: &TransformUse) -> Limits {
    let (settings, defaults) = (&transform.limits, Limits::default());
    Limits {
        memory_bytes: settings.memory_bytes.unwrap_or(defaults.memory_bytes),
        batch_deadline: settings.batch_deadline.unwrap_or(defaults.batch_deadline),
        cpu: settings.cpu.unwrap_or(defaults.cpu),
        output_bytes: settings.output_bytes.unwrap_or(defaults.output_bytes),
        growth: settings.growth.unwrap_or(defaults.growth),
        batches: settings.batches.unwrap_or(defaults.batches),
        log_lines: settings.log_lines.unwrap_or(defaults.log_lines),
        show_output: transform.show_output,
    }
}

/// What becomes of rows that a transform can't transform.
fn tolerance(transform: &TransformUse) -> Tolerance {
    let defaults = Tolerance::default();
    Tolerance {
        on_error: transform.on_error,
        max_rejected: transform.max_rejected,
        max_share: transform.max_rejected_share.unwrap_or(defaults.max_share),
        window: transform.rejected_window.unwrap_or(defaults.window),
    }
}

/// What a transform is granted, as this machine has it; an error says which grant can't be given, and why.
fn grants(settings: &GrantSettings) -> Result<Grants, (Grant, String)> {
    let variable = |name: &String| match std::env::var(name) {
        Ok(value) => Ok((name.clone(), SecretString::from(value))),
        Err(_) => {
            let reason = format!("the environment variable `{name}` is not set, or not text");
            Err((Grant::Environment, reason))
        }
    };
    let environment = settings.environment.as_ref();
    let environment = environment.map(|names| names.iter().map(variable).collect());
    if let Some(missing) = settings.files.iter().flatten().find(|path| !path.is_dir()) {
        let reason = format!("`{}` is no folder", missing.display());
        return Err((Grant::Files, reason));
    }
    // Whole, so that the same folder has one name wherever the pipe file lies.
    let whole = |path: &PathBuf| {
        std::path::absolute(path).map_err(|cause| (Grant::Files, cause.to_string()))
    };
    let files = settings.files.as_ref();
    let files = files.map(|paths| paths.iter().map(whole).collect());
    Ok(Grants {
        environment: environment.transpose()?,
        files: files.transpose()?,
        network: settings.network.clone(),
    })
}

/// Where plugins' clocks stand and their random numbers begin in a resync: its id says when it was started.
pub(super) fn origin(resync: &str) -> Origin {
    let started = uuid::Uuid::parse_str(resync).ok();
    let started = started.and_then(|id| {
        let (seconds, nanoseconds) = id.get_timestamp()?.to_unix();
        Timestamp::new(
            i64::try_from(seconds).ok()?,
            i32::try_from(nanoseconds).ok()?,
        )
        .ok()
    });
    Origin {
        started: started.unwrap_or_default(),
        seed: xxh3_64(resync.as_bytes()),
    }
}
