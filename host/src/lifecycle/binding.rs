//! Binds a table mapping: the source table as it is now, the chain of transforms, the destination table that they make.
//!
//! All that the pipe file can have got wrong about a table is found here, before anything is created, with its line.

use xxhash_rust::xxh3::xxh3_128;

use super::error::Error;
use super::names;
use super::session::Session;
use crate::destination::quoted;
use crate::journal::PinnedPlugin;
use crate::pipe::{LimitSettings, Pipe, PipeError, TableMapping};
use crate::schema::{Engine, SourceTable, TargetTable, target::target_columns};
use crate::source::SourceError;
use crate::transform::{Chain, Limits, Lineage, Step, TableShape, TransformError, resolve};

/// A table mapping with all that a load needs.
#[derive(Clone, Debug)]
pub(super) struct BoundTable {
    pub(super) mapping: TableMapping,
    pub(super) source: SourceTable,
    pub(super) chain: Chain,
    pub(super) target: TargetTable,
    pub(super) plugins: Vec<PinnedPlugin>,
}

impl BoundTable {
    /// Looks at the source table, loads and binds the plugins, and designs the destination table.
    pub(super) async fn bind(session: &Session, mapping: &TableMapping) -> Result<Self, Error> {
        let pipe = &session.pipe;
        let source = session
            .source
            .table(&mapping.source)
            .await
            .map_err(|cause| at_table(pipe, mapping, cause))?;
        let source = with_types(pipe, mapping, source)?;
        let (chain, plugins) = tokio::task::block_in_place(|| chain(session, mapping, &source))?;
        let target = design(session, mapping, &source, &chain)?;
        Ok(Self {
            mapping: mapping.clone(),
            source,
            chain,
            target,
            plugins,
        })
    }

