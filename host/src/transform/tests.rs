//! The whole way through the real engine, with guests made by hand ([`super::scripted`]): what goes in comes out, and whatever a guest does
//! ends in an error that names it, after which the next batch finds a working instance.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::*;
use arrow::datatypes::{DataType, Field, Float32Type, Int64Type, Schema, TimeUnit, i256};
use proptest::prelude::*;
use serde_json::json;

use super::contract::{RawColumn, RawOutput, RawRejection};
use super::scripted::{Answer, Out, Script, contract_text, encode};
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
        plugin: load(script).unwrap(),
        config: json!({}),
        limits: Limits {
            batch_deadline: Duration::from_secs(5),
            ..Limits::default()
        },
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
fn broken_answers_are_errors_that_name_plugin_table_and_chunk() {
    let column = |raw: RawColumn| RawOutput {
        columns: vec![raw],
        ..RawOutput::default()
    };
    let cases = [
        (
            RawOutput::default(),
            "it returned 0 columns, and its binding declares 1 as computed",
        ),
        (
            column(RawColumn {
                data: vec![1, 2],
                ..RawColumn::default()
            }),
            "the column `n` has 2 bytes of data",
        ),
        (
            column(RawColumn {
                validity: Some(vec![0b011]),
                offsets: vec![],
                data: vec![1, 2, 3],
            }),
            "the column `n` has 1 nulls, and its binding declares it as never null",
        ),
        (
            column(RawColumn {
                offsets: vec![0; 16],
                data: vec![1, 2, 3],
                validity: None,
            }),
            "the column `n` has 16 bytes of offsets",
        ),
        (
            RawOutput {
                keep: Some(vec![1, 1]),
                ..three()
            },
            "the bitmap of rows to keep has 2 bytes, and 3 rows take 1",
        ),
        (
            RawOutput {
                rejected: vec![RawRejection {
                    row: 3,
                    reason: String::new(),
                }],
                ..three()
            },
            "it rejected row 3 of a batch of 3",
        ),
    ];
    for (output, reason) in cases {
        let error = apply(&answering(output), Limits::default()).unwrap_err();
        assert!(matches!(error, TransformError::Breach { .. }), "{error}");
        let text = error.to_string();
        assert!(
            text.starts_with(
                "plugin `scripted`, table `shop.numbers`, chunk 7: it broke the contract: "
            ) && text.contains(reason),
            "{text}"
        );
    }
}

#[test]
fn answers_that_are_no_answers_are_errors() {
    // A pointer beyond memory; a list that ends beyond it; a variant without such a case; text that is no UTF-8.
    let area = "(i32.store (i32.const 0) (i32.const 0))";
    let list = |at: i64, length: i64| {
        format!(
            "{area} (i32.store (i32.const 4) (i32.const {at})) (i32.store (i32.const 8) (i32.const {length})) (i32.const 0)"
        )
    };
    let refusal = "(i32.store (i32.const 0) (i32.const 1)) (i32.store (i32.const 4) (i32.const 2)) (i32.store (i32.const 8) (i32.const 64)) (i32.store (i32.const 12) (i32.const 1)) (i32.store8 (i32.const 64) (i32.const 255)) (i32.const 0)";
    let codes = [
        "(i32.const -4)".to_owned(),
        "(i32.const 2)".to_owned(),
        list(-28, 1),
        list(0, 0x0fff_ffff),
        "(i32.store (i32.const 0) (i32.const 9)) (i32.const 0)".into(),
        refusal.into(),
    ];
    for code in codes {
        let script = Script {
            process: Answer::Code(code.clone()),
            ..answering(three())
        };
        let error = apply(&script, Limits::default()).unwrap_err();
        assert!(
            matches!(
                error,
                TransformError::Breach { .. } | TransformError::Limit { .. }
            ),
            "{code}: {error}"
        );
        assert_eq!(error.site().unwrap().chunk.as_deref(), Some("7"));
    }
}

