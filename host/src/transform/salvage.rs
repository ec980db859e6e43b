//! A batch that a plugin failed at, where the pipe tolerates that: it is parted in halves until the rows at fault stand alone. What the
//! others come to is put together again, as if the plugin had answered for the batch and rejected these rows.

use std::ops::Range;
use std::time::Instant;

use arrow::array::{Array, ArrayRef, BooleanBufferBuilder, new_null_array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::concat;
use arrow::datatypes::FieldRef;
use arrow::error::ArrowError;

use super::error::{LimitKind, Refusal, Site, TransformError};
use super::lift::Output;
use super::limits::Limits;

/// Time for a search, in deadlines of a call: to find one row among 65,536 that is cut at its deadline takes 17.
const DEADLINES: u32 = 32;

/// What became of a part of a batch.
enum Part {
    Answered(usize, Output),
    /// One row, and why.
    Condemned(String),
}

/// Why there is no answer.
pub(super) struct Failure {
    pub(super) error: TransformError,
    /// Whether other rows may fare better.
    pub(super) of_rows: bool,
}

impl Failure {
    /// The plugin failed at its rows, if it is an error that can come of that.
    pub(super) fn of_call(error: TransformError) -> Self {
        let of_rows = is_of_rows(&error);
        Self { error, of_rows }
    }
}

/// Whatever the rows are.
impl From<TransformError> for Failure {
    fn from(error: TransformError) -> Self {
        let of_rows = false;
        Self { error, of_rows }
    }
}

/// Has the plugin answer for some of the rows; with a reason, it is told instead that the row that the range is can't be transformed.
type Ask<'a> = dyn FnMut(Range<usize>, Option<&str>) -> Result<Option<Output>, Failure> + 'a;

/// A batch in parts.
pub(super) struct Parts(Vec<Part>);

/// Finds the rows at fault. `failure` is the error of the whole batch.
///
/// # Errors
/// One of `ask` that isn't about rows.
pub(super) fn salvage(
    rows: usize,
    failure: &TransformError,
    ask: &mut Ask<'_>,
) -> Result<Parts, TransformError> {
    let mut parts = Vec::new();
    part(0..rows, failure, ask, &mut parts).map_err(|failure| failure.error)?;
    Ok(Parts(parts))
}

fn part(
    rows: Range<usize>,
    failure: &TransformError,
    ask: &mut Ask<'_>,
    parts: &mut Vec<Part>,
) -> Result<(), Failure> {
    if rows.len() == 1 {
        let reason = reason(failure);
        ask(rows, Some(&reason))?;
        parts.push(Part::Condemned(reason));
        return Ok(());
    }
    let middle = rows.start + rows.len() / 2;
    for half in [rows.start..middle, middle..rows.end] {
        let count = half.len();
        match ask(half.clone(), None) {
            Ok(output) => parts.extend(output.map(|output| Part::Answered(count, output))),
            Err(failure) if failure.of_rows => part(half, &failure.error, ask, parts)?,
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}

/// Whether another batch may fare better: the error can be the rows'.
fn is_of_rows(error: &TransformError) -> bool {
    use LimitKind::{Deadline, Growth, Memory, Output};
    match error {
        TransformError::Refused { refusal, .. } => *refusal == Refusal::Data,
        TransformError::Trapped { .. } => true,
        TransformError::Limit { kind, .. } => {
            matches!(kind, Deadline | Memory | Output | Growth)
        }
        _ => false,
    }
}

/// Why a row is rejected.
fn reason(failure: &TransformError) -> String {
    match failure {
        TransformError::Refused { reason, .. } => reason.clone(),
        TransformError::Trapped { reason, .. } => format!("it crashed: {reason}"),
        TransformError::Limit {
            kind, limit, asked, ..
        } => format!("it ran into its {kind} limit of {limit}: {asked}"),
        other => other.to_string(),
    }
}

/// What a search for rows at fault may take, all its calls together.
pub(super) struct Search<'l> {
    limits: &'l Limits,
    /// None: the clock has no such time.
    until: Option<Instant>,
    answered_bytes: usize,
}

impl<'l> Search<'l> {
    pub(super) fn begin(limits: &'l Limits) -> Self {
        let time = limits.batch_deadline.saturating_mul(DEADLINES);
        Self {
            limits,
            until: Instant::now().checked_add(time),
            answered_bytes: 0,
        }
    }

    /// Whether there is time for another call.
    pub(super) fn go_on(&self, site: &Site) -> Result<(), TransformError> {
        match self.until.is_none_or(|until| Instant::now() < until) {
            true => Ok(()),
            false => Err(TransformError::Limit {
                site: Box::new(site.clone()),
                kind: LimitKind::Deadline,
                limit: format!("{:?}", self.limits.batch_deadline),
                asked: format!(
                    "the search for the rows that it fails at took {DEADLINES} times that"
                ),
            }),
        }
    }

    /// Counts an answer: all of them together are one.
    pub(super) fn answered(&mut self, site: &Site, output: &Output) -> Result<(), TransformError> {
        let bytes = output
            .columns
            .iter()
            .map(|column| column.get_buffer_memory_size());
        self.answered_bytes += bytes.sum::<usize>();
        match self.answered_bytes as u64 <= self.limits.output_bytes {
            true => Ok(()),
            false => Err(TransformError::Limit {
                site: Box::new(site.clone()),
                kind: LimitKind::Output,
                limit: self.limits.output_text(),
                asked: "for the rows of a batch that it doesn't fail at it returned more"
                    .to_owned(),
            }),
        }
    }
}

impl Parts {
    /// One answer out of all parts. Rows without one have nulls, whatever their column allows: they are taken out with the rejected rows.
    pub(super) fn join(self, computed: &[FieldRef], rows: usize) -> Result<Output, ArrowError> {
        let mut columns: Vec<Vec<ArrayRef>> =
            vec![Vec::with_capacity(self.0.len()); computed.len()];
        let (mut keep, mut rejected) = (BooleanBufferBuilder::new(rows), Vec::new());
        let mut row = 0;
        for part in self.0 {
            match part {
                Part::Condemned(reason) => {
                    for (field, column) in computed.iter().zip(&mut columns) {
                        column.push(new_null_array(field.data_type(), 1));
                    }
                    keep.append(false);
                    rejected.push((row, reason));
                    row += 1;
                }
                Part::Answered(count, output) => {
                    for (answered, column) in output.columns.into_iter().zip(&mut columns) {
                        column.push(answered);
                    }
                    match output.keep {
                        Some(kept) => keep.append_buffer(&kept),
                        None => keep.append_n(count, true),
                    }
                    rejected.extend(output.rejected.into_iter().map(|(r, why)| (row + r, why)));
                    row += count;
                }
            }
        }
        let columns = columns.iter().map(|parts| joined(parts));
        Ok(Output {
            columns: columns.collect::<Result<_, _>>()?,
            keep: Some(keep.finish()).filter(|kept: &BooleanBuffer| kept.count_set_bits() < rows),
            rejected,
        })
    }
}

fn joined(parts: &[ArrayRef]) -> Result<ArrayRef, ArrowError> {
    let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
    concat(&parts)
}
