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
use super::chain::Bound;
use super::error::{Site, TransformError};
use super::instance::Instance;
use super::lift::Output;
use super::lower::LoweredColumn;
use super::plan::StepPlan;
use super::salvage::{Failure, Search, salvage};
use super::step::{BoundStep, StepTotals};
use super::usage::Usage;
use crate::schema::OnError;

/// One worker's instances of a chain's plugins. They go back to the chain when it is dropped.
pub struct ChainInstance {
    bound: Arc<Bound>,
    /// One place a step; empty until the first batch, and after an error.
    instances: Vec<Option<Instance>>,
    /// What each step has used and set aside since somebody asked.
    totals: Vec<StepTotals>,
    /// What each step has used since somebody asked last.
    used: Vec<Usage>,
    /// The chunk of the last batch, and the next batch's number in it.
    chunk: (String, u64),
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
    /// What the steps that rejected rows were given, by step.
    given: Vec<Option<Given>>,
    /// What was taken out, step by step.
    masks: Vec<BooleanBuffer>,
}

impl Applied {
    /// For each row that is left, its number in the batch that was given.
    pub fn origins(&self) -> Vec<usize> {
        origins(self.batch.num_rows(), &self.masks)
    }

    /// What the step was given that rejected this row.
    pub fn given(&self, rejected: &Rejected) -> Option<&Given> {
        self.given.get(rejected.step)?.as_ref()
    }
}

/// The batch that a step was given: as the steps before it left it.
#[derive(Clone, Debug)]
pub struct Given {
    /// The columns that somebody wants of it.
    pub batch: RecordBatch,
    /// The positions of the key's columns.
    pub key: Vec<usize>,
}

/// A row that a plugin could not transform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The row, in the batch that was given to [`ChainInstance::apply`].
    pub row: usize,
    /// The row, in the batch that the plugin was given.
    pub given_row: usize,
    /// The step, from 0.
    pub step: usize,
    /// What the pipe says that becomes of it.
    pub on_error: OnError,
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
    rejected: Vec<Rejected>,
    /// What the steps that rejected rows were given, by step.
    given: Vec<Option<Given>>,
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
        Self {
            totals: vec![StepTotals::default(); bound.steps.len()],
            used: vec![Usage::default(); bound.steps.len()],
            chunk: (String::new(), 0),
            bound,
            instances,
        }
    }

    /// What each step has used and set aside since the last time.
    pub fn take_totals(&mut self) -> Vec<StepTotals> {
        let none = vec![StepTotals::default(); self.totals.len()];
        std::mem::replace(&mut self.totals, none)
    }

    /// Whether there are no plugins, and batches come out as they go in.
    pub fn is_empty(&self) -> bool {
        self.bound.steps.is_empty()
    }

    /// What each step has used since the last time, with its plugin's name.
    pub fn take_used(&mut self) -> impl Iterator<Item = (&str, Usage)> {
        let used = self.used.iter_mut().map(std::mem::take);
        let names = self.bound.steps.iter().map(|step| step.plugin.name());
        names.zip(used)
    }

    /// Sends a batch with the columns of [`super::Chain::input`] through the chain. `chunk` names it in errors; with the batch's number in it,
    /// plugins' random numbers follow from it.
    ///
    /// After an error the batch is lost and nothing else is: the next call works on fresh instances.
    pub fn apply(
        &mut self,
        batch: RecordBatch,
        chunk: &dyn Display,
    ) -> Result<Applied, TransformError> {
        check_batch(&self.bound, &batch, chunk)?;
        let chunk = chunk.to_string();
        if self.chunk.0 != chunk {
            self.chunk = (chunk, 0);
        }
        let before = batch.num_rows();
        let mut rows = Rows {
            count: before,
            columns: batch.columns().to_vec(),
            masks: Vec::new(),
            rejected: Vec::new(),
            given: vec![None; self.bound.steps.len()],
        };
        drop(batch);
        for number in 0..self.bound.steps.len() {
            rows = self.apply_step(number, rows)?;
        }
        self.chunk.1 += 1;
        rows.rejected.sort_by_key(|rejection| rejection.row);
        let options = RecordBatchOptions::new().with_row_count(Some(rows.count));
        let schema = self.bound.output.clone();
        let batch = RecordBatch::try_new_with_options(schema, rows.columns, &options)
            .map_err(|cause| mismatch(&self.bound, &self.chunk.0, cause.to_string()))?;
        Ok(Applied {
            batch,
            filtered_rows: (before - rows.count - rows.rejected.len()) as u64,
            rejected: rows.rejected,
            given: rows.given,
            masks: rows.masks,
        })
    }

    fn apply_step(&mut self, number: usize, mut rows: Rows) -> Result<Rows, TransformError> {
        let mut call = Call {
            step: &self.bound.steps[number],
            plan: &self.bound.plan.steps[number],
            place: &mut self.instances[number],
            totals: &mut self.totals[number],
            used: &mut self.used[number],
            site: Site {
                chunk: Some(self.chunk.0.clone()),
                ..self.bound.steps[number].site.clone()
            },
            batch: self.chunk.1,
        };
        if rows.count == 0 {
            let computed = call.step.binding.computed.iter();
            let computed: Vec<ArrayRef> = computed
                .map(|field| new_empty_array(field.data_type()))
                .collect();
            return Ok(Rows {
                columns: arrange(call.plan, &rows.columns, &computed),
                ..rows
            });
        }
        let output = call.answer(&rows)?;
        if !output.rejected.is_empty() {
            let origins = origins(rows.count, &rows.masks);
            let named = output.rejected.iter().map(|(row, reason)| Rejected {
                row: origins[*row],
                given_row: *row,
                step: number,
                on_error: call.step.tolerance.on_error,
                plugin: call.site.plugin.clone(),
                reason: reason.clone(),
            });
            rows.rejected.extend(named);
            rows.given[number] = Some(call.given(&rows)?);
        }
        let columns = arrange(call.plan, &rows.columns, &output.columns);
        match mask(&output, rows.count) {
            None => Ok(Rows { columns, ..rows }),
            Some(mask) => {
                rows.columns = columns;
                keep(rows, mask).map_err(|cause| call.breach(cause))
            }
        }
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

/// One batch's call of one step.
struct Call<'a> {
    step: &'a BoundStep,
    plan: &'a StepPlan,
    /// The step's instance; empty after anything but an orderly answer.
    place: &'a mut Option<Instance>,
    totals: &'a mut StepTotals,
    used: &'a mut Usage,
    site: Site,
    /// The batch's number in its chunk.
    batch: u64,
}

