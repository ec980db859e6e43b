//! Guests that import WASI: what they are given says nothing of the machine, and is the same again.

use std::time::Instant;

use super::*;

const RANDOM: &str =
    r#"(import "wasi:random/random@0.2.0" "get-random-u64" (func $random (result i64)))"#;
const CLOCK: &str = r#"(import "wasi:clocks/wall-clock@0.2.0" "now" (func $now (param i32)))"#;
const SLEEP: &str = r#"
  (import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $subscribe (param i64) (result i32)))
  (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))"#;
const ENVIRONMENT: &str =
    r#"(import "wasi:cli/environment@0.2.0" "get-environment" (func $environment (param i32)))"#;
const FILES: &str = r#"(import "wasi:filesystem/preopens@0.2.0" "get-directories" (func $directories (param i32)))"#;
const EXIT: &str = r#"(import "wasi:cli/exit@0.2.0" "exit" (func $exit (param i32)))"#;
const STDERR: &str = r#"
  (import "wasi:cli/stderr@0.2.0" "get-stderr" (func $stderr (result i32)))
  (import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush" (func $write (param i32 i32 i32 i32)))"#;

/// Gives the column `a` back as `c`, after these instructions.
fn guest(imports: &str, code: &str) -> Script {
    Script {
        reads: vec![1],
        output: vec![Out::Pass(0, None), computed("c", 4)],
        imports: imports.into(),
        before: [String::new(), String::new(), code.into()],
        process: Answer::Echo,
        ..Script::default()
    }
}

fn column(runtime: &Runtime, script: &Script, origin: Origin, chunk: &str) -> Vec<i64> {
    let dir = tempfile::tempdir().unwrap();
    let step = Step::new(runtime.load(&script.write(&dir)).unwrap(), json!({}));
    let chain = Chain::bind(runtime, &numbers(), &[step]).unwrap();
    chain.begin(origin, &[]);
    let batch = rows(3).project(chain.input_columns()).unwrap();
    let mut instance = chain.instance();
    let mut values = Vec::new();
    for _ in 0..2 {
        let applied = instance.apply(batch.clone(), &chunk).unwrap();
        values.extend(applied.batch.column(1).as_primitive::<Int64Type>().values());
    }
    values
}

#[test]
fn clocks_stand_and_random_numbers_follow_from_the_batch_on_every_host() {
    // Into the memory of the column that it was given: a random number, and the time in seconds.
    let code = "
        (i64.store (i32.load offset=20 (local.get 1)) (call $random))
        (call $now (i32.const 0))
        (i64.store offset=8 (i32.load offset=20 (local.get 1)) (i64.load (i32.const 0)))";
    let script = guest(&format!("{RANDOM} {CLOCK}"), code);
    let origin = Origin {
        started: "2026-03-01T12:00:00Z".parse().unwrap(),
        seed: 7,
    };
    let other_host = Runtime::new(RuntimeSettings {
        max_instances: 2,
        ..RuntimeSettings::default()
    })
    .unwrap();
    let first = column(&runtime(), &script, origin, "7");
    for host in [&runtime(), &other_host] {
        for _ in 0..2 {
            assert_eq!(column(host, &script, origin, "7"), first);
        }
    }
    assert_eq!(
        (first[1], first[4]),
        (origin.started.as_second(), origin.started.as_second())
    );
    assert_ne!(
        first[0], first[3],
        "the second batch has numbers of its own"
    );
    assert_ne!(column(&runtime(), &script, origin, "8")[0], first[0]);
    let reseeded = Origin { seed: 8, ..origin };
    assert_ne!(column(&runtime(), &script, reseeded, "7")[0], first[0]);
}

#[test]
fn a_guest_that_sleeps_in_the_host_is_cut_at_its_deadline() {
    let script = guest(
        SLEEP,
        "(call $block (call $subscribe (i64.const 600000000000)))",
    );
    let started = Instant::now();
    let limits = Limits {
        batch_deadline: Duration::from_millis(100),
        ..Limits::default()
    };
    let error = apply(&script, limits).unwrap_err();
    assert_eq!(
        error.to_string(),
        "plugin `scripted`, table `shop.numbers`, chunk 7: it ran into its time limit of 100ms: the call was still waiting in the host; the setting is `limits.deadline`"
    );
    assert!(started.elapsed() >= Duration::from_millis(100));
    // One that loops instead is cut likewise, on its own stack.
    let script = guest(
        SLEEP,
        "(loop $forever (br $forever)) (call $block (i32.const 0))",
    );
    let limits = Limits {
        batch_deadline: Duration::from_millis(100),
        ..Limits::default()
    };
    let error = apply(&script, limits).unwrap_err();
    assert!(
        error.to_string().contains("the call was still running"),
        "{error}"
    );
}

#[test]
fn what_shows_the_machine_must_be_granted() {
    for (imports, call, import, grant) in [
        (
            ENVIRONMENT,
            "(call $environment (i32.const 0))",
            "wasi:cli/environment@0.2.0",
            "environment",
        ),
        (
            FILES,
            "(call $directories (i32.const 0))",
            "wasi:filesystem/types@0.2.0",
            "files",
        ),
    ] {
        let script = guest(imports, call);
        let error = apply(&script, Limits::default()).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, TransformError::NotGranted { .. }), "{text}");
        assert!(
            text.contains(&format!("it imports `{import}`"))
                && text.contains(&format!("`grants.{grant} = []`")),
            "{text}"
        );
        let empty = Grants {
            environment: Some(Vec::new()),
            files: Some(Vec::new()),
            network: None,
        };
        let step = Step {
            grants: empty,
            ..step(&script)
        };
        let chain = Chain::bind(&runtime(), &numbers(), &[step]).unwrap();
        let batch = rows(3).project(chain.input_columns()).unwrap();
        assert_eq!(
            chain
                .instance()
                .apply(batch, &"7")
                .unwrap()
                .batch
                .num_rows(),
            3
        );
    }
}

