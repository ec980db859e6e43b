//! What changes nothing: `check`, `plan`, `preview`, and the look at a source that `init` takes.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;

use super::binding::BoundTable;
use super::design;
use super::error::Error;
use super::report::{
    CheckReport, ColumnPlan, Finding, Plan, Preview, PreviewAfter, PreviewRow, SchemaChange,
    Severity, TablePlan, TransformPlan,
};
use super::session::Session;
use super::{references, setup};
use crate::destination::{Fitted, LiveTable, Misfit};
use crate::journal::{Journal, PinnedPlugin, TableRecord};
use crate::pipe::{Access, Pipe, TableMapping, TransformUse};
use crate::registry::Reference;
use crate::schema::{OutOfRange, TableName, cell_text};
use crate::source::{Source, TableRead};
use crate::transform::Chain;

/// Looks at everything that can be looked at.
pub(super) async fn check(session: &Session) -> Result<CheckReport, Error> {
    let tables = setup::bind(session, &[]).await?;
    Ok(CheckReport {
        pipe: session.pipe.name.clone(),
        source: session.source.server().to_string(),
        destination: format!("ClickHouse {}", session.destination.version()),
        tables: tables
            .iter()
            .map(|table| table.mapping.source.to_string())
            .collect(),
        findings: findings(session, &tables).await?,
    })
}