impl Call<'_> {
    /// The plugin's answer for all rows, or for those that it can transform, where the pipe tolerates that there are others.
    fn answer(&mut self, rows: &Rows) -> Result<Output, TransformError> {
        let step = self.step;
        let tolerant = step.tolerance.is_tolerant();
        if tolerant {
            step.tally.begin(&step.tolerance, rows.count);
        }
        match self.once(&rows.columns, rows.count, true) {
            Err(failure) if tolerant && failure.of_rows => self.salvage(rows, &failure.error),
            answer => answer.map_err(|failure| failure.error),
        }
    }

    fn salvage(&mut self, rows: &Rows, failure: &TransformError) -> Result<Output, TransformError> {
        let limits = self.step.limits();
        let mut search = Search::begin(&limits);
        let parts = salvage(rows.count, failure, &mut |range, found| {
            search.go_on(&self.site)?;
            if let Some(reason) = found {
                self.tally(1, reason)?;
                return Ok(None);
            }
            let part = |column: &ArrayRef| column.slice(range.start, range.len());
            let columns: Vec<ArrayRef> = rows.columns.iter().map(part).collect();
            let output = self.once(&columns, range.len(), false)?;
            search.answered(&self.site, &output)?;
            Ok(Some(output))
        })?;
        let output = parts.join(&self.step.binding.computed, rows.count);
        output.map_err(|cause| self.breach(cause))
    }

    /// Counts rows that the plugin could not transform.
    fn tally(&mut self, rows: usize, reason: &str) -> Result<(), TransformError> {
        let step = self.step;
        self.totals.rejected += rows as u64;
        let counted = step.tally.reject(&step.tolerance, rows);
        counted.map_err(|passed| TransformError::TooManyRejected {
            site: Box::new(self.site.clone()),
            setting: passed.setting,
            bound: passed.bound,
            counted: passed.counted,
            reason: reason.to_owned(),
        })
    }

    /// Calls the plugin. `first`: not for a part of a batch that it has been given before.
    fn once(&mut self, columns: &[ArrayRef], count: usize, first: bool) -> Result<Output, Failure> {
        let step = self.step;
        step.check_cpu(&self.site)?;
        let lowered = self
            .plan
            .reads
            .iter()
            .map(|&column| LoweredColumn::new(&columns[column]))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|reason| self.breach(reason))?;
        let lent: Vec<_> = lowered.iter().map(LoweredColumn::lend).collect();
        let mut instance = match self.place.take() {
            Some(instance) if !instance.is_worn() => instance,
            _ => step.fresh_instance(&self.site)?,
        };
        instance.log_is_open(first);
        let answer = instance.process(&self.site, self.batch, count as u32, &lent);
        let orderly = matches!(&answer, Ok(_) | Err(TransformError::Refused { .. }));
        let usage = step.called(&mut instance, orderly);
        self.totals.cpu += usage.cpu;
        *self.used += usage;
        let output = match answer {
            Ok(untrusted) => untrusted
                .check(&step.binding.computed, step.binding.filters, count)
                .map_err(|reason| self.breach(reason))?,
            Err(error) => {
                if orderly {
                    *self.place = Some(instance);
                }
                return Err(Failure::of_call(error));
            }
        };
        *self.place = Some(instance);
        if step.tolerance.is_tolerant()
            && let Some((_, reason)) = output.rejected.first()
        {
            self.tally(output.rejected.len(), reason)?;
        }
        Ok(output)
    }

    /// The batch as the plugin was given it, with its names.
    fn given(&self, rows: &Rows) -> Result<Given, TransformError> {
        let columns = &self.plan.batch;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.count));
        let schema = self.step.fields_of(columns);
        let batch = RecordBatch::try_new_with_options(schema, rows.columns.clone(), &options);
        Ok(Given {
            batch: batch.map_err(|cause| self.breach(cause))?,
            key: self.step.key_among(columns),
        })
    }

    fn breach(&self, reason: impl Display) -> TransformError {
        TransformError::Breach {
            site: Box::new(self.site.clone()),
            reason: reason.to_string(),
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
fn keep(mut rows: Rows, mask: BooleanBuffer) -> Result<Rows, ArrowError> {
    rows.count = mask.count_set_bits();
    let predicate = FilterBuilder::new(&BooleanArray::new(mask.clone(), None))
        .optimize()
        .build();
    rows.columns = rows
        .columns
        .iter()
        .map(|column| predicate.filter(column))
        .collect::<Result<_, _>>()?;
    rows.masks.push(mask);
    Ok(rows)
}
