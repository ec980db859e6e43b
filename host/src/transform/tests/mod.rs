//! The whole way through the real engine, with guests made by hand ([`super::scripted`]).

mod boundary;
mod calls;
mod determinism;
mod floats;
mod generated;
mod hostile;
mod interfaces;
mod leaks;
mod lies;
mod limits;
mod load;
mod refused;
mod tolerance;
mod types;
mod wasi;

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, AsArray, Int8Array, PrimitiveArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, TimeUnit};
use serde_json::json;

use super::contract::{RawColumn, RawOutput, RawRejection};
use super::scripted::{Answer, Out, Script};
use super::*;

fn runtime() -> Runtime {
    // One for all tests: the pool's address space is reserved once.
    static RUNTIME: std::sync::LazyLock<Runtime> =
        std::sync::LazyLock::new(|| Runtime::new(RuntimeSettings::default()).unwrap());
    RUNTIME.clone()
}

fn load(script: &Script) -> Result<Arc<Plugin>, TransformError> {
    let dir = tempfile::tempdir().unwrap();
    runtime().load(&script.write(&dir))
}

fn step(script: &Script) -> Step {
    Step {
        limits: Limits {
            batch_deadline: Duration::from_secs(5),
            ..Limits::default()
        },
        ..Step::new(load(script).unwrap(), json!({}))
    }
}

/// `id` (the key), `a` and `b`, all of them `Int64`.
fn numbers() -> TableShape {
    let fields = ["id", "a", "b"].map(|name| Field::new(name, DataType::Int64, name != "id"));
    TableShape {
        database: "shop".into(),
        name: "numbers".into(),
        schema: Arc::new(Schema::new(fields.to_vec())),
        key: vec![0],
    }
}

fn rows(count: i64) -> RecordBatch {
    let column = |factor: i64| {
        Arc::new(
            (0..count)
                .map(|row| row * factor)
                .collect::<PrimitiveArray<Int64Type>>(),
        ) as ArrayRef
    };
    RecordBatch::try_new(numbers().schema, vec![column(1), column(10), column(100)]).unwrap()
}

fn computed(name: &str, data_type: u8) -> Out {
    Out::Computed(name.into(), data_type, Vec::new(), false)
}

/// Passes the table on, computes the `Int8` column `n`, and answers for batches of three rows.
fn answering(output: RawOutput) -> Script {
    Script {
        reads: vec![1],
        output: vec![Out::Pass(0, None), Out::Pass(1, None), computed("n", 1)],
        filters: true,
        process: Answer::Output(output),
        ..Script::default()
    }
}

fn three() -> RawOutput {
    RawOutput {
        columns: vec![RawColumn {
            data: vec![1, 2, 3],
            ..RawColumn::default()
        }],
        ..RawOutput::default()
    }
}

fn apply(script: &Script, limits: Limits) -> Result<Applied, TransformError> {
    let chain = Chain::bind(
        &runtime(),
        &numbers(),
        &[Step {
            limits,
            ..step(script)
        }],
    )?;
    let batch = rows(3).project(chain.input_columns()).unwrap();
    chain.instance().apply(batch, &"7")
}

#[test]
fn no_steps_are_the_identity() {
    let chain = Chain::bind(&runtime(), &numbers(), &[]).unwrap();
    assert_eq!(
        (chain.input(), chain.output(), chain.output_key()),
        (&numbers().schema, &numbers().schema, &[0][..])
    );
    let applied = chain.instance().apply(rows(5), &"1").unwrap();
    assert_eq!(
        (applied.batch, applied.filtered_rows, applied.rejected),
        (rows(5), 0, vec![])
    );
}

#[test]
fn only_what_is_needed_goes_in_and_rows_are_taken_out_everywhere() {
    let output = RawOutput {
        keep: Some(vec![0b101]),
        ..three()
    };
    let chain = Chain::bind(&runtime(), &numbers(), &[step(&answering(output))]).unwrap();
    assert_eq!(chain.input_columns(), [0, 1]);
    assert!(chain.filters());
    let batch = rows(3).project(&[0, 1]).unwrap();
    let applied = chain.instance().apply(batch, &"7").unwrap();
    let column = |name: &str| applied.batch.column_by_name(name).unwrap().clone();
    assert_eq!(column("id").as_primitive::<Int64Type>().values(), &[0, 2]);
    assert_eq!(column("a").as_primitive::<Int64Type>().values(), &[0, 20]);
    assert_eq!(column("n").as_ref(), &Int8Array::from(vec![1, 3]));
    assert_eq!(applied.filtered_rows, 1);
    let described = &chain.describe()[0];
    assert_eq!(
        (described.reads.as_slice(), described.dropped.as_slice()),
        (&["a".to_owned()][..], &["b".to_owned()][..])
    );
}

#[test]
fn passed_columns_are_the_same_memory() {
    let chain = Chain::bind(&runtime(), &numbers(), &[step(&answering(three()))]).unwrap();
    let batch = rows(3).project(chain.input_columns()).unwrap();
    let applied = chain.instance().apply(batch.clone(), &"7").unwrap();
    assert!(Arc::ptr_eq(batch.column(0), applied.batch.column(0)));
}

