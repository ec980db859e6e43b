//! Limits over more than a call: growth, CPU, batches of an instance; and what plugins used.

use super::*;

fn bound(script: &Script, limits: Limits) -> Chain {
    let step = Step {
        limits,
        ..step(script)
    };
    Chain::bind(&runtime(), &numbers(), &[step]).unwrap()
}

fn batch(chain: &Chain) -> RecordBatch {
    rows(3).project(chain.input_columns()).unwrap()
}

#[test]
fn an_answer_that_grows_out_of_proportion_is_not_taken() {
    let text = RawOutput {
        columns: vec![RawColumn {
            offsets: [0_i32, 1000, 1000, 1000].map(i32::to_le_bytes).concat(),
            data: vec![b'x'; 1000],
            ..RawColumn::default()
        }],
        ..RawOutput::default()
    };
    let script = Script {
        output: vec![Out::Pass(0, None), computed("t", 16)],
        ..answering(text)
    };
    let limits = |growth| Limits {
        growth,
        ..Limits::default()
    };
    // Three rows of an `Int64`, each for 64 bytes more: 216 bytes.
    let chain = bound(&script, limits(5));
    assert!(chain.instance().apply(batch(&chain), &"1").is_ok());
    let chain = bound(&script, limits(4));
    let error = chain.instance().apply(batch(&chain), &"1").unwrap_err();
    assert!(
        error.to_string().ends_with("it ran into its growth limit of 4 times what it was given: it returned 1016 B for 3 rows of 24 B; the setting is `limits.growth`"),
        "{error}"
    );
}

#[test]
fn cpu_is_counted_over_batches_and_processes() {
    let spin = "(loop $spin (local.set 0 (i32.add (local.get 0) (i32.const 1))) (br_if $spin (i32.lt_u (local.get 0) (i32.const 60000000))))";
    let script = Script {
        before: [String::new(), String::new(), spin.into()],
        ..answering(three())
    };
    let limits = || Limits {
        cpu: Duration::from_millis(1),
        ..Limits::default()
    };
    let chain = bound(&script, limits());
    let mut instance = chain.instance();
    assert!(instance.apply(batch(&chain), &"1").is_ok());
    let totals = instance.take_totals();
    assert!(totals[0].cpu > Duration::from_millis(1), "{totals:?}");
    let error = instance.apply(batch(&chain), &"2").unwrap_err().to_string();
    assert!(
        error.contains("it ran into its CPU limit of 1ms: it has used ")
            && error.ends_with("the setting is `limits.cpu`"),
        "{error}"
    );
    // Another process that goes on with the load knows what was used.
    let chain = bound(&script, limits());
    chain.begin(Origin::default(), &totals);
    assert!(chain.instance().apply(batch(&chain), &"1").is_err());
    chain.lift_load_limits();
    assert!(chain.instance().apply(batch(&chain), &"1").is_ok());
}

#[test]
fn an_instance_retires_after_its_batches() {
    let once =
        "(if (i32.load (i32.const 0)) (then unreachable)) (i32.store (i32.const 0) (i32.const 1))";
    let script = Script {
        before: [String::new(), String::new(), once.into()],
        ..answering(three())
    };
    let apply_twice = |batches| {
        let chain = bound(
            &script,
            Limits {
                batches,
                ..Limits::default()
            },
        );
        let mut instance = chain.instance();
        instance.apply(batch(&chain), &"1").unwrap();
        instance.apply(batch(&chain), &"2")
    };
    assert!(apply_twice(1).is_ok());
    assert!(apply_twice(2).is_err(), "the same memory");
}

#[test]
fn what_a_plugin_used_is_known() {
    let chain = bound(&answering(three()), Limits::default());
    chain.instance().apply(batch(&chain), &"1").unwrap();
    let usage = chain.usage()[0];
    assert_eq!((usage.batches, usage.rows), (1, 3));
    assert_eq!((usage.given_bytes, usage.answered_bytes), (24, 3));
    assert!(
        usage.peak_memory_bytes >= 65_536 && usage.wall > Duration::ZERO,
        "{usage:?}"
    );
}
