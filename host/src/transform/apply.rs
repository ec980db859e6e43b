//! A batch's way through a chain: for each step, lend the plugin the columns that it reads, check what it answers, put the next batch together from
//! passed and computed columns, and take out the rows that are filtered or rejected, once and natively.

use std::fmt::Display;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, BooleanBufferBuilder, RecordBatch, RecordBatchOptions,
    new_empty_array,
};
use arrow::buffer::BooleanBuffer;
use arrow::compute::FilterBuilder;
use arrow::error::ArrowError;

use super::binding::OutColumn;
use super::chain::{Bound, BoundStep};
use super::error::{Site, TransformError};
use super::instance::Instance;
use super::lift::Output;
use super::lower::LoweredColumn;
use super::plan::StepPlan;

/// Batches after which an instance is replaced, so that a guest's leaks and broken state have an end.
const BATCHES_OF_AN_INSTANCE: u32 = 4096;

/// One worker's instances of a chain's plugins. They go back to the chain when it is dropped.
pub struct ChainInstance {
    bound: Arc<Bound>,
    /// One place a step; empty until the first batch, and after an error.
    instances: Vec<Option<Instance>>,
}

/// A batch after its transforms. Its rows, the filtered and the rejected ones add up to the rows that went in.
#[derive(Debug)]
pub struct Applied {
    /// The rows that are left, in their order, with the chain's output columns.
    pub batch: RecordBatch,
    /// Rows that were left out on purpose.
    pub filtered_rows: u64,
    /// Rows that could not be transformed, by row.
    pub rejected: Vec<Rejected>,
    /// What was taken out, step by step.
    masks: Vec<BooleanBuffer>,
}

impl Applied {
    /// For each row that is left, its number in the batch that was given.
    pub fn origins(&self) -> Vec<usize> {
        origins(self.batch.num_rows(), &self.masks)
    }
}

/// A row that a plugin could not transform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The row, in the batch that was given to [`ChainInstance::apply`].
    pub row: usize,
    /// The plugin's name.
    pub plugin: String,
    /// The plugin's words.
    pub reason: String,
}

/// A batch between two steps.
struct Rows {
    columns: Vec<ArrayRef>,
    count: usize,
    /// What was taken out so far: for each time, one bit a row that was there, 1 = it stayed.
    masks: Vec<BooleanBuffer>,
}

/// For each of `count` rows its number in the first batch. Worked out only where rows have to be told apart: a load doesn't.
fn origins(count: usize, masks: &[BooleanBuffer]) -> Vec<usize> {
    let first = masks.first().map_or(count, BooleanBuffer::len);
    masks
        .iter()
        .fold((0..first).collect(), |origins: Vec<usize>, mask| {
            mask.set_indices().map(|row| origins[row]).collect()
        })
}

impl std::fmt::Debug for ChainInstance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChainInstance")
            .field("table", &self.bound.table.to_string())
            .finish_non_exhaustive()
    }
}

impl ChainInstance {
    pub(super) fn new(bound: Arc<Bound>) -> Self {
        let instances = bound.steps.iter().map(BoundStep::take_warm).collect();
        Self { bound, instances }
    }

    /// Sends a batch with the columns of [`super::Chain::input`] through the chain. `chunk` names it in errors.
    ///
    /// After an error the batch is lost and nothing else is: the next call works on fresh instances.
    pub fn apply(
        &mut self,
        batch: RecordBatch,
        chunk: &dyn Display,
    ) -> Result<Applied, TransformError> {
        check_batch(&self.bound, &batch, chunk)?;
        let before = batch.num_rows();
        let mut rejected = Vec::new();
        let mut rows = Rows {
            count: before,
            columns: batch.columns().to_vec(),
            masks: Vec::new(),
        };
        drop(batch);
        for ((step, plan), place) in self
            .bound
            .steps
            .iter()
            .zip(&self.bound.plan.steps)
            .zip(&mut self.instances)
        {
            let site = Site {
                chunk: Some(chunk.to_string()),
                ..step.site.clone()
            };
            rows = apply_step(step, plan, place, rows, &site, &mut rejected)?;
        }
        rejected.sort_by_key(|rejection| rejection.row);
        let filtered_rows = (before - rows.count - rejected.len()) as u64;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.count));
        let batch =
            RecordBatch::try_new_with_options(self.bound.output.clone(), rows.columns, &options)
                .map_err(|cause| mismatch(&self.bound, chunk, cause.to_string()))?;
        Ok(Applied {
            batch,
            filtered_rows,
            rejected,
            masks: rows.masks,
        })
    }
}

impl Drop for ChainInstance {
    fn drop(&mut self) {
        for (step, instance) in self.bound.steps.iter().zip(&mut self.instances) {
            if let Some(instance) = instance.take() {
                step.give_warm(instance);
            }
        }
    }
}

fn mismatch(bound: &Bound, chunk: &dyn Display, reason: String) -> TransformError {
    TransformError::Batch {
        table: bound.table.to_string(),
        chunk: chunk.to_string(),
        reason,
    }
}