#[test]
fn a_crash_is_told_in_the_guest_s_own_words() {
    let bytes: Vec<u32> = b"out of luck".iter().map(|byte| u32::from(*byte)).collect();
    let store = bytes
        .iter()
        .enumerate()
        .fold(String::new(), |text, (at, byte)| {
            text + &format!("(i32.store8 (i32.const {at}) (i32.const {byte}))")
        });
    let code = format!(
        "{store} (call $log (i32.const 3) (i32.const 0) (i32.const {})) unreachable",
        bytes.len()
    );
    let error = apply(
        &Script {
            process: Answer::Code(code),
            ..answering(three())
        },
        Limits::default(),
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "plugin `scripted`, table `shop.numbers`, chunk 7: it crashed: out of luck (wasm trap: wasm `unreachable` instruction executed)"
    );
    let division = Script {
        before: [
            String::new(),
            String::new(),
            "(call $reserve (i32.const 0)) (drop (i32.div_u (i32.const 1) (i32.const 0)))".into(),
        ],
        ..answering(three())
    };
    assert!(
        apply(&division, Limits::default())
            .unwrap_err()
            .to_string()
            .contains("divide by zero")
    );
}

#[test]
fn a_guest_that_never_returns_is_cut_at_its_deadline_in_every_call() {
    let forever = "(loop $forever (br $forever))".to_owned();
    let limits = Limits {
        batch_deadline: Duration::from_millis(100),
        ..Limits::default()
    };
    let process = Script {
        before: [String::new(), String::new(), forever.clone()],
        ..answering(three())
    };
    let started = Instant::now();
    let error = apply(&process, limits.clone()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "plugin `scripted`, table `shop.numbers`, chunk 7: it ran into its time limit of 100ms: the call was still running; the setting is `limits.deadline`"
    );
    assert!(started.elapsed() >= Duration::from_millis(100));
    let bind = Script {
        before: [String::new(), forever, String::new()],
        ..answering(three())
    };
    let error = apply(&bind, limits).unwrap_err();
    assert!(
        matches!(
            error,
            TransformError::Limit {
                kind: LimitKind::Deadline,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_guest_that_eats_memory_is_stopped_with_what_it_asked_for() {
    let eater = Script {
        before: [
            String::new(),
            String::new(),
            "(loop $more (drop (memory.grow (i32.const 16))) (br $more))".into(),
        ],
        ..answering(three())
    };
    let error = apply(
        &eater,
        Limits {
            memory_bytes: 2 << 20,
            ..Limits::default()
        },
    )
    .unwrap_err();
    let text = error.to_string();
    assert!(text.contains("it ran into its memory limit of 2.0 MiB: it asked for 2.1 MiB; the setting is `limits.memory`"), "{text}");
    // A guest that wants more from the start isn't even made.
    let error = apply(
        &answering(three()),
        Limits {
            memory_bytes: 65_536,
            ..Limits::default()
        },
    )
    .unwrap_err();
    assert!(
        matches!(
            error,
            TransformError::Limit {
                kind: LimitKind::Memory,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn an_answer_that_is_too_large_is_not_taken() {
    let limits = |output_bytes| Limits {
        output_bytes,
        ..Limits::default()
    };
    let error = apply(&answering(three()), limits(2)).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("its output limit of 2 B: it returned 3 B; the setting is `limits.output`"),
        "{error}"
    );
    // Sixteen lists of four MiB each, all of them the same memory: more than the engine may copy out.
    let column = "(i32.store (i32.add (local.get 0) (i32.const 20)) (i32.const 0)) (i32.store (i32.add (local.get 0) (i32.const 24)) (i32.const 4194304))";
    let code = format!(
        "(drop (memory.grow (i32.const 128))) (local.set 0 (i32.const 4194304)) (loop $next {column} (local.set 0 (i32.add (local.get 0) (i32.const 28))) (br_if $next (i32.lt_u (local.get 0) (i32.const 4194752))))
         (i32.store (i32.const 4) (i32.const 4194304)) (i32.store (i32.const 8) (i32.const 16)) (i32.const 0)"
    );
    let error = apply(
        &Script {
            process: Answer::Code(code),
            ..answering(three())
        },
        limits(1 << 20),
    )
    .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("its output limit of 1.0 MiB: it returned more"),
        "{error}"
    );
}

#[test]
fn log_lines_are_bounded_and_a_flood_ends() {
    let flood = "(loop $again (call $log (i32.const 1) (i32.const 0) (i32.const 4)) (local.set 0 (i32.add (local.get 0) (i32.const 1))) (br_if $again (i32.lt_u (local.get 0) (i32.const 100000))))";
    let script = Script {
        before: [String::new(), String::new(), flood.into()],
        ..answering(three())
    };
    assert_eq!(
        apply(
            &script,
            Limits {
                log_lines: 3,
                ..Limits::default()
            }
        )
        .unwrap()
        .batch
        .num_rows(),
        3
    );
}

#[test]
fn after_an_error_the_next_batch_finds_a_working_instance() {
    // It crashes on two rows, and its memory remembers: an instance that was used again would crash on three, too.
    let code = "(if (i32.eq (local.get 0) (i32.const 2)) (then (i32.store (i32.const 0) (i32.const 1)) unreachable)) (if (i32.load (i32.const 0)) (then unreachable))";
    let script = Script {
        before: [String::new(), String::new(), code.into()],
        ..answering(three())
    };
    let chain = Chain::bind(&runtime(), &numbers(), &[step(&script)]).unwrap();
    let mut instance = chain.instance();
    let batch = |count| rows(count).project(chain.input_columns()).unwrap();
    assert_eq!(instance.apply(batch(3), &"1").unwrap().batch.num_rows(), 3);
    assert!(matches!(
        instance.apply(batch(2), &"2").unwrap_err(),
        TransformError::Trapped { .. }
    ));
    assert_eq!(instance.apply(batch(3), &"3").unwrap().batch.num_rows(), 3);
    drop(instance);
    assert_eq!(
        chain
            .instance()
            .apply(batch(3), &"4")
            .unwrap()
            .batch
            .num_rows(),
        3
    );
}

#[test]
fn a_refusal_is_the_plugin_s_own_error() {
    let error = apply(
        &Script {
            process: Answer::Refusal("row 3 is odd".into()),
            ..answering(three())
        },
        Limits::default(),
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "plugin `scripted`, table `shop.numbers`, chunk 7: it refuses the batch: row 3 is odd"
    );
}

#[test]
fn a_configuration_is_checked_before_the_plugin_sees_it() {
    let config_schema = r#"{"type": "object", "properties": {"columns": {"type": "array", "items": {"type": "string"}}, "key": {"type": "string", "minLength": 8}}, "additionalProperties": false}"#;
    let script = Script {
        config_schema: config_schema.into(),
        before: [String::new(), "unreachable".into(), String::new()],
        ..Script::default()
    };
    let step = Step {
        config: json!({"columns": ["a", 1], "key": "secret", "colour": 1}),
        ..step(&script)
    };
    let error = Chain::bind(&runtime(), &numbers(), &[step]).unwrap_err();
    let TransformError::Config { violations, .. } = &error else {
        panic!("{error}")
    };
    let mut paths: Vec<_> = violations
        .iter()
        .map(|violation| violation.path.as_str())
        .collect();
    paths.sort_unstable();
    assert_eq!(paths, ["", "/columns/1", "/key"]);
    assert!(
        !error.to_string().contains("secret") && error.to_string().contains("colour"),
        "{error}"
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
fn a_file_that_is_no_plugin_is_refused_with_what_it_is() {
    let module = |export: &str| {
        format!(
            r#"(module (memory (export "memory") 1) (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 0) {export})"#
        )
    };
    let stubs = |version: &str| {
        let f = |name: &str, params: usize| {
            format!(
                r#"(func (export "tidemill:transform/transform@{version}#{name}") (param {}) (result i32) i32.const 0)"#,
                "i32 ".repeat(params)
            )
        };
        module(&[f("describe", 0), f("bind", 10), f("process", 3)].concat())
    };
    let old_contract = contract_text().replace("transform@0.1.0", "transform@0.2.0");
    let other_shape = contract_text().replace("summary: string", "summary: list<u32>");
    let cases: [(&str, Vec<u8>, &str); 9] = [
        ("empty", vec![], "is no WebAssembly component: the file is empty; build it with `tidemill plugin build`"),
        ("text", b"hello".to_vec(), "it doesn't begin like WebAssembly"),
        ("core", wat::parse_str("(module)").unwrap(), "it is a core module"),
        ("cut", Script::default().component()[..400].to_vec(), "is a damaged or unsupported component"),
        ("clock", wat::parse_str(r#"(component (import "wasi:clocks/wall-clock@0.2.0" (instance (export "now" (func)))) (instance (export "tidemill:transform/transform@0.1.0")))"#).unwrap(), "imports `wasi:clocks/wall-clock@0.2.0`, which no plugin is given"),
        ("nothing", wat::parse_str("(component)").unwrap(), "is a component but no Tidemill plugin: it exports nothing, and not `tidemill:transform/transform@0.1.0`"),
        ("newer", encode(&stubs("0.2.0"), &old_contract), "was built for `tidemill:transform/transform@0.2.0`, and this Tidemill supports version 0.1.0"),
        ("shape", encode(&stubs("0.1.0"), &other_shape), "and its functions are not the contract's"),
        ("hollow", wat::parse_str(r#"(component (instance (export "tidemill:transform/transform@0.1.0")))"#).unwrap(), "it has no function `describe`"),
    ];
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes, reason) in cases {
        let path = dir.path().join(format!("{name}.wasm"));
        std::fs::write(&path, bytes).unwrap();
        let text = runtime().load(&path).unwrap_err().to_string();
        assert!(
            text.contains(reason) && text.contains(&format!("{name}.wasm")),
            "{name}: {text}"
        );
    }
    assert!(matches!(
        runtime()
            .load(&dir.path().join("missing.wasm"))
            .unwrap_err(),
        TransformError::Unreadable { .. }
    ));
}

#[test]
fn a_plugin_that_describes_itself_wrongly_is_refused() {
    for script in [
        Script {
            name: "two words".into(),
            ..Script::default()
        },
        Script {
            config_schema: "{".into(),
            ..Script::default()
        },
    ] {
        assert!(matches!(
            load(&script).unwrap_err(),
            TransformError::Description { .. }
        ));
    }
    let trap = Script {
        before: ["unreachable".into(), String::new(), String::new()],
        ..Script::default()
    };
    assert!(matches!(
        load(&trap).unwrap_err(),
        TransformError::Trapped { .. }
    ));
}

#[test]
fn compiled_code_is_found_again_and_loaded_plugins_are_shared() {
    let dir = tempfile::tempdir().unwrap();
    let path = Script::default().write(&dir);
    let settings = || RuntimeSettings {
        cache_dir: Some(dir.path().join("compiled")),
        max_instances: 4,
    };
    let first = Runtime::new(settings()).unwrap();
    let plugin = first.load(&path).unwrap();
    assert!(Arc::ptr_eq(&plugin, &first.load(&path).unwrap()));
    assert_eq!(
        std::fs::read_dir(dir.path().join("compiled"))
            .unwrap()
            .count(),
        1
    );
    assert_eq!(
        (
            plugin.name(),
            plugin.digest().len(),
            plugin.contract_version()
        ),
        ("scripted", 64, "0.1.0")
    );
    assert_eq!(
        plugin.imports(),
        [super::contract::LOG, super::contract::TYPES]
    );
    let again = Runtime::new(settings()).unwrap().load(&path).unwrap();
    assert_eq!(again.digest(), plugin.digest());
}

#[test]
fn too_many_instances_at_one_time_are_an_error_that_passes() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = Runtime::new(RuntimeSettings {
        cache_dir: None,
        max_instances: 1,
    })
    .unwrap();
    let plugin = runtime.load(&answering(three()).write(&dir)).unwrap();
    let chain = Chain::bind(
        &runtime,
        &numbers(),
        &[Step {
            plugin,
            config: json!({}),
            limits: Limits::default(),
        }],
    )
    .unwrap();
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

/// Every type of the contract: its place in `data-type`, its payload there, and an array of it from some numbers.
fn every_type(seeds: &[Option<u32>]) -> Vec<(u8, Vec<u8>, ArrayRef)> {
    fn words(seed: u32) -> String {
        ["", "é", "tide", "mill \u{1F30A}"][seed as usize % 4].repeat(seed as usize % 3)
    }
    macro_rules! numbers {
        ($array:ty, $native:ty) => {
            Arc::new(
                seeds
                    .iter()
                    .map(|seed| seed.map(|seed| seed.wrapping_mul(2_654_435_761) as $native))
                    .collect::<$array>(),
            )
        };
    }
    let decimal128: Decimal128Array = seeds.iter().map(|seed| seed.map(i128::from)).collect();
    let decimal256: Decimal256Array = seeds
        .iter()
        .map(|seed| seed.map(|seed| i256::from_i128(-i128::from(seed))))
        .collect();
    let fixed = FixedSizeBinaryArray::try_from_sparse_iter_with_size(
        seeds.iter().map(|seed| seed.map(|seed| [seed as u8; 3])),
        3,
    )
    .unwrap();
    let mut lists = ListBuilder::new(Float32Builder::new())
        .with_field(Field::new_list_field(DataType::Float32, false));
    for seed in seeds {
        match seed {
            Some(seed) => lists.append_value((0..seed % 4).map(|n| Some(n as f32))),
            None => lists.append_null(),
        }
    }
    vec![
        (
            0,
            vec![],
            Arc::new(
                seeds
                    .iter()
                    .map(|seed| seed.map(|seed| seed % 2 == 1))
                    .collect::<BooleanArray>(),
            ),
        ),
        (1, vec![], numbers!(Int8Array, i8)),
        (2, vec![], numbers!(Int16Array, i16)),
        (3, vec![], numbers!(Int32Array, i32)),
        (4, vec![], numbers!(Int64Array, i64)),
        (5, vec![], numbers!(UInt8Array, u8)),
        (6, vec![], numbers!(UInt16Array, u16)),
        (7, vec![], numbers!(UInt32Array, u32)),
        (8, vec![], numbers!(UInt64Array, u64)),
        (9, vec![], numbers!(Float32Array, f32)),
        (10, vec![], numbers!(Float64Array, f64)),
        (
            11,
            vec![20, 2],
            Arc::new(decimal128.with_precision_and_scale(20, 2).unwrap()),
        ),
        (
            12,
            vec![65, 30],
            Arc::new(decimal256.with_precision_and_scale(65, 30).unwrap()),
        ),
        (13, vec![], numbers!(Date32Array, i32)),
        (
            14,
            vec![],
            Arc::new(
                seeds
                    .iter()
                    .map(|seed| seed.map(|seed| i64::from(seed) - 1_000_000))
                    .collect::<Time64MicrosecondArray>(),
            ),
        ),
        (15, vec![], numbers!(TimestampMicrosecondArray, i64)),
        (
            16,
            vec![],
            Arc::new(
                seeds
                    .iter()
                    .map(|seed| seed.map(words))
                    .collect::<StringArray>(),
            ),
        ),
        (
            17,
            vec![],
            Arc::new(
                seeds
                    .iter()
                    .map(|seed| seed.map(|seed| seed.to_le_bytes()[..seed as usize % 5].to_vec()))
                    .collect::<BinaryArray>(),
            ),
        ),
        (18, vec![3], Arc::new(fixed)),
        (19, vec![], Arc::new(lists.finish())),
    ]
}

#[test]
fn every_type_is_told_to_the_plugin_and_declared_by_it() {
    let columns = every_type(&[Some(1)]);
    assert!(
        columns
            .iter()
            .any(|(_, _, array)| array.data_type() == &DataType::Time64(TimeUnit::Microsecond))
    );
    assert_eq!(
        columns.iter().map(|(place, ..)| *place).collect::<Vec<_>>(),
        (0..20).collect::<Vec<_>>()
    );
    assert_eq!(
        columns[19]
            .2
            .as_list::<i32>()
            .value(0)
            .as_primitive::<Float32Type>()
            .values(),
        &[0.0]
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Every type, any length and nulls, any slice: what goes through a plugin that gives back what it gets comes out equal.
    #[test]
    fn what_goes_in_comes_out(
        seeds in proptest::collection::vec(proptest::option::weighted(0.8, any::<u32>()), 1..200),
        cut in (0.0f64..1.0, 0.0f64..1.0),
        with_nulls in any::<bool>(),
    ) {
        let seeds: Vec<Option<u32>> = seeds.into_iter().map(|seed| if with_nulls { seed } else { Some(seed.unwrap_or(3)) }).collect();
        let columns = every_type(&seeds);
        let names = (0..columns.len()).map(|n| format!("c{n}")).collect::<Vec<_>>();
        let fields = columns.iter().zip(&names).map(|((_, _, array), name)| Field::new(name, array.data_type().clone(), true)).collect::<Vec<_>>();
        let table = TableShape { database: "d".into(), name: "t".into(), schema: Arc::new(Schema::new(fields)), key: vec![] };
        let script = Script {
            name: "echo".into(),
            reads: (0..columns.len() as u32).collect(),
            output: columns.iter().zip(&names).map(|((place, payload, _), name)| Out::Computed(name.clone(), *place, payload.clone(), true)).collect(),
            process: Answer::Echo,
            ..Script::default()
        };
        static ECHO: std::sync::OnceLock<Step> = std::sync::OnceLock::new();
        let step = ECHO.get_or_init(|| step(&script)).clone();
        let chain = Chain::bind(&runtime(), &table, &[step]).unwrap();
        let batch = RecordBatch::try_new(table.schema.clone(), columns.into_iter().map(|(_, _, array)| array).collect()).unwrap();
        let offset = (cut.0 * seeds.len() as f64) as usize;
        let length = (cut.1 * (seeds.len() - offset + 1) as f64) as usize;
        let slice = batch.slice(offset, length);
        let applied = chain.instance().apply(slice.clone(), &"1").unwrap();
        prop_assert_eq!(&applied.batch, &slice);
        for column in applied.batch.columns() {
            column.to_data().validate_full().unwrap();
        }
    }
}
