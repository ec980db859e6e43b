//! Rows through a plugin, in the real host: what a test, `dev` and the benchmark have in common.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use serde::Serialize;

use super::error::Error;
use super::project::Case;
use crate::transform::{Chain, Plugin, Runtime, Step, TableShape, TransformError};

/// The most rows that a plugin sees at once.
pub(super) const BATCH_ROWS: usize = 65_536;

/// A plugin, bound to the table of a test.
#[derive(Debug)]
pub struct Trial {
    chain: Chain,
    rows: RecordBatch,
}

/// What became of rows.
#[derive(Debug)]
pub struct Fate {
    /// The rows that came out.
    pub rows: RecordBatch,
    /// For each of them the number of the row that it was, counted from 0.
    pub origins: Vec<usize>,
    /// The numbers of the rows that were left out.
    pub filtered: Vec<usize>,
    /// The rows that could not be transformed.
    pub rejected: Vec<RejectedRow>,
}

/// A row that a plugin could not transform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RejectedRow {
    /// Its number, counted from 1.
    pub row: usize,
    /// The plugin's words.
    pub reason: String,
}

impl Trial {
    /// Shows the plugin the table, and gives it its configuration with the reference tables. `rows` have all of the table's columns.
    pub fn bind(
        runtime: &Runtime,
        plugin: &Arc<Plugin>,
        case: &Case,
        rows: RecordBatch,
    ) -> Result<Self, Error> {
        let key = case.key.iter().map(|name| {
            rows.schema_ref().index_of(name).map_err(|_unknown| {
                Error::NoRows(format!(
                    "test `{}`: the key's column `{name}` is no column of the rows",
                    case.name
                ))
            })
        });
        let (database, name) = case.table.clone();
        let table = TableShape {
            database,
            name,
            schema: rows.schema(),
            key: key.collect::<Result<_, _>>()?,
        };
        let step = Step::new(plugin.clone(), case.whole_config()?);
        let chain = Chain::bind(runtime, &table, &[step])?;
        Ok(Self { chain, rows })
    }

    /// The rows that go in.
    pub fn rows(&self) -> &RecordBatch {
        &self.rows
    }

    /// The chain of the one plugin.
    pub(super) fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The rows' columns that the chain takes.
    pub(super) fn input(&self) -> Result<RecordBatch, TransformError> {
        let input = self.rows.project(self.chain.input_columns());
        input.map_err(|cause| TransformError::Engine {
            reason: cause.to_string(),
        })
    }

    /// Sends the rows through, cut into batches of at most so many.
    pub fn run(&self, most: usize) -> Result<Fate, TransformError> {
        let input = self.input()?;
        let mut instance = self.chain.instance();
        let (mut batches, mut origins, mut rejected) = (Vec::new(), Vec::new(), Vec::new());
        let mut start = 0;
        while start < input.num_rows() {
            let count = most.min(input.num_rows() - start);
            let chunk = format!("rows {} to {}", start + 1, start + count);
            let applied = instance.apply(input.slice(start, count), &chunk)?;
            origins.extend(applied.origins().into_iter().map(|row| start + row));
            rejected.extend(applied.rejected.into_iter().map(|rejected| RejectedRow {
                row: start + rejected.row + 1,
                reason: rejected.reason,
            }));
            batches.push(applied.batch);
            start += count;
        }
        let rows = concat_batches(self.chain.output(), &batches);
        let mut stays = vec![false; input.num_rows()];
        let known = origins
            .iter()
            .copied()
            .chain(rejected.iter().map(|rejected| rejected.row - 1));
        known.for_each(|row| stays[row] = true);
        Ok(Fate {
            rows: rows.map_err(|cause| TransformError::Engine {
                reason: cause.to_string(),
            })?,
            filtered: (0..stays.len()).filter(|&row| !stays[row]).collect(),
            origins,
            rejected,
        })
    }
}
