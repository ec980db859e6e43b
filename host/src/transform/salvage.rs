//! A batch that a plugin failed at, where the pipe tolerates that: it is parted in halves until the rows at fault stand alone. What the
//! others come to is put together again, as if the plugin had answered for the batch and rejected these rows.

use std::ops::Range;

use arrow::array::{ArrayRef, BooleanBufferBuilder, new_null_array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::concat;
use arrow::datatypes::FieldRef;

use super::error::{Refusal, TransformError};
use super::lift::Output;

/// What became of a part of a batch.
enum Part {
    Answered(usize, Output),
    /// One row, and why.
    Condemned(String),
}

/// Has the plugin answer for some of the rows; with a reason, it is told instead that the row that the range is can't be transformed.
type Ask<'a> = dyn FnMut(Range<usize>, Option<&str>) -> Result<Option<Output>, TransformError> + 'a;

/// Finds the rows at fault. `failure` is the error of the whole batch.
///
/// # Errors
/// One of `ask` that isn't about rows.
pub(super) fn salvage(
    rows: usize,
    computed: &[FieldRef],
    failure: &TransformError,
    ask: &mut Ask<'_>,
) -> Result<Output, TransformError> {
    let mut parts = Vec::new();
    part(0..rows, failure, ask, &mut parts)?;
    Ok(join(computed, parts, rows))
}

fn part(
    rows: Range<usize>,
    failure: &TransformError,
    ask: &mut Ask<'_>,
    parts: &mut Vec<Part>,
) -> Result<(), TransformError> {
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
            Err(failure) if is_of_rows(&failure) => part(half, &failure, ask, parts)?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether another batch may fare better: the error can be the rows'.
pub(super) fn is_of_rows(error: &TransformError) -> bool {
    use super::error::LimitKind::{Deadline, Growth, Memory, Output};
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

/// One answer out of all parts. Rows without one have nulls, whatever their column allows: they are taken out with the rejected rows.
fn join(computed: &[FieldRef], parts: Vec<Part>, rows: usize) -> Output {
    let mut columns: Vec<Vec<ArrayRef>> = vec![Vec::with_capacity(parts.len()); computed.len()];
    let (mut keep, mut rejected) = (BooleanBufferBuilder::new(rows), Vec::new());
    let mut row = 0;
    for part in parts {
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
    Output {
        columns: columns.iter().map(|parts| joined(parts)).collect(),
        keep: Some(keep.finish()).filter(|kept: &BooleanBuffer| kept.count_set_bits() < rows),
        rejected,
    }
}

fn joined(parts: &[ArrayRef]) -> ArrayRef {
    let parts: Vec<&dyn arrow::array::Array> = parts.iter().map(AsRef::as_ref).collect();
    // Parts of one type, of a batch whose sizes fit: nothing that `concat` could refuse.
    concat(&parts).expect("parts of one column")
}
