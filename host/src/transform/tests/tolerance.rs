//! Rows that a plugin can't transform: what becomes of them, and of the others of their batch.

use super::*;
use crate::schema::OnError;

/// Gives the column `a` back as `c`, and crashes where it finds 30 or 60 in it: rows 3 and 6.
fn fails_at_rows() -> Script {
    let crash = "
        (block $done (loop $next
          (br_if $done (i32.eqz (local.get 0)))
          (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
          (local.set 3 (i64.load (i32.add (i32.load offset=20 (local.get 1)) (i32.shl (local.get 0) (i32.const 3)))))
          (if (i32.or (i64.eq (local.get 3) (i64.const 30)) (i64.eq (local.get 3) (i64.const 60))) (then unreachable))
          (br $next)))";
    Script {
        reads: vec![1],
        output: vec![Out::Pass(0, None), Out::Pass(1, None), computed("c", 4)],
        before: [String::new(), String::new(), format!("(local i64) {crash}")],
        process: Answer::Echo,
        ..Script::default()
    }
}

fn tolerant(script: &Script, tolerance: Tolerance) -> Step {
    Step {
        tolerance,
        ..step(script)
    }
}

fn of(on_error: OnError) -> Tolerance {
    Tolerance {
        on_error,
        ..Tolerance::default()
    }
}

fn applied(steps: &[Step], count: i64) -> Result<Applied, TransformError> {
    let chain = Chain::bind(&runtime(), &numbers(), steps)?;
    let batch = rows(count).project(chain.input_columns()).unwrap();
    chain.instance().apply(batch, &"7")
}

#[test]
fn a_batch_that_crashes_the_plugin_fails_unless_the_pipe_tolerates_it() {
    let error = applied(&[tolerant(&fails_at_rows(), of(OnError::Fail))], 9).unwrap_err();
    assert!(matches!(error, TransformError::Trapped { .. }), "{error}");
}

#[test]
fn the_rows_at_fault_are_found_and_the_others_go_on() {
    for on_error in [OnError::Reject, OnError::Skip] {
        let applied = applied(&[tolerant(&fails_at_rows(), of(on_error))], 9).unwrap();
        let column = |i: usize| applied.batch.column(i).as_primitive::<Int64Type>().values();
        assert_eq!(column(0), &[0, 1, 2, 4, 5, 7, 8]);
        assert_eq!(column(2), &[0, 10, 20, 40, 50, 70, 80]);
        let named: Vec<_> = applied
            .rejected
            .iter()
            .map(|r| (r.row, r.on_error))
            .collect();
        assert_eq!(named, [(3, on_error), (6, on_error)]);
        let reason = &applied.rejected[0].reason;
        assert!(reason.starts_with("it crashed: wasm trap"), "{reason}");
        assert_eq!(applied.filtered_rows, 0);
    }
}

#[test]
fn a_rejected_row_is_told_as_the_plugin_was_given_it() {
    // The first step renames `a` and takes two rows out; the second fails at one of the others.
    let first = Script {
        name: "first".into(),
        output: vec![Out::Pass(0, None), Out::Pass(1, Some("amount".into()))],
        filters: true,
        process: Answer::Output(RawOutput {
            keep: Some(vec![0b1111_1100]),
            ..RawOutput::default()
        }),
        ..Script::default()
    };
    let steps = [
        step(&first),
        tolerant(&fails_at_rows(), of(OnError::Reject)),
    ];
    let applied = applied(&steps, 6).unwrap();
    let rejected = &applied.rejected[0];
    assert_eq!((rejected.row, rejected.given_row, rejected.step), (3, 1, 1));
    let given = applied.given(rejected).unwrap();
    assert_eq!(given.batch.schema().field(1).name(), "amount");
    assert_eq!(
        (given.batch.num_rows(), given.key.as_slice()),
        (4, &[0][..])
    );
    let amounts = given.batch.column(1).as_primitive::<Int64Type>();
    assert_eq!(amounts.value(rejected.given_row), 30);
    assert_eq!((applied.filtered_rows, applied.batch.num_rows()), (2, 3));
}

#[test]
fn too_many_rows_at_fault_stop_it() {
    let most = |max_rejected| Tolerance {
        max_rejected: Some(max_rejected),
        ..of(OnError::Reject)
    };
    assert!(applied(&[tolerant(&fails_at_rows(), most(2))], 9).is_ok());
    let error = applied(&[tolerant(&fails_at_rows(), most(1))], 9).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("plugin `scripted`, table `shop.numbers`, chunk 7: more rows could not be transformed than `max_rejected` of 1 allows: 2 rows; the last one: it crashed"),
        "{text}"
    );
    let share = Tolerance {
        max_share: 0.1,
        window: 10,
        ..of(OnError::Skip)
    };
    let error = applied(&[tolerant(&fails_at_rows(), share)], 9).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("`max_rejected_share` of 10% allows: 2 of 10 rows"),
        "{error}"
    );
}

