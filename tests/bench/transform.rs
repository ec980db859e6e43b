//! What the sandbox costs: the shipped plugins beside the same code compiled into this program, on batches of TPC-H `lineitem`, in one run, alternating.
//!
//! ```text
//! tests/bench/run --transform [--rounds 15] [--only NAME]
//! ```
//! Both answers are compared, cell by cell, before the clock starts. A native step does what the host does around a plugin, too: columns that are
//! not touched pass by reference, and rows are taken out once. What only passes columns through would do nothing natively, so it copies them.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "a benchmark; the plugins' crates are modules of it, tests and all"
)]

#[path = "../../plugins/filter/src/lib.rs"]
mod filter;
#[path = "../../plugins/mask/src/lib.rs"]
mod mask;
#[path = "../../plugins/passthrough/src/lib.rs"]
mod passthrough;

#[path = "measure.rs"]
mod measure;
#[path = "../support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Int32Array, Int64Array, RecordBatch,
    StringArray,
};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Field, Schema};
use serde_json::{Value, json};
use tidemill::transform::{Chain, Limits, Runtime, RuntimeSettings, Step, TableShape};
use tidemill_sdk::{Batch, Column, ColumnData, Table, Transform};
use tpchgen::generators::LineItemGenerator;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const ROWS: usize = 65_536;
/// Batches of a measurement.
const BATCHES: usize = 20;