/// The batch must have the columns that the chain was bound to, and a number of rows that the contract can say.
fn check_batch(
    bound: &Bound,
    batch: &RecordBatch,
    chunk: &dyn Display,
) -> Result<(), TransformError> {
    if u32::try_from(batch.num_rows()).is_err() {
        return Err(mismatch(
            bound,
            chunk,
            format!("it has {} rows", batch.num_rows()),
        ));
    }
    let schema = batch.schema_ref();
    if Arc::ptr_eq(schema, &bound.input) {
        return Ok(());
    }
    if schema.fields().len() != bound.input.fields().len() {
        return Err(mismatch(
            bound,
            chunk,
            format!(
                "it has {} columns and should have {}",
                schema.fields().len(),
                bound.input.fields().len()
            ),
        ));
    }
    for ((is, should), column) in schema
        .fields()
        .iter()
        .zip(bound.input.fields())
        .zip(batch.columns())
    {
        if is.data_type() != should.data_type() {
            return Err(mismatch(
                bound,
                chunk,
                format!(
                    "its column `{}` is {} and should be {}",
                    should.name(),
                    is.data_type(),
                    should.data_type()
                ),
            ));
        }
        if !should.is_nullable() && column.null_count() > 0 {
            return Err(mismatch(
                bound,
                chunk,
                format!("its column `{}` holds nulls and should not", should.name()),
            ));
        }
    }
    Ok(())
}

fn apply_step(
    step: &BoundStep,
    plan: &StepPlan,
    place: &mut Option<Instance>,
    rows: Rows,
    site: &Site,
    rejected: &mut Vec<Rejected>,
) -> Result<Rows, TransformError> {
    if rows.count == 0 {
        let computed: Vec<ArrayRef> = step
            .binding
            .computed
            .iter()
            .map(|field| new_empty_array(field.data_type()))
            .collect();
        return Ok(Rows {
            columns: arrange(plan, &rows.columns, &computed),
            ..rows
        });
    }
    let output = call(step, plan, place, &rows, site)?;
    let columns = arrange(plan, &rows.columns, &output.columns);
    if !output.rejected.is_empty() {
        let origins = origins(rows.count, &rows.masks);
        let named = output.rejected.iter().map(|(row, reason)| Rejected {
            row: origins[*row],
            plugin: site.plugin.clone(),
            reason: reason.clone(),
        });
        rejected.extend(named);
    }
    match mask(&output, rows.count) {
        None => Ok(Rows { columns, ..rows }),
        Some(mask) => keep(columns, mask, rows.masks).map_err(|cause| TransformError::Breach {
            site: Box::new(site.clone()),
            reason: cause.to_string(),
        }),
    }
}

/// Calls the plugin. Where anything but an orderly refusal comes back, its instance is gone.
fn call(
    step: &BoundStep,
    plan: &StepPlan,
    place: &mut Option<Instance>,
    rows: &Rows,
    site: &Site,
) -> Result<Output, TransformError> {
    let breach = |reason| TransformError::Breach {
        site: Box::new(site.clone()),
        reason,
    };
    let lowered = plan
        .reads
        .iter()
        .map(|&column| LoweredColumn::new(&rows.columns[column]))
        .collect::<Result<Vec<_>, _>>()
        .map_err(breach)?;
    let lent: Vec<_> = lowered.iter().map(LoweredColumn::lend).collect();
    let mut instance = match place.take() {
        Some(instance) if instance.batches < BATCHES_OF_AN_INSTANCE => instance,
        _ => step.fresh_instance(site)?,
    };
    let answer = instance.process(site, rows.count as u32, &lent);
    match answer {
        Ok(untrusted) => {
            let output = untrusted
                .check(&step.binding.computed, step.binding.filters, rows.count)
                .map_err(breach)?;
            *place = Some(instance);
            Ok(output)
        }
        Err(error) => {
            if matches!(error, TransformError::Refused { .. }) {
                *place = Some(instance);
            }
            Err(error)
        }
    }
}

/// The next batch's columns, before rows are taken out.
fn arrange(plan: &StepPlan, batch: &[ArrayRef], computed: &[ArrayRef]) -> Vec<ArrayRef> {
    let column = |column: &OutColumn| match column {
        OutColumn::Pass(place) => batch[*place].clone(),
        OutColumn::Computed(number) => computed[*number].clone(),
    };
    plan.columns.iter().map(column).collect()
}

/// The rows that stay; none if all do. A rejected row goes, kept or not.
fn mask(output: &Output, rows: usize) -> Option<BooleanBuffer> {
    let mask = match (&output.keep, output.rejected.as_slice()) {
        (None, []) => return None,
        (Some(keep), []) => keep.clone(),
        (keep, rejected) => {
            let mut builder = BooleanBufferBuilder::new(rows);
            match keep {
                Some(keep) => builder.append_buffer(keep),
                None => builder.append_n(rows, true),
            }
            rejected
                .iter()
                .for_each(|(row, _)| builder.set_bit(*row, false));
            builder.finish()
        }
    };
    (mask.count_set_bits() < rows).then_some(mask)
}

/// Takes the rows out of all columns.
fn keep(
    columns: Vec<ArrayRef>,
    mask: BooleanBuffer,
    mut masks: Vec<BooleanBuffer>,
) -> Result<Rows, ArrowError> {
    let count = mask.count_set_bits();
    let predicate = FilterBuilder::new(&BooleanArray::new(mask.clone(), None))
        .optimize()
        .build();
    let columns = columns
        .iter()
        .map(|column| predicate.filter(column))
        .collect::<Result<_, _>>()?;
    masks.push(mask);
    Ok(Rows {
        columns,
        count,
        masks,
    })
}
