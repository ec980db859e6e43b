//! A plugin's test: its rows through the real host, held against the rows that are expected, and twice more to see that the answer is the rows' alone.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use serde::Serialize;

use super::diff::{self, DiffLine};
use super::error::Error;
use super::project::Case;
use super::trial::{BATCH_ROWS, Fate, RejectedRow, Trial};
use crate::rows;
use crate::transform::{Plugin, Runtime, TransformError};

/// Up to so many rows are sent through one by one; more, in batches of a seventh.
const ROWS_ALONE: usize = 500;

/// What a test came to.
#[derive(Debug)]
pub struct CaseReport {
    /// Its name.
    pub name: String,
    /// The rows that went in; none if they could not be transformed.
    pub trial: Option<Trial>,
    /// What became of them; none if they could not be transformed.
    pub fate: Option<Fate>,
    /// The verdict.
    pub verdict: Verdict,
}

/// A test's end.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// What came is what is expected.
    Passed,
    /// The expected rows were written.
    Updated(PathBuf),
    /// Nothing is expected: the rows are there to be looked at.
    Unchecked,
    /// Rows, or rejected rows, differ.
    Differs {
        /// The difference of the rows.
        rows: Vec<DiffLine>,
        /// The difference of the rejected rows.
        rejected: Vec<DiffLine>,
    },
    /// The same rows gave another answer.
    Unsteady(String),
    /// It could not be run, or ended with another error than the expected one.
    Failed(String),
}

impl Verdict {
    /// Whether the plugin does what is expected of it.
    pub fn is_good(&self) -> bool {
        matches!(self, Self::Passed | Self::Updated(_) | Self::Unchecked)
    }
}

/// Runs a test. `rows`: what to take instead of the test's own file; `update`: write down what comes as what is expected.
pub fn check(
    runtime: &Runtime,
    plugin: &Arc<Plugin>,
    case: &Case,
    rows: Option<RecordBatch>,
    update: bool,
) -> Result<CaseReport, Error> {
    let batch = match rows {
        Some(batch) => batch,
        None => rows::read(&case.rows, case.columns.as_ref())?,
    };
    let ran = Trial::bind(runtime, plugin, case, batch.clone())
        .and_then(|trial| Ok((trial.run(BATCH_ROWS)?, trial)));
    let report = |verdict, ran: Option<(Fate, Trial)>| {
        let (fate, trial) = ran.unzip();
        CaseReport {
            name: case.name.clone(),
            trial,
            fate,
            verdict,
        }
    };
    let (fate, trial) = match ran {
        Ok(ran) => ran,
        Err(Error::Transform(cause)) => return Ok(report(ended(case, &cause), None)),
        Err(error) => return Err(error),
    };
    if let Some(words) = &case.error {
        let verdict = Verdict::Failed(format!(
            "an error with `{words}` is expected, and there was none"
        ));
        return Ok(report(verdict, Some((fate, trial))));
    }
    let verdict = match unsteady(runtime, plugin, case, &trial, &fate)? {
        Some(words) => Verdict::Unsteady(words),
        None => judge(case, &fate, update)?,
    };
    Ok(report(verdict, Some((fate, trial))))
}

/// The verdict over a plugin's error.
fn ended(case: &Case, cause: &TransformError) -> Verdict {
    let words = cause.to_string();
    match &case.error {
        Some(expected) if words.contains(expected) => Verdict::Passed,
        Some(expected) => {
            Verdict::Failed(format!("{words}\nexpected is an error with `{expected}`"))
        }
        None => Verdict::Failed(words),
    }
}

fn judge(case: &Case, fate: &Fate, update: bool) -> Result<Verdict, Error> {
    let Some(file) = &case.expected else {
        return Ok(Verdict::Unchecked);
    };
    let beside = rejected_file(file);
    let found = fields_and_rows(file, &fate.rows);
    let found_rejected: Vec<String> = fate.rejected.iter().map(rejected_line).collect();
    let expected = expected_rows(file, fate.rows.schema_ref(), update)?;
    let expected_rejected = expected_rejected(&beside)?;
    if expected.as_ref() == Some(&found) && expected_rejected == found_rejected {
        return Ok(Verdict::Passed);
    }
    if update {
        write_expected(file, &beside, fate, &found_rejected)?;
        return Ok(Verdict::Updated(file.clone()));
    }
    Ok(Verdict::Differs {
        rows: diff::rows(&expected.unwrap_or_default(), &found),
        rejected: diff::rows(&expected_rejected, &found_rejected),
    })
}

/// The file of the rejected rows that are expected: beside the one of the rows.
pub(super) fn rejected_file(expected: &Path) -> PathBuf {
    expected.with_extension("rejected.jsonl")
}