    /// What the shadow's content depends on. A restart that finds another fingerprint starts the load over.
    pub(super) fn fingerprint(&self, pipe: &Pipe) -> String {
        let snapshot = &pipe.snapshot;
        // The cut into blocks is part of it: the tokens that keep a block from being written twice depend on it.
        let blocks = (
            snapshot.block_bytes,
            snapshot.batch_rows,
            snapshot.batch_bytes,
        );
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

/// Takes the pipe's choices of other types into the source's columns.
fn with_types(
    pipe: &Pipe,
    mapping: &TableMapping,
    mut source: SourceTable,
) -> Result<SourceTable, PipeError> {
    for (column, wanted) in &mapping.types {
        let key = format!("{}.types.{column}", mapping.key);
        let Some(position) = source.column(column) else {
            return Err(pipe.invalid(&key, format!("{} has no column `{column}`", mapping.source)));
        };
        let column = &mut source.columns[position];
        column.mysql_type = column
            .mysql_type
            .alternative(wanted)
            .map_err(|error| pipe.invalid(&key, error.to_string()))?;
    }
    Ok(source)
}

/// Loads the plugins of a mapping and binds them to the table.
fn chain(
    session: &Session,
    mapping: &TableMapping,
    source: &SourceTable,
) -> Result<(Chain, Vec<PinnedPlugin>), Error> {
    let pipe = &session.pipe;
    let mut steps = Vec::with_capacity(mapping.transforms.len());
    let mut plugins = Vec::with_capacity(mapping.transforms.len());
    for transform in &mapping.transforms {
        let at_plugin = |cause| Error::Transform {
            location: Some(pipe.locate(&format!("{}.plugin", transform.key))),
            cause,
        };
        let path = resolve(&transform.plugin, &pipe.folder).map_err(at_plugin)?;
        let plugin = session.runtime.load(&path).map_err(at_plugin)?;
        plugins.push(PinnedPlugin {
            plugin: transform.plugin.clone(),
            digest: plugin.digest().to_owned(),
        });
        steps.push(Step {
            plugin,
            config: transform.config.clone(),
            limits: limits(&transform.limits),
        });
    }
    let shape = TableShape {
        database: source.name.database.clone(),
        name: source.name.name.clone(),
        schema: source.arrow_schema(),
        key: source.key.clone(),
    };
    let chain = Chain::bind(&session.runtime, &shape, &steps).map_err(|cause| {
        // The first step that can't be bound after those before it.
        let at_fault = (0..steps.len())
            .find(|&last| Chain::bind(&session.runtime, &shape, &steps[..=last]).is_err());
        let key = match at_fault {
            Some(step) => format!(
                "{}.config{}",
                mapping.transforms[step].key,
                config_path(&cause)
            ),
            None => mapping.key.clone(),
        };
        Error::Transform {
            location: Some(pipe.locate(&key)),
            cause,
        }
    })?;
    Ok((chain, plugins))
}

/// Where in a configuration an error is, as the end of a pipe file's key: `.columns[0].method` for `/columns/0/method`.
fn config_path(cause: &TransformError) -> String {
    let TransformError::Config { violations, .. } = cause else {
        return String::new();
    };
    let pointer = violations
        .first()
        .map_or("", |violation| violation.path.as_str());
    let part = |part: &str| match part.parse::<usize>() {
        Ok(index) => format!("[{index}]"),
        Err(_) => format!(".{part}"),
    };
    pointer
        .split('/')
        .filter(|text| !text.is_empty())
        .map(part)
        .collect()
}

/// The limits of a transform: the pipe's where it states them, else the defaults.
fn limits(settings: &LimitSettings) -> Limits {
    let defaults = Limits::default();
    Limits {
        memory_bytes: settings.memory_bytes.unwrap_or(defaults.memory_bytes),
        batch_deadline: settings.batch_deadline.unwrap_or(defaults.batch_deadline),
        output_bytes: settings.output_bytes.unwrap_or(defaults.output_bytes),
        log_lines: settings.log_lines.unwrap_or(defaults.log_lines),
    }
}

/// The destination table that a chain's output makes.
fn design(
    session: &Session,
    mapping: &TableMapping,
    source: &SourceTable,
    chain: &Chain,
) -> Result<TargetTable, PipeError> {
    let pipe = &session.pipe;
    let output = chain.output();
    let origins: Vec<_> = chain
        .lineage()
        .iter()
        .map(|lineage| match lineage {
            Lineage::Passed { source: position } => {
                let column = &source.columns[*position];
                Some((&column.mysql_type, column.comment.as_str()))
            }
            Lineage::Computed { .. } => None,
        })
        .collect();
    let name = |&position: &usize| output.field(position).name().clone();
    let key: Vec<String> = chain.output_key().iter().map(name).collect();
    if let Some(clash) = pipe
        .metadata
        .all()
        .into_iter()
        .find(|name| output.field_with_name(name).is_ok())
    {
        let reason = format!(
            "the column `{clash}` of {} has the name of a metadata column; choose another in [metadata]",
            mapping.source
        );
        return Err(pipe.invalid("metadata", reason));
    }
    let engine = mapping.engine.unwrap_or(if key.is_empty() {
        Engine::MergeTree
    } else {
        Engine::ReplacingMergeTree
    });
    if engine == Engine::ReplacingMergeTree && key.is_empty() {
        let reason = format!(
            "{} has no key: replacing would leave one row of it; leave `engine` out for MergeTree",
            mapping.source
        );
        return Err(pipe.invalid(&format!("{}.engine", mapping.key), reason));
    }
    let order_by = order_by(pipe, mapping, chain, engine, &key)?;
    let target = TargetTable {
        database: pipe.destination.database.clone(),
        name: mapping.destination.clone(),
        columns: target_columns(
            output,
            &origins,
            chain.output_key(),
            session.destination.features(),
        ),
        key,
        engine,
        order_by,
        partition_by: mapping.partition_by.as_ref().map(|text| term(chain, text)),
        settings: mapping.settings.clone(),
        comment: source.comment.clone(),
        metadata: pipe.metadata.clone(),
    };
    names::fit(pipe, mapping, &target)?;
    Ok(target)
}

/// The sorting key as SQL: the pipe's, else the key. Replacing compares rows by it, so it must hold the whole key.
fn order_by(
    pipe: &Pipe,
    mapping: &TableMapping,
    chain: &Chain,
    engine: Engine,
    key: &[String],
) -> Result<Vec<String>, PipeError> {
    let Some(wanted) = &mapping.order_by else {
        return Ok(key.iter().map(|name| quoted(name)).collect());
    };
    let at = format!("{}.order_by", mapping.key);
    if let Some(missing) = key
        .iter()
        .find(|name| engine == Engine::ReplacingMergeTree && !wanted.contains(name))
    {
        let reason = format!(
            "the key column `{missing}` is not in it, so rows with different keys would replace each other; \
             add it, or choose engine = \"MergeTree\""
        );
        return Err(pipe.invalid(&at, reason));
    }
    Ok(wanted.iter().map(|text| term(chain, text)).collect())
}

/// An expression of the pipe as SQL: a column's name stands for the column, whatever else it might mean.
fn term(chain: &Chain, text: &str) -> String {
    match chain.output().field_with_name(text) {
        Ok(_) => quoted(text),
        Err(_) => text.to_owned(),
    }
}