#[test]
fn rows_that_a_plugin_rejects_itself_are_counted_too() {
    let rejecting = Script {
        output: vec![Out::Pass(0, None)],
        process: Answer::Output(RawOutput {
            rejected: vec![RawRejection {
                row: 1,
                reason: "odd".into(),
            }],
            ..RawOutput::default()
        }),
        ..Script::default()
    };
    let none = Tolerance {
        max_rejected: Some(0),
        ..of(OnError::Reject)
    };
    assert_eq!(
        applied(&[tolerant(&rejecting, of(OnError::Reject))], 3)
            .unwrap()
            .rejected
            .len(),
        1
    );
    let error = applied(&[tolerant(&rejecting, none)], 3).unwrap_err();
    assert!(
        error.to_string().ends_with("1 rows; the last one: odd"),
        "{error}"
    );
}

#[test]
fn a_whole_batch_that_is_refused_ends_at_the_bound() {
    let refusing = Script {
        process: Answer::Refusal("nothing suits it".into()),
        ..answering(three())
    };
    let bound = Tolerance {
        max_rejected: Some(3),
        ..of(OnError::Reject)
    };
    let error = applied(&[tolerant(&refusing, bound)], 5000).unwrap_err();
    assert!(
        matches!(error, TransformError::TooManyRejected { .. }),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .ends_with("4 rows; the last one: nothing suits it"),
        "{error}"
    );
}

#[test]
fn an_answer_that_breaks_the_contract_is_never_tolerated() {
    let lying = answering(RawOutput::default());
    let error = applied(&[tolerant(&lying, of(OnError::Skip))], 3).unwrap_err();
    assert!(matches!(error, TransformError::Breach { .. }), "{error}");
}

#[test]
fn what_becomes_of_rows_is_a_part_of_the_fingerprint() {
    let fingerprint = |on_error| {
        let step = tolerant(&Script::default(), of(on_error));
        Chain::bind(&runtime(), &numbers(), &[step])
            .unwrap()
            .fingerprint()
    };
    let all = [OnError::Fail, OnError::Reject, OnError::Skip].map(fingerprint);
    assert!(all[0] != all[1] && all[1] != all[2] && all[0] != all[2]);
}

#[test]
fn an_instance_that_can_t_be_made_is_no_row_s_fault() {
    // Its clock stands at 1970 when the table is bound for the first time, and at the start of the load afterwards.
    let wakes = "(call $now (i32.const 0)) (if (i64.gt_u (i64.load (i32.const 0)) (i64.const 0)) (then unreachable))";
    let [describe, _, process] = fails_at_rows().before;
    let moody = Script {
        imports: r#"(import "wasi:clocks/wall-clock@0.2.0" "now" (func $now (param i32)))"#.into(),
        before: [describe, wakes.into(), process],
        ..fails_at_rows()
    };
    let chain = Chain::bind(
        &runtime(),
        &numbers(),
        &[tolerant(&moody, of(OnError::Skip))],
    )
    .unwrap();
    let origin = Origin {
        started: "2026-03-01T12:00:00Z".parse().unwrap(),
        seed: 1,
    };
    chain.begin(origin, &[]);
    let batch = rows(9).project(chain.input_columns()).unwrap();
    let error = chain.instance().apply(batch, &"7").unwrap_err();
    assert!(matches!(error, TransformError::Trapped { .. }), "{error}");
    let usage = chain.usage()[0];
    assert_eq!(usage.batches, 0);
    assert!(
        usage.cpu > Duration::ZERO,
        "what it took is counted: {usage:?}"
    );
}

#[test]
fn a_search_among_rows_has_an_end() {
    let hangs = Script {
        before: [
            String::new(),
            String::new(),
            "(loop $forever (br $forever))".into(),
        ],
        ..fails_at_rows()
    };
    let tolerance = Tolerance {
        max_share: 1.0,
        ..of(OnError::Skip)
    };
    let limits = Limits {
        batch_deadline: Duration::from_millis(10),
        ..Limits::default()
    };
    let step = Step {
        limits,
        ..tolerant(&hangs, tolerance)
    };
    let error = applied(&[step], 1000).unwrap_err().to_string();
    assert!(
        error.ends_with("it ran into its time limit of 10ms: the search for the rows that it fails at took 32 times that; the setting is `limits.deadline`"),
        "{error}"
    );
}

#[test]
fn the_answers_of_a_search_are_one_answer() {
    let step = |output_bytes| Step {
        limits: Limits {
            output_bytes,
            ..Limits::default()
        },
        ..tolerant(&fails_at_rows(), of(OnError::Skip))
    };
    assert!(applied(&[step(1 << 20)], 1000).is_ok());
    let error = applied(&[step(4096)], 1000).unwrap_err().to_string();
    assert!(
        error.contains("it ran into its output limit of 4.0 KiB"),
        "{error}"
    );
}