fn rejected_line(rejected: &RejectedRow) -> String {
    let reason = serde_json::Value::from(rejected.reason.as_str());
    format!("{{\"row\": {}, \"reason\": {reason}}}", rejected.row)
}

/// Rows to compare. A file that has types of its own is compared by them, too.
fn fields_and_rows(file: &Path, batch: &RecordBatch) -> Vec<String> {
    let mut lines = Vec::new();
    if rows::has_types(file) {
        let fields = batch.schema_ref().fields().iter();
        lines.extend(fields.map(|field| rows::field_text(field)));
    }
    lines.extend(rows::lines(batch));
    lines
}

/// The rows that are expected, written as the host would write them; none if there is no file yet and one will be written.
fn expected_rows(
    file: &Path,
    output: &SchemaRef,
    update: bool,
) -> Result<Option<Vec<String>>, Error> {
    if !file.exists() {
        return match update {
            true => Ok(None),
            false => Err(Error::NoRows(format!(
                "`{}` is not there, which has the rows that are expected: `tidemill plugin test --update` writes what comes out",
                file.display()
            ))),
        };
    }
    if rows::has_types(file) {
        return Ok(Some(fields_and_rows(file, &rows::read(file, None)?)));
    }
    // Rows that don't have the output's columns differ, and are shown as they stand there.
    match rows::read(file, Some(output)) {
        Ok(batch) => Ok(Some(rows::lines(&batch))),
        Err(_) if update => Ok(None),
        Err(wrong) => match rows::read(file, None) {
            Ok(batch) => Ok(Some(rows::lines(&batch))),
            Err(_) => Err(wrong.into()),
        },
    }
}

fn expected_rejected(file: &Path) -> Result<Vec<String>, Error> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => {
            return Err(Error::File {
                path: file.to_owned(),
                source,
            });
        }
    };
    #[derive(serde::Deserialize)]
    struct Line {
        row: usize,
        reason: String,
    }
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty());
    let lines = lines.map(|(i, line)| match serde_json::from_str::<Line>(line) {
        Ok(Line { row, reason }) => Ok(rejected_line(&RejectedRow { row, reason })),
        Err(cause) => Err(Error::Rows(rows::RowsError {
            path: file.to_owned(),
            line: Some(i + 1),
            reason: format!("expected {{\"row\": number, \"reason\": text}}: {cause}"),
        })),
    });
    lines.collect()
}

fn write_expected(
    file: &Path,
    beside: &Path,
    fate: &Fate,
    rejected: &[String],
) -> Result<(), Error> {
    rows::write(file, &fate.rows)?;
    let written = if rejected.is_empty() {
        match std::fs::remove_file(beside) {
            Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    } else {
        std::fs::write(beside, rejected.join("\n") + "\n")
    };
    written.map_err(|source| Error::File {
        path: beside.to_owned(),
        source,
    })
}

/// Whether the answer depends on anything but the rows: they go through a fresh instance again, and cut into other batches. What is different, in words.
fn unsteady(
    runtime: &Runtime,
    plugin: &Arc<Plugin>,
    case: &Case,
    trial: &Trial,
    fate: &Fate,
) -> Result<Option<String>, Error> {
    let rows = trial.rows().num_rows();
    let cut = if rows <= ROWS_ALONE { 1 } else { rows / 7 + 1 };
    let again = Trial::bind(runtime, plugin, case, trial.rows().clone())?;
    for (cut, how) in [(BATCH_ROWS, "a second time"), (cut, "in other batches")] {
        let other = match again.run(cut) {
            Ok(other) => other,
            Err(cause) => {
                return Ok(Some(format!(
                    "the same rows, sent {how}, end with an error: {cause}"
                )));
            }
        };
        if let Some(row) = first_difference(fate, &other) {
            return Ok(Some(format!(
                "the same rows, sent {how}, give another answer, first at row {}: a plugin must not remember earlier rows, nor use a clock or random numbers",
                row + 1
            )));
        }
    }
    Ok(None)
}

/// The first row whose fate differs.
fn first_difference(one: &Fate, other: &Fate) -> Option<usize> {
    let fates = |fate: &Fate| -> Vec<(usize, String)> {
        let lines = rows::lines(&fate.rows);
        let mut fates: Vec<_> = fate.origins.iter().copied().zip(lines).collect();
        let rejected = fate.rejected.iter();
        fates.extend(rejected.map(|rejected| (rejected.row - 1, rejected.reason.clone())));
        fates.extend(fate.filtered.iter().map(|&row| (row, String::new())));
        fates.sort();
        fates
    };
    let (one, other) = (fates(one), fates(other));
    let differs = one.iter().zip(&other).find(|(one, other)| one != other);
    differs.map(|(one, _)| one.0)
}
