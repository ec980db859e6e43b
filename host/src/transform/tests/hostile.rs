//! Guests that crash, loop, eat memory or lie: each ends in an error that names it, and harms nobody else.
//!
//! What a plugin may try, and where it is tried:
//!
//! | what | where |
//! | --- | --- |
//! | a trap, recursion, a loop, a memory bomb, in every function that is called | `calls` |
//! | waiting in a call of the host, in every function | `calls`, `wasi` |
//! | threads, shared memory, asynchronous functions; the neighbours' share of the pool | `refused` |
//! | huge answers, floods of the log and of standard error | here, `limits`, `wasi` |
//! | handles, random bytes, zeroes without end | `interfaces` |
//! | false lengths, offsets, bitmaps, places in memory; text that is none | `lies`, `lift_tests` |
//! | NaNs with a payload | `floats` |
//! | imports of everything in WASI, of earlier and later ones, and of what there isn't | `interfaces` |
//! | files that are no plugins, other contracts, wrong descriptions | `load`, `refused` |
//! | anything at all: generated components and modules, plugins with changed bytes | `generated` |
//!
//! And what must hold whatever they try: no instance, memory, thread or file is left behind (`leaks`), a batch that goes on fits its
//! schema and a neighbour keeps its speed (`generated`), the same batch gives the same answer (`determinism`).

use std::time::{Duration, Instant};

use super::*;

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
