//! The Setup phase: everything that can be checked before a byte moves, then the `_resync` tables.

use std::sync::Arc;

use super::binding::BoundTable;
use super::error::Error;
use super::load;
use super::session::Session;
use super::swap;
use super::work::Work;
use crate::destination::{DestinationError, LiveTable, Zones};
use crate::journal::{Journal, Kind, TableRecord, TableState};
use crate::pipe::{Cdc, Pipe};
use crate::schema::{TableName, old_name, shadow_name};

/// The mappings of these source tables, or of all if there are none; bound, in the pipe's order.
pub(super) async fn bind(
    session: &Session,
    tables: &[TableName],
) -> Result<Vec<BoundTable>, Error> {
    if let Some(unknown) = tables
        .iter()
        .find(|name| session.pipe.table(name).is_none())
    {
        return Err(unknown_table(&session.pipe, unknown));
    }
    let mut bound = Vec::new();
    let mut zones = Zones::default();
    for mapping in session
        .pipe
        .tables
        .iter()
        .filter(|mapping| tables.is_empty() || tables.contains(&mapping.source))
    {
        bound.push(BoundTable::bind(session, mapping, &mut zones).await?);
    }
    Ok(bound)
}

/// The error for a table that isn't in the pipe.
pub(super) fn unknown_table(pipe: &Pipe, name: &TableName) -> Error {
    let known: Vec<String> = pipe
        .tables
        .iter()
        .map(|mapping| mapping.source.to_string())
        .collect();
    Error::Nothing {
        reason: format!("{name} is not a table of the pipe `{}`", pipe.name),
        suggestion: format!("its tables are {}", known.join(", ")),
    }
}

/// The tables of the destination that a resync would destroy, and that are not this pipe's to destroy. A shadow that a crash has left is
/// known by its metadata columns, too: it is made before it is journalled.
pub(super) async fn obstacles(
    session: &Session,
    journal: Option<&Journal>,
    tables: &[BoundTable],
) -> Result<Vec<DestinationError>, Error> {
    let mut obstacles = Vec::new();
    for table in tables {
        let name = &table.target.name;
        let original = session.destination.live_table(name).await?;
        obstacles.extend(original.and_then(|original| original.replaceable().err()));
        let is_known = |uuid| journal.map_or(Ok(false), |journal| journal.knows(uuid));
        let shadow = shadow_name(name);
        if let Some(live) = session.destination.live_table(&shadow).await?
            && !live.has_all(&table.target.metadata)
            && !is_known(live.uuid)?
        {
            obstacles.push(swap::not_ours(&shadow, "a resync loads its copy"));
        }
        let old = old_name(name);
        if let Some(uuid) = swap::bearer(&session.destination, &old).await?
            && !is_known(uuid)?
        {
            obstacles.push(swap::not_ours(&old, "a swap keeps the old table"));
        }
    }
    Ok(obstacles)
}

/// The first records of the tables of a resync.
pub(super) fn records(pipe: &Pipe, tables: &[BoundTable]) -> Vec<TableRecord> {
    let record = |table: &BoundTable| TableRecord {
        plugins: table.plugins.clone(),
        estimated_rows: table.source.estimated_rows,
        ..TableRecord::new(
            table.mapping.source.clone(),
            table.target.name.clone(),
            table.fingerprint(pipe),
        )
    };
    tables.iter().map(record).collect()
}

/// Creates, or replaces, the shadow of each table. Done again after a crash it begins from nothing.
pub(super) async fn create_shadows(
    session: &Arc<Session>,
    work: &Work,
    tables: &[BoundTable],
) -> Result<(), Error> {
    session
        .retried("create the database", || {
            session.destination.create_database()
        })
        .await?;
    for table in tables {
        let name = &table.target.name;
        let original = session
            .retried("look at the original", || {
                session.destination.live_table(name)
            })
            .await?;
        let ddl = session
            .destination
            .plan_ddl(&table.target, original.as_ref());
        for lost in &ddl.lost {
            work.note(format!(
                "{name}: {} is not kept: {}",
                lost.what, lost.reason
            ))?;
        }
        for dependent in original.iter().flat_map(LiveTable::dependents) {
            work.note(format!("{name}: {dependent}"))?;
        }
        let takes_over = work.pipe.cdc == Cdc::Only && work.resync().kind == Kind::Load;
        if let (true, Some(original)) = (takes_over, &original) {
            fits(table, original)?;
            work.update_table(&table.mapping.source, "takes over", |record| {
                record.state = TableState::Swapped;
                record.original = Some(original.uuid);
                record.shadow = None;
            })?;
            continue;
        }
        work.update_table(&table.mapping.source, "creates the shadow of", |record| {
            record.attempt += 1;
            record.fingerprint = table.fingerprint(&work.pipe);
            record.plugins.clone_from(&table.plugins);
        })?;
        if work.table(&table.mapping.source).attempt > 1 {
            load::forget_rejected(session, work, table).await?;
        }
        let shadow = session
            .retried("create a shadow", || {
                session.destination.create_shadow(&ddl)
            })
            .await?;
        work.update_table(&table.mapping.source, "created the shadow of", |record| {
            // Where nothing is loaded there is nothing to prove.
            record.state = match takes_over {
                true => TableState::Verified,
                false => TableState::Waiting,
            };
            record.original = original.as_ref().map(|original| original.uuid);
            record.shadow = Some(shadow);
            record.began = None;
            record.loaded = None;
            record.reason = None;
        })?;
    }
    Ok(())
}

/// Refuses to write changes to a table that somebody else has made, unless it has the columns that they have.
fn fits(table: &BoundTable, live: &LiveTable) -> Result<(), DestinationError> {
    let differs = |reason: String| {
        Err(DestinationError::InTheWay {
            table: format!("`{}`", live.name),
            reason: format!(
                "{reason}, so changes can't be written to it: drop it, or name another `destination`"
            ),
        })
    };
    if let Some(name) = table
        .target
        .metadata
        .all()
        .into_iter()
        .find(|name| live.column(name).is_none())
    {
        return differs(format!("has no column `{name}`"));
    }
    for column in &table.target.columns {
        match live.column(&column.name) {
            None => return differs(format!("has no column `{}`", column.name)),
            Some(found) if found.data_type != column.clickhouse_type => {
                return differs(format!(
                    "has the column `{}` as {} instead of {}",
                    column.name, found.data_type, column.clickhouse_type
                ));
            }
            Some(_) => {}
        }
    }
    Ok(())
}
