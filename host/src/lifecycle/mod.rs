//! The lifecycle of a pipe: a load or resync, Setup → Snapshot → Resync, then Running, with Paused and Failed beside the way.
//!
//! | phase | what is done | after a kill -9 |
//! | --- | --- | --- |
//! | Setup | schemas are read, plugins bound, everything is checked, position P0 is noted, the `_resync` tables are created | begins again |
//! | Snapshot | chunks are loaded in parallel from a consistent snapshot; position P1 is noted at the end | finished chunks stay; without CDC only if the source has not been written to since |
//! | Resync | the copy is verified, changes from P0 until P1 is passed are applied, soft-deleted rows are carried over, pairs are swapped one after the other | goes on with the first pair that is not swapped; ClickHouse is asked for the tables' UUIDs |
//! | Running | changes are applied, from the swap on | goes on from the last committed position |
//!
//! Without CDC a pipe ends in Completed. Each step is journalled before it is done and after; a step that is done again does no harm. The
//! original is untouched until its own swap. This module knows the rooms (source, transform, destination, journal), which don't know
//! each other. One process is at work on a pipe ([`worker`]); others leave it orders.

mod binding;
mod brakes;
mod catch_up;
mod control;
mod design;
mod drive;
mod environment;
mod error;
mod follow;
mod inspect;
mod job;
mod load;
mod main_stream;
mod merges;
mod names;
mod order;
mod pace;
mod pinned;
mod reading;
mod references;
pub mod report;
mod retry;
mod rollback;
mod session;
mod setup;
mod share;
mod statistics;
mod status;
mod stop;
mod supply;
mod swap;
mod transforms;
mod tuning;
mod usage;
mod verify;
mod work;
mod worker;
mod writing;

pub use control::{
    Command, Stop, abort, foresee, foresee_rollback, keep, pause, perform, remove_table, rollback,
    tell,
};
pub use environment::Environment;
pub use error::{Error, ErrorClass};
pub use inspect::Sample;
pub use order::Told;
pub use share::{Allowance, Machine, Share};
pub use status::{history, resync as past_resync, resyncs, status, status_with_latest};
pub use usage::{PipeUsage, PluginUsage, Usage};

use crate::pipe::template::TemplateTable;
use crate::pipe::{Pipe, SourceSettings};
use crate::schema::TableName;
use crate::source::{Source, SourceError};
use report::{CheckReport, Plan, Preview, Rejected};
use session::{Outlet, Session};

/// Checks a pipe against its servers and plugins. Nothing is changed.
pub async fn check(pipe: &Pipe, environment: &Environment) -> Result<CheckReport, Error> {
    let session = Session::open(pipe, environment).await?;
    let report = inspect::check(&session).await;
    session.close().await?;
    report
}

/// Says what a resync of these tables (all, if there are none) would do. Nothing is changed.
pub async fn plan(
    pipe: &Pipe,
    environment: &Environment,
    tables: &[TableName],
) -> Result<Plan, Error> {
    let session = Session::open(pipe, environment).await?;
    let plan = inspect::plan(&session, tables).await;
    session.close().await?;
    plan
}

/// Shows the first rows of a table before and after its transforms. Nothing is changed.
pub async fn preview(
    pipe: &Pipe,
    environment: &Environment,
    table: &TableName,
    rows: usize,
) -> Result<Preview, Error> {
    let session = Session::open(pipe, environment).await?;
    let preview = inspect::preview(&session, table, rows).await;
    session.close().await?;
    preview
}

/// Some rows of a table of a pipe's source, with all of its columns, as a plugin would be shown them; the pipe needn't have the table. Nothing but the
/// source is asked.
pub async fn sample(pipe: &Pipe, table: &TableName, rows: usize) -> Result<Sample, Error> {
    inspect::sample(pipe, table, rows).await
}

/// The tables of a source, for a new pipe file; of these databases, or of all if there are none.
pub async fn init(
    settings: &SourceSettings,
    databases: &[String],
) -> Result<Vec<TemplateTable>, Error> {
    let source = Source::connect(settings).await?;
    let summaries = match databases {
        [] => source.tables(None).await?,
        databases => {
            let mut all = Vec::new();
            for database in databases {
                all.extend(source.tables(Some(database)).await?);
            }
            all
        }
    };
    let mut tables = Vec::with_capacity(summaries.len());
    for summary in summaries {
        let key = match summary.is_view {
            true => Vec::new(),
            false => match source.table(&summary.name).await {
                Ok(table) => table.key_names().into_iter().map(str::to_owned).collect(),
                // It was dropped since it was listed.
                Err(SourceError::NoSuchTable { .. }) => continue,
                Err(error) => return Err(error.into()),
            },
        };
        tables.push(TemplateTable {
            name: summary.name,
            is_view: summary.is_view,
            estimated_rows: summary.estimated_rows,
            key,
        });
    }
    Ok(tables)
}

/// The answer of a query at the destination, as tab-separated text with a line of names.
pub async fn query(pipe: &Pipe, sql: &str) -> Result<String, Error> {
    let outlet = Outlet::open(pipe).await?;
    let answer = outlet.destination.query_text(sql).await;
    outlet.close().await?;
    Ok(answer?)
}

/// The latest rows of a table that were rejected.
pub async fn rejected(
    pipe: &Pipe,
    table: &TableName,
    limit: usize,
) -> Result<Vec<Rejected>, Error> {
    let Some(mapping) = pipe.table(table) else {
        return Err(setup::unknown_table(pipe, table));
    };
    let outlet = Outlet::open(pipe).await?;
    let (name, source) = (&mapping.destination, table.to_string());
    let rows = outlet.destination.rejected(name, &source, limit).await;
    outlet.close().await?;
    Ok(rows?)
}

/// A first load replaces nothing: a table that is there already is a resync's matter.
async fn refuse_existing(session: &Session, tables: &[binding::BoundTable]) -> Result<(), Error> {
    for table in tables {
        if session
            .destination
            .live_table(&table.target.name)
            .await?
            .is_some()
        {
            return Err(Error::Nothing {
                reason: format!(
                    "the destination has a table `{}` already",
                    table.target.name
                ),
                suggestion: "replace it, its soft-deleted rows kept, with `tidemill resync`"
                    .to_owned(),
            });
        }
    }
    Ok(())
}

fn nothing_under_way(pipe: &Pipe) -> Error {
    Error::Nothing {
        reason: format!("no resync of the pipe `{}` is under way", pipe.name),
        suggestion: "start one with `tidemill resync`".to_owned(),
    }
}