#[test]
fn only_the_granted_variables_are_seen() {
    // Its answer is the number of variables.
    let code = "(call $environment (i32.const 0)) (i64.store (i32.load offset=20 (local.get 1)) (i64.extend_i32_u (i32.load (i32.const 4))))";
    let script = guest(ENVIRONMENT, code);
    let step = Step {
        grants: Grants {
            environment: Some(vec![("REGION".into(), "north".into())]),
            ..Grants::default()
        },
        ..step(&script)
    };
    let chain = Chain::bind(&runtime(), &numbers(), &[step]).unwrap();
    let batch = rows(3).project(chain.input_columns()).unwrap();
    let applied = chain.instance().apply(batch, &"7").unwrap();
    assert_eq!(
        applied.batch.column(1).as_primitive::<Int64Type>().value(0),
        1
    );
}

#[test]
fn a_guest_that_ends_itself_has_crashed() {
    let error = apply(
        &guest(EXIT, "(call $exit (i32.const 1))"),
        Limits::default(),
    )
    .unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("it crashed: it ended itself with exit code 1"),
        "{error}"
    );
}

#[test]
fn a_flood_on_standard_error_ends() {
    let code = "
        (local i32) (local.set 3 (call $stderr))
        (loop $again
          (call $write (local.get 3) (i32.const 0) (i32.const 4096) (i32.const 16))
          (local.set 0 (i32.add (local.get 0) (i32.const 1)))
          (br_if $again (i32.lt_u (local.get 0) (i32.const 2000))))";
    let applied = apply(&guest(STDERR, code), Limits::default()).unwrap();
    assert_eq!(applied.batch.num_rows(), 3);
}

#[test]
fn what_is_granted_is_a_part_of_the_fingerprint() {
    let fingerprint = |value: &str, folder: Option<&str>| {
        let grants = Grants {
            environment: Some(vec![("MASK_KEY".into(), value.to_owned().into())]),
            files: folder.map(|folder| vec![folder.into()]),
            network: None,
        };
        let granted = Step {
            grants,
            ..step(&Script::default())
        };
        let chain = Chain::bind(&runtime(), &numbers(), &[granted]).unwrap();
        chain.fingerprint()
    };
    assert_eq!(fingerprint("a", None), fingerprint("a", None));
    assert_ne!(fingerprint("a", None), fingerprint("b", None));
    assert_ne!(fingerprint("a", None), fingerprint("a", Some("/")));
}