fn main() {
    let rounds: usize = measure::argument("--rounds").unwrap_or(15);
    let batch = lineitem();
    let bytes = batch.get_array_memory_size();
    println!(
        "lineitem, batches of {ROWS} rows, 16 columns, {:.1} MB; {rounds} rounds of {BATCHES} batches, medians; {}",
        bytes as f64 / 1e6,
        measure::machine()
    );
    let cache = tempfile::tempdir().unwrap();
    let runtime = runtime(cache.path(), true);
    let uninterrupted = self::runtime(cache.path(), false);
    println!(
        "\n| transform | native, ms a batch | plugin, ms a batch | ratio | million rows/s | ratio without epochs |"
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    // `--only` leaves transforms out: what is no transform's name leaves all out.
    let only: Option<String> = measure::argument("--only");
    let wanted = |name: &str| only.as_ref().is_none_or(|only| name.contains(only));
    for (name, steps) in transforms().into_iter().filter(|(name, _)| wanted(name)) {
        let measured = compare(&[&runtime, &uninterrupted], &steps, &batch, rounds);
        println!("| {name} | {measured} |");
    }
    println!();
    load(cache.path(), rounds);
    instantiate(&runtime, &batch, rounds);
}

/// Plugins and their settings.
type Steps = Vec<(&'static str, Value)>;

fn transforms() -> Vec<(&'static str, Steps)> {
    let filter = || ("filter", json!({ "where": "l_quantity <= 40" }));
    let mask = |rule: Value| ("mask", json!({ "key": "benchmark", "columns": [rule] }));
    let redact = || mask(json!({ "column": "l_comment", "method": "redact", "text": "***" }));
    let reveal =
        || mask(json!({ "column": "l_comment", "method": "reveal", "first": 2, "last": 2 }));
    let hash = mask(json!({ "column": "l_partkey", "method": "hash", "length": 16 }));
    vec![
        (
            "`passthrough` (natively: a copy of all columns)",
            vec![("passthrough", json!({}))],
        ),
        ("`filter`", vec![filter()]),
        ("`mask`, redact", vec![redact()]),
        ("`mask`, reveal", vec![reveal()]),
        ("`mask`, hash (SHA-256)", vec![hash]),
        ("`filter` and `mask`, redact", vec![filter(), redact()]),
        ("`filter` and `mask`, reveal", vec![filter(), reveal()]),
    ]
}

fn runtime(cache: &Path, interruption: bool) -> Runtime {
    Runtime::new(RuntimeSettings {
        cache_dir: Some(cache.to_owned()),
        interruption,
        ..RuntimeSettings::default()
    })
    .unwrap()
}

fn plugin_file(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    root.join("target/plugins").join(format!("{name}.wasm"))
}

fn bound(runtime: &Runtime, steps: &Steps, batch: &RecordBatch, limits: &Limits) -> Chain {
    let shape = TableShape {
        database: "tpch".to_owned(),
        name: "lineitem".to_owned(),
        schema: batch.schema(),
        key: vec![0, 3],
    };
    let steps: Vec<Step> = steps
        .iter()
        .map(|(name, config)| Step {
            limits: limits.clone(),
            ..Step::new(runtime.load(&plugin_file(name)).unwrap(), config.clone())
        })
        .collect();
    Chain::bind(runtime, &shape, &steps).unwrap()
}

/// A line of the table: native, through plugins, the ratios.
fn compare(runtimes: &[&Runtime; 2], steps: &Steps, batch: &RecordBatch, rounds: usize) -> String {
    let chains = runtimes.map(|runtime| bound(runtime, steps, batch, &Limits::default()));
    let [mut with_epochs, mut without] = chains.each_ref().map(Chain::instance);
    let mut native = Native::bind(steps, batch);
    let expected = native.apply(batch.clone());
    for instance in [&mut with_epochs, &mut without] {
        let answer = instance.apply(batch.clone(), &"validation").unwrap();
        assert_eq!(answer.batch, expected, "{steps:?}");
    }
    let (mut natives, mut plugins, mut ratios, mut freed) = (vec![], vec![], vec![], vec![]);
    for _ in 0..rounds {
        let native = timed(|| drop(native.apply(batch.clone())));
        let plugin = timed(|| drop(with_epochs.apply(batch.clone(), &"chunk").unwrap()));
        let free = timed(|| drop(without.apply(batch.clone(), &"chunk").unwrap()));
        natives.push(native);
        plugins.push(plugin);
        ratios.push(plugin / native);
        freed.push(free / native);
    }
    let plugin = median(&mut plugins);
    format!(
        "{:.2} | {:.2} | {:.2} | {:.1} | {:.2}",
        median(&mut natives) * 1e3,
        plugin * 1e3,
        median(&mut ratios),
        ROWS as f64 / plugin / 1e6,
        median(&mut freed)
    )
}

/// Seconds of a batch.
fn timed(mut work: impl FnMut()) -> f64 {
    let began = Instant::now();
    (0..BATCHES).for_each(|_| work());
    began.elapsed().as_secs_f64() / BATCHES as f64
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The same code in this program.
struct Native {
    steps: Vec<Box<dyn FnMut(RecordBatch) -> RecordBatch>>,
}

impl Native {
    fn bind(steps: &Steps, batch: &RecordBatch) -> Self {
        let mut schema = batch.schema();
        let steps = steps.iter().map(|(name, config)| {
            let (step, output) = match *name {
                "filter" => native::<filter::Filter>(&schema, config),
                "mask" => native::<mask::Mask>(&schema, config),
                _ => native::<passthrough::PassThrough>(&schema, &json!({ "copy": true })),
            };
            schema = output;
            step
        });
        Self {
            steps: steps.collect(),
        }
    }

    fn apply(&mut self, batch: RecordBatch) -> RecordBatch {
        self.steps.iter_mut().fold(batch, |batch, step| step(batch))
    }
}

type NativeStep = Box<dyn FnMut(RecordBatch) -> RecordBatch>;

fn native<T: Transform>(schema: &Arc<Schema>, config: &Value) -> (NativeStep, Arc<Schema>) {
    let table = Table {
        database: "tpch".to_owned(),
        name: "lineitem".to_owned(),
        fields: schema.fields().iter().cloned().collect(),
        key: vec![0, 3],
    };
    let config = serde_json::from_value(config.clone()).unwrap();
    let (mut transform, binding) = T::bind(&table, config).unwrap();
    let fields = binding.output.iter().map(|column| match column {
        Column::Pass(position, _) => table.fields[*position].clone(),
        Column::Computed(field) => Arc::new(field.clone()),
    });
    let output = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let schema = output.clone();
    let step = move |batch: RecordBatch| {
        let columns = binding.reads.iter();
        let given = Batch {
            rows: batch.num_rows(),
            columns: columns
                .map(|&read| ColumnData::from(batch.column(read).clone()))
                .collect(),
        };
        let answer = transform.process(&given).unwrap();
        let mut computed = answer.columns.iter();
        let columns = binding.output.iter().map(|column| match column {
            Column::Pass(position, _) => batch.column(*position).clone(),
            Column::Computed(_) => computed.next().unwrap().array(),
        });
        let whole = RecordBatch::try_new(schema.clone(), columns.collect()).unwrap();
        match answer.keep {
            Some(keep) => filter_record_batch(&whole, &BooleanArray::new(keep, None)).unwrap(),
            None => whole,
        }
    };
    (Box::new(step), output)
}

/// Loading a plugin whose compiled code is in the cache: read, compared with its digest, mapped, asked to describe itself.
fn load(cache: &Path, rounds: usize) {
    for name in ["passthrough", "mask", "regex"] {
        let file = plugin_file(name);
        let bytes = std::fs::read(&file).unwrap();
        let runtime = runtime(cache, true);
        drop(runtime.load(&file).unwrap());
        let mut times: Vec<f64> = (0..rounds * BATCHES)
            .map(|_| {
                let began = Instant::now();
                let plugin = runtime.load_bytes(&file, &bytes).unwrap();
                let took = began.elapsed();
                drop(plugin);
                took.as_secs_f64()
            })
            .collect();
        println!(
            "`{name}` ({} kB) loads from the cache in {:.2} ms",
            bytes.len() / 1000,
            median(&mut times) * 1e3
        );
    }
}

/// What a new instance costs: a row through one that is replaced each time, less a row through one that stays.
fn instantiate(runtime: &Runtime, batch: &RecordBatch, rounds: usize) {
    let row = batch.slice(0, 1);
    for (name, config) in [
        ("passthrough", json!({})),
        (
            "mask",
            json!({ "columns": [{ "column": "l_comment", "method": "redact", "text": "" }] }),
        ),
    ] {
        let steps = vec![(name, config)];
        let mut medians = [1, u32::MAX].map(|batches| {
            let limits = Limits {
                batches,
                ..Limits::default()
            };
            let chain = bound(runtime, &steps, batch, &limits);
            let mut instance = chain.instance();
            let mut times: Vec<f64> = (0..rounds)
                .map(|_| timed(|| drop(instance.apply(row.clone(), &"chunk").unwrap())))
                .collect();
            Duration::from_secs_f64(median(&mut times))
        });
        medians.sort();
        let [stays, replaced] = medians;
        let plugin = runtime.load(&plugin_file(name)).unwrap();
        let mut bare: Vec<f64> = (0..rounds)
            .map(|_| timed(|| plugin.instantiate().unwrap()))
            .collect();
        println!(
            "an instance of `{name}` is made and taken down in {:.1} µs; one takes the place of another, bound to the 16 columns, in {:.1} µs",
            median(&mut bare) * 1e6,
            (replaced - stays).as_secs_f64() * 1e6
        );
    }
}

/// The table's first rows.
fn lineitem() -> RecordBatch {
    let generator = LineItemGenerator::new(1.0, 1, 1);
    let rows: Vec<_> = generator.iter().take(ROWS).collect();
    macro_rules! column {
        ($array:ident, $row:ident => $value:expr) => {
            Arc::new($array::from_iter_values(rows.iter().map(|$row| $value))) as ArrayRef
        };
    }
    let decimal = |values: Vec<i64>| {
        let values = Decimal128Array::from_iter_values(values.into_iter().map(i128::from));
        Arc::new(values.with_precision_and_scale(15, 2).unwrap()) as ArrayRef
    };
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("l_orderkey", column!(Int64Array, row => row.l_orderkey)),
        ("l_partkey", column!(Int64Array, row => row.l_partkey)),
        ("l_suppkey", column!(Int64Array, row => row.l_suppkey)),
        ("l_linenumber", column!(Int32Array, row => row.l_linenumber)),
        (
            "l_quantity",
            decimal(rows.iter().map(|row| row.l_quantity * 100).collect()),
        ),
        (
            "l_extendedprice",
            decimal(rows.iter().map(|row| row.l_extendedprice.0).collect()),
        ),
        (
            "l_discount",
            decimal(rows.iter().map(|row| row.l_discount.0).collect()),
        ),
        (
            "l_tax",
            decimal(rows.iter().map(|row| row.l_tax.0).collect()),
        ),
        (
            "l_returnflag",
            column!(StringArray, row => row.l_returnflag),
        ),
        (
            "l_linestatus",
            column!(StringArray, row => row.l_linestatus),
        ),
        (
            "l_shipdate",
            column!(Date32Array, row => row.l_shipdate.to_unix_epoch()),
        ),
        (
            "l_commitdate",
            column!(Date32Array, row => row.l_commitdate.to_unix_epoch()),
        ),
        (
            "l_receiptdate",
            column!(Date32Array, row => row.l_receiptdate.to_unix_epoch()),
        ),
        (
            "l_shipinstruct",
            column!(StringArray, row => row.l_shipinstruct),
        ),
        ("l_shipmode", column!(StringArray, row => row.l_shipmode)),
        ("l_comment", column!(StringArray, row => row.l_comment)),
    ];
    let fields: Vec<Field> = columns
        .iter()
        // The comment may be NULL, so that what redacts it has to read it.
        .map(|(name, column)| Field::new(*name, column.data_type().clone(), *name == "l_comment"))
        .collect();
    let columns = columns.into_iter().map(|(_, column)| column).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}