#[test]
fn rejected_rows_are_named_by_their_number_in_the_first_batch() {
    let reject = |row, keep| RawOutput {
        keep,
        rejected: vec![RawRejection {
            row,
            reason: "no\nsuch thing".into(),
        }],
        ..RawOutput::default()
    };
    let all = || vec![Out::Pass(0, None), Out::Pass(1, None), Out::Pass(2, None)];
    let step_of = |name: &str, output| {
        step(&Script {
            name: name.into(),
            output: all(),
            filters: true,
            process: Answer::Output(output),
            ..Script::default()
        })
    };
    // Of rows 0 to 7 the first step keeps 1, 2, 4, 6 and 7 and rejects 6 of them; the second rejects the third that is left: row 4.
    let chain = Chain::bind(
        &runtime(),
        &numbers(),
        &[
            step_of("first", reject(6, Some(vec![0b1101_0110]))),
            step_of("second", reject(2, None)),
        ],
    )
    .unwrap();
    let applied = chain.instance().apply(rows(8), &"7").unwrap();
    assert_eq!(
        applied.batch.column(0).as_primitive::<Int64Type>().values(),
        &[1, 2, 7]
    );
    let named: Vec<_> = applied
        .rejected
        .iter()
        .map(|r| (r.row, r.plugin.as_str(), r.reason.as_str()))
        .collect();
    assert_eq!(
        named,
        [
            (4, "second", "no such thing"),
            (6, "first", "no such thing")
        ]
    );
    assert_eq!(applied.filtered_rows, 3);
}

#[test]
fn when_no_row_is_left_the_rest_of_the_chain_is_not_called() {
    let none = answering(RawOutput {
        keep: Some(vec![0]),
        ..three()
    });
    let trap = Script {
        name: "trap".into(),
        reads: vec![0],
        output: vec![Out::Pass(0, None), computed("m", 10)],
        process: Answer::Code("unreachable".into()),
        ..Script::default()
    };
    let chain = Chain::bind(&runtime(), &numbers(), &[step(&none), step(&trap)]).unwrap();
    let applied = chain
        .instance()
        .apply(rows(3).project(chain.input_columns()).unwrap(), &"7")
        .unwrap();
    assert_eq!(
        (
            applied.batch.num_rows(),
            applied.batch.schema(),
            applied.filtered_rows
        ),
        (0, chain.output().clone(), 3)
    );
}

#[test]
fn a_chain_s_fingerprint_pins_plugins_configurations_and_order() {
    let plain = step(&Script::default());
    let other = step(&Script {
        name: "other".into(),
        ..Script::default()
    });
    let fingerprint = |steps: &[&Step]| {
        Chain::bind(
            &runtime(),
            &numbers(),
            &steps.iter().map(|s| (*s).clone()).collect::<Vec<_>>(),
        )
        .unwrap()
        .fingerprint()
    };
    let configured = Step {
        config: json!({"x": 1}),
        ..plain.clone()
    };
    let limited = Step {
        limits: Limits {
            log_lines: 7,
            ..Limits::default()
        },
        ..plain.clone()
    };
    assert_eq!(fingerprint(&[&plain]), fingerprint(&[&limited]));
    let all = [
        fingerprint(&[]),
        fingerprint(&[&plain]),
        fingerprint(&[&configured]),
        fingerprint(&[&plain, &other]),
        fingerprint(&[&other, &plain]),
    ];
    assert_eq!(
        all.iter().collect::<std::collections::HashSet<_>>().len(),
        all.len()
    );
}

#[test]
fn too_many_instances_at_one_time_are_an_error_that_passes() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = Runtime::new(RuntimeSettings {
        max_instances: 1,
        ..RuntimeSettings::default()
    })
    .unwrap();
    let plugin = runtime.load(&answering(three()).write(&dir)).unwrap();
    let chain = Chain::bind(&runtime, &numbers(), &[Step::new(plugin, json!({}))]).unwrap();
    let batch = || rows(3).project(chain.input_columns()).unwrap();
    let (mut one, mut two) = (chain.instance(), chain.instance());
    one.apply(batch(), &"1").unwrap();
    let error = two.apply(batch(), &"2").unwrap_err();
    assert!(
        matches!(
            error,
            TransformError::Limit {
                kind: LimitKind::Instances,
                ..
            }
        ) && error.is_transient(),
        "{error}"
    );
    drop(one);
    let mut three = chain.instance();
    three.apply(batch(), &"3").unwrap();
}

#[test]
fn workers_share_a_chain() {
    let chain = Chain::bind(&runtime(), &numbers(), &[step(&answering(three()))]).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut instance = chain.instance();
                for chunk in 0..50 {
                    let batch = rows(3).project(chain.input_columns()).unwrap();
                    assert_eq!(instance.apply(batch, &chunk).unwrap().batch.num_rows(), 3);
                }
            });
        }
    });
}