/// The findings of all rooms, the worst first.
async fn findings(session: &Session, tables: &[BoundTable]) -> Result<Vec<Finding>, Error> {
    let sources: Vec<_> = tables.iter().map(|table| table.source.clone()).collect();
    let mut findings = session
        .source
        .findings(&sources, session.pipe.cdc.follows())
        .await?;
    findings.extend(session.destination.findings().await?);
    findings.extend(tables.iter().flat_map(homeless_nulls));
    let journal = Journal::open_existing(&session.pipe.state)?;
    for obstacle in setup::obstacles(session, journal.as_ref(), tables).await? {
        findings.push(Finding::new(
            Severity::Error,
            "destination",
            obstacle.to_string(),
        ));
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    Ok(findings)
}

/// Columns whose NULLs would stop the load: the destination's type has none, and the pipe states nothing in their place.
fn homeless_nulls(table: &BoundTable) -> Vec<Finding> {
    let fields = table.chain.output().fields().iter();
    let columns = fields.zip(&table.target.columns).enumerate();
    columns
        .filter(|(i, (field, column))| {
            field.is_nullable()
                && !column.nullable
                && column.default.is_none()
                && column.on_out_of_range != OutOfRange::Reject
                && !table.chain.output_key().contains(i)
        })
        .map(|(_, (field, column))| {
            let subject = format!("{}.{}", table.source.name, field.name());
            let message = format!(
                "it may be NULL, and {} in ClickHouse can't be: the load stops at the first NULL, unless `types` states a `default`",
                column.clickhouse_type
            );
            Finding::new(Severity::Warning, subject, message)
        })
        .collect()
}

/// Works out what a resync of these tables (all, if there are none) would do.
pub(super) async fn plan(session: &Session, tables: &[TableName]) -> Result<Plan, Error> {
    let bound = setup::bind(session, tables).await?;
    let mut plans = Vec::with_capacity(bound.len());
    for table in &bound {
        plans.push(plan_table(session, table).await?);
    }
    Ok(Plan {
        pipe: session.pipe.name.clone(),
        verify: session.pipe.verify,
        tables: plans,
        findings: findings(session, &bound).await?,
    })
}

async fn plan_table(session: &Session, table: &BoundTable) -> Result<TablePlan, Error> {
    let original = session.destination.live_table(&table.target.name).await?;
    let ddl = session
        .destination
        .plan_ddl(&table.target, original.as_ref());
    let chunks = session
        .source
        .chunks(&table.source, session.pipe.snapshot.chunk_rows)
        .await?;
    let original_rows = match &original {
        Some(original) => Some(
            session
                .destination
                .live_rows(original, &table.target.metadata)
                .await?,
        ),
        None => None,
    };
    let read = table.chain.input_columns();
    let source_columns = table
        .source
        .columns
        .iter()
        .enumerate()
        .map(|(i, column)| ColumnPlan {
            name: column.name.clone(),
            mysql_type: column.mysql_type.name(),
            nullable: column.nullable,
            read: read.contains(&i),
        });
    Ok(TablePlan {
        source: table.source.name.to_string(),
        destination: table.target.name.clone(),
        original_exists: original.is_some(),
        source_columns: source_columns.collect(),
        key: table
            .source
            .key_names()
            .into_iter()
            .map(str::to_owned)
            .collect(),
        transforms: transforms(&table.chain),
        changes: original
            .as_ref()
            .map(|original| changes(original, table))
            .unwrap_or_default(),
        ddl: ddl.create,
        kept: ddl.kept.into_iter().map(|kept| kept.what).collect(),
        lost: ddl
            .lost
            .into_iter()
            .map(|lost| (lost.what, lost.reason))
            .collect(),
        dependents: original.iter().flat_map(LiveTable::dependents).collect(),
        chunks: chunks.len() as u64,
        // Statistics lag behind a bulk load; the planner has looked.
        estimated_rows: table
            .source
            .estimated_rows
            .max(chunks.iter().map(|chunk| chunk.estimated_rows).sum()),
        estimated_bytes: table.source.estimated_bytes,
        original_rows,
    })
}

fn transforms(chain: &Chain) -> Vec<TransformPlan> {
    let plan = |step: crate::transform::StepBinding| {
        let computes: Vec<String> = step.computed.into_iter().map(|(name, _)| name).collect();
        // A column that is computed anew under its own name is not dropped.
        let dropped = step.dropped.into_iter();
        let drops = dropped.filter(|name| !computes.contains(name)).collect();
        TransformPlan {
            plugin: step.plugin,
            version: step.version,
            digest: step.digest,
            reads: step.reads,
            computes,
            renames: step
                .passed
                .into_iter()
                .filter(|(from, to)| from != to)
                .collect(),
            drops,
            filters: step.filters,
        }
    };
    chain.describe().into_iter().map(plan).collect()
}

/// How the new columns and the sorting key differ from the original's.
fn changes(original: &LiveTable, table: &BoundTable) -> Vec<SchemaChange> {
    let target = &table.target;
    let mut changes = Vec::new();
    for column in &target.columns {
        let new_type = column.clickhouse_type.clone();
        match original.columns.iter().find(|old| old.name == column.name) {
            None => changes.push(SchemaChange::Added {
                column: column.name.clone(),
                new_type,
            }),
            Some(old) if old.data_type != new_type => {
                changes.push(SchemaChange::Retyped {
                    column: column.name.clone(),
                    old_type: old.data_type.clone(),
                    new_type,
                });
            }
            Some(_) => {}
        }
    }
    let is_new =
        |name: &str| target.column(name).is_some() || target.metadata.all().contains(&name);
    for old in original
        .columns
        .iter()
        .filter(|old| !is_new(&old.name) && old.default_expression.is_empty())
    {
        changes.push(SchemaChange::Dropped {
            column: old.name.clone(),
            old_type: old.data_type.clone(),
        });
    }
    // ClickHouse writes a key of one column in parentheses, as it was given.
    let plain = |text: &str| text.replace(['`', ' ', '(', ')'], "");
    let new_order = target.order_by.join(", ");
    if plain(&new_order) != plain(&original.sorting_key) {
        changes.push(SchemaChange::Reordered {
            old_order: original.sorting_key.clone(),
            new_order,
        });
    }
    changes
}

/// How long a preview waits for its tenant's turn.
const PREVIEW_WAITS: Duration = Duration::from_secs(5);

/// Reads some rows of a table and puts them through its transforms, each row by itself so that its fate is known.
pub(super) async fn preview(
    session: &Session,
    table: &TableName,
    rows: usize,
) -> Result<Preview, Error> {
    let mut bound = setup::bind(session, std::slice::from_ref(table)).await?;
    let Some(table) = bound.pop() else {
        return Err(setup::unknown_table(&session.pipe, table));
    };
    // What the transforms don't need is shown, too: a person wants to see what stays behind.
    let all: Vec<usize> = (0..table.source.columns.len()).collect();
    let read = TableRead::new(&table.source, &all);
    let mut reader = session.source.reader().await?;
    let until = Instant::now() + PREVIEW_WAITS;
    let waited = || Instant::now() >= until;
    tokio::task::block_in_place(|| {
        session.share.wait_for_cpu(&waited)?;
        let batches = reader.read_first(&read, rows)?;
        let mut chain = table.chain.instance();
        let mut previewed = Vec::with_capacity(rows);
        for (batch, row) in batches
            .iter()
            .flat_map(|batch| (0..batch.num_rows()).map(move |row| (batch, row)))
        {
            let input = batch.slice(row, 1).project(table.chain.input_columns());
            let input = input.map_err(|cause| Error::Worker(cause.to_string()))?;
            let applied = session.transform(&mut chain, input, &"preview", &waited)?;
            let after = match applied.rejected.first() {
                Some(rejected) => {
                    PreviewAfter::Rejected(format!("{}: {}", rejected.plugin, rejected.reason))
                }
                None if applied.batch.num_rows() == 0 => PreviewAfter::Filtered,
                None => fate(table.fitter.fit(&applied.batch), &applied.batch),
            };
            previewed.push(PreviewRow {
                before: texts(batch, row),
                after,
            });
        }
        Ok(Preview {
            source: table.source.name.to_string(),
            columns_before: table
                .source
                .columns
                .iter()
                .map(|column| column.name.clone())
                .collect(),
            columns_after: names(table.chain.output()),
            rows: previewed,
        })
    })
}

/// Rows of a source table, as a plugin would be shown them.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The rows, with all the table's columns, in the order of the key.
    pub rows: RecordBatch,
    /// The names of the key's columns, in key order.
    pub key: Vec<String>,
}

