//! How fast a plugin is: its rows again and again through the real host, beside the pass-through plugin on the same rows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::take;
use serde::Serialize;

use super::error::Error;
use super::project::Case;
use super::trial::{BATCH_ROWS, Trial};
use crate::transform::{Plugin, Runtime, TransformError, Usage};

/// Batches before the clock starts: an instance's first ones are slower.
const WARM_UP: usize = 3;

/// A benchmark's result.
#[derive(Clone, Debug, Serialize)]
pub struct BenchReport {
    /// The rows of each batch.
    pub batch_rows: usize,
    /// The plugin.
    pub plugin: Measured,
    /// The pass-through plugin on the same rows, where it is installed.
    pub passthrough: Option<Measured>,
}

/// What was measured of a plugin.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// Its name.
    pub name: String,
    /// Batches that were measured.
    pub batches: u64,
    /// Rows that went in.
    pub rows: u64,
    /// Bytes of the columns that the plugin reads.
    pub bytes: u64,
    /// Time in all.
    pub seconds: f64,
    /// Time in calls of the plugin, with the way of the values in and out.
    pub seconds_inside: f64,
    /// The most memory that its instance had, in bytes.
    pub peak_memory_bytes: u64,
}

impl Measured {
    /// Rows a second.
    pub fn rows_per_second(&self) -> f64 {
        self.rows as f64 / self.seconds
    }

    /// Time for a row.
    pub fn seconds_per_row(&self) -> f64 {
        self.seconds / self.rows as f64
    }

    /// Bytes a second.
    pub fn bytes_per_second(&self) -> f64 {
        self.bytes as f64 / self.seconds
    }
}

/// Sends the rows of a test through the plugin for about this long, and through the pass-through plugin.
pub fn bench(
    runtime: &Runtime,
    plugin: &Arc<Plugin>,
    passthrough: Option<&Arc<Plugin>>,
    case: &Case,
    rows: &RecordBatch,
    duration: Duration,
) -> Result<BenchReport, Error> {
    if rows.num_rows() == 0 {
        return Err(Error::NoRows(
            "a benchmark needs rows, and there are none".to_owned(),
        ));
    }
    let batch = repeated(rows, BATCH_ROWS).map_err(|cause| Error::NoRows(cause.to_string()))?;
    let bare = Case {
        config: serde_json::json!({}),
        tables: Vec::new(),
        ..case.clone()
    };
    let passthrough = passthrough.map(|plugin| {
        let trial = Trial::bind(runtime, plugin, &bare, batch.clone())?;
        measure(plugin, &trial, duration)
    });
    let trial = Trial::bind(runtime, plugin, case, batch.clone())?;
    Ok(BenchReport {
        batch_rows: batch.num_rows(),
        plugin: measure(plugin, &trial, duration)?,
        passthrough: passthrough.transpose()?,
    })
}

/// So many rows, made of these over and over.
fn repeated(rows: &RecordBatch, count: usize) -> Result<RecordBatch, arrow::error::ArrowError> {
    let numbers: UInt32Array = (0..count).map(|i| (i % rows.num_rows()) as u32).collect();
    let columns = rows
        .columns()
        .iter()
        .map(|column| take(column, &numbers, None));
    let options = RecordBatchOptions::new().with_row_count(Some(count));
    RecordBatch::try_new_with_options(rows.schema(), columns.collect::<Result<_, _>>()?, &options)
}

fn measure(plugin: &Arc<Plugin>, trial: &Trial, duration: Duration) -> Result<Measured, Error> {
    let input = trial.input()?;
    let mut instance = trial.chain().instance();
    let mut apply =
        || -> Result<(), TransformError> { instance.apply(input.clone(), &"benchmark").map(drop) };
    // A slow plugin gets one batch to warm up.
    let started = Instant::now();
    for _ in 0..WARM_UP {
        apply()?;
        if started.elapsed() > duration {
            break;
        }
    }
    let before = used(trial);
    let (started, mut batches) = (Instant::now(), 0_u64);
    while batches == 0 || started.elapsed() < duration {
        apply()?;
        batches += 1;
    }
    let seconds = started.elapsed().as_secs_f64();
    let usage = used(trial);
    let read = trial.chain().describe();
    let read = read
        .first()
        .map(|step| step.reads.as_slice())
        .unwrap_or_default();
    let bytes: usize = read
        .iter()
        .filter_map(|name| trial.rows().column_by_name(name))
        .map(|column| column.to_data().get_slice_memory_size().unwrap_or_default())
        .sum();
    Ok(Measured {
        name: plugin.name().to_owned(),
        batches,
        rows: batches * input.num_rows() as u64,
        bytes: batches * bytes as u64,
        seconds,
        seconds_inside: (usage.wall - before.wall).as_secs_f64(),
        peak_memory_bytes: usage.peak_memory_bytes,
    })
}

/// What the chain's one step has used so far.
fn used(trial: &Trial) -> Usage {
    trial.chain().usage().first().copied().unwrap_or_default()
}
