//! What a load keeps of its transforms beside their rows: what they have used of their limits, and the rows that they could not transform.

use std::time::Duration;

use arrow::array::RecordBatch;

use super::binding::{BoundTable, origin};
use super::error::Error;
use super::work::Work;
use crate::destination::{RejectedRow, row_as_json};
use crate::pipe::TableMapping;
use crate::schema::{OnError, SourceTable, cell_text, named};
use crate::transform::{Applied, Rejected, StepTotals};

/// Begins the transforms of a load, or of what is left of it: what the chunks that are done used of the limits is used.
pub(super) fn begin(work: &Work, tables: &[BoundTable]) -> Result<(), Error> {
    for table in tables {
        let mut before: Vec<StepTotals> = Vec::new();
        for chunk in work.journal.chunks(&work.id(), &table.mapping.source)? {
            let steps = chunk.result.map(|result| result.steps).unwrap_or_default();
            before.resize(before.len().max(steps.len()), StepTotals::default());
            for (total, step) in before.iter_mut().zip(steps) {
                total.cpu += Duration::from_micros(step.cpu_us);
                total.rejected += step.rejected;
            }
        }
        table.chain.begin(origin(&work.id()), &before);
    }
    Ok(())
}

/// The first row that stops the load or its table, if there is one.
pub(super) fn first_failure(applied: &Applied) -> Option<&Rejected> {
    let fails = |rejected: &&Rejected| rejected.on_error == OnError::Fail;
    applied.rejected.iter().find(fails)
}

/// The source's key of a row, as `name=value, ...`; `batch` is as the source sent it, and may lack columns.
pub(super) fn key_text(source: &SourceTable, batch: &RecordBatch, row: usize) -> String {
    let key = source.key_names().into_iter().map(|name| {
        let cell = batch.column_by_name(name);
        let cell = cell.map(|column| cell_text(column, row));
        named(name, cell.unwrap_or_else(|| Some("?".to_owned())))
    });
    key.collect::<Vec<_>>().join(", ")
}

/// A row for the table of rejected rows: as the plugin was given it, so behind the transforms before it; without its values where the pipe says so.
pub(super) fn rejected_row(
    mapping: &TableMapping,
    applied: &Applied,
    rejected: &Rejected,
) -> RejectedRow {
    let keep = mapping.transforms[rejected.step].keep_row;
    let json = applied.given(rejected).map(|given| {
        let row = rejected.given_row;
        let all = || row_as_json(&given.batch, row, 0..given.batch.num_columns());
        (
            row_as_json(&given.batch, row, given.key.iter().copied()),
            if keep { all() } else { String::new() },
        )
    });
    let (key, row) = json.unwrap_or_default();
    RejectedRow {
        key,
        row,
        column: String::new(),
        reason: rejected.reason.clone(),
        plugin: rejected.plugin.clone(),
    }
}