/// Reads some rows of a table, for a plugin's author.
pub(super) async fn sample(pipe: &Pipe, table: &TableName, rows: usize) -> Result<Sample, Error> {
    let source = Source::connect(&pipe.source).await?;
    let mut found = source.table(table).await?;
    if let Some(mapping) = pipe.table(table) {
        found = design::with_choices(pipe, mapping, found)?;
    }
    let all: Vec<usize> = (0..found.columns.len()).collect();
    let mut reader = source.reader().await?;
    let batches =
        tokio::task::block_in_place(|| reader.read_first(&TableRead::new(&found, &all), rows))?;
    let rows = concat_batches(&found.arrow_schema(), &batches);
    Ok(Sample {
        rows: rows.map_err(|cause| Error::Worker(cause.to_string()))?,
        key: found.key_names().into_iter().map(str::to_owned).collect(),
    })
}

/// What becomes of a row that the transforms let through.
fn fate(fitted: Result<Fitted, Misfit>, row: &RecordBatch) -> PreviewAfter {
    match fitted {
        Err(misfit) => PreviewAfter::Stops(format!("`{}`: {misfit}", misfit.column)),
        Ok(fitted) => match fitted.rejected.first() {
            Some(misfit) => {
                PreviewAfter::Rejected(format!("`{}`: {}", misfit.column, misfit.reason))
            }
            None => PreviewAfter::Row(texts(row, 0)),
        },
    }
}

fn names(schema: &arrow::datatypes::Schema) -> Vec<String> {
    schema
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect()
}

/// A row's values as text; none for NULL.
fn texts(batch: &RecordBatch, row: usize) -> Vec<Option<String>> {
    let cells = batch.columns().iter();
    cells.map(|column| cell_text(column, row)).collect()
}

/// The pipe's plugins whose files differ from what its last load used: `journalled` has the record of each table's, `followed` the tables of the pipe's stream.
pub(super) fn drift(
    pipe: &Pipe,
    journalled: &HashMap<TableName, TableRecord>,
    followed: Option<&HashSet<TableName>>,
) -> Vec<String> {
    let mut drift = Vec::new();
    let mut now_by_name = HashMap::new();
    for mapping in &pipe.tables {
        let Some(record) = journalled.get(&mapping.source) else {
            drift.push(format!("{} is new since the last load", mapping.source));
            continue;
        };
        if followed.is_some_and(|followed| !followed.contains(&mapping.source)) {
            drift.push(format!("{} is not followed", mapping.source));
        }
        let plugins = |names: Vec<&str>| names.join(", ");
        let now: Vec<&str> = mapping
            .transforms
            .iter()
            .map(|transform| transform.plugin.as_str())
            .collect();
        let then: Vec<&str> = record
            .plugins
            .iter()
            .map(|plugin| plugin.plugin.as_str())
            .collect();
        if now != then {
            drift.push(format!(
                "{}: transforms were [{}], now [{}]",
                mapping.source,
                plugins(then),
                plugins(now)
            ));
            continue;
        }
        // A reference names its plugin by content: another one is another transform.
        let files = |plugin: &&PinnedPlugin| !Reference::is_one(&plugin.plugin);
        for pinned in record.plugins.iter().filter(files) {
            // Many tables may go through one plugin: it is looked for once.
            let now = now_by_name
                .entry(pinned.plugin.clone())
                .or_insert_with(|| digest_of_plugin(pipe, &pinned.plugin));
            match now {
                Ok(digest) if *digest == pinned.digest => {}
                Ok(_) => drift.push(format!(
                    "{}: the plugin `{}` has changed since the last load",
                    mapping.source, pinned.plugin
                )),
                Err(error) => drift.push(format!("{}: {error}", mapping.source)),
            }
        }
        drift.extend(config_drift(pipe, mapping, record));
    }
    drift
}

/// The digest of the file that a plugin's name means now, or why there is none.
fn digest_of_plugin(pipe: &Pipe, name: &str) -> Result<String, String> {
    let path = crate::transform::resolve(name, &pipe.folder);
    let digest = path.and_then(|path| crate::transform::digest_of(&path));
    digest.map_err(|error| match pipe.access() {
        Access::Own => error.to_string(),
        Access::Tenant(_) => error.of_tenant().to_string(),
    })
}

/// The transforms whose configuration, or a reference table in it, is another one than in the last load.
fn config_drift(pipe: &Pipe, mapping: &TableMapping, record: &TableRecord) -> Vec<String> {
    let plugins = mapping.transforms.iter().zip(&record.plugins);
    let tell = |(transform, then): (&TransformUse, &PinnedPlugin)| {
        let changed = match references::digest_now(pipe, transform) {
            Ok(now) => then.config.as_ref().is_some_and(|then| *then != now),
            Err(error) => return Some(format!("{}: {error}", mapping.source)),
        };
        changed.then(|| {
            format!(
                "{}: the configuration of `{}`, or a table in it, has changed since the last load",
                mapping.source, then.plugin
            )
        })
    };
    plugins.filter_map(tell).collect()
}
