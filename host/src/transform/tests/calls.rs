//! Every way to end badly in every function of a plugin that the host calls, and in those that nobody thinks of: the start of a module, the
//! allocator that the host asks for room, and what it calls when it has taken an answer.

use wasmtime::component::Component;

use super::super::contract::Prepared;
use super::super::guest::Guest;
use super::super::instance::Instance;
use super::super::lower::LoweredColumn;
use super::super::wasi::Terms;
use super::*;

/// Where a guest misbehaves.
const PLACES: [&str; 6] = [
    "start",
    "describe",
    "bind",
    "process",
    "cabi_realloc",
    "post-return",
];
/// Imports of WASI: guests with one run on a stack of their own.
const WASI: &str = r#"
  (import "wasi:random/random@0.2.0" "get-random-u64" (func $random (result i64)))
  (import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $subscribe (param i64) (result i32)))
  (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))"#;

/// A guest that does this there, and else behaves.
fn script(place: &str, code: &str, wasi: bool) -> Script {
    let mut script = Script {
        reads: vec![1],
        output: vec![Out::Pass(0, None), computed("c", 4)],
        process: Answer::Echo,
        imports: if wasi { WASI } else { "" }.to_owned() + "(func $deeper (call $deeper))",
        ..Script::default()
    };
    if wasi {
        script.before[2] = "(drop (call $random))".into();
    }
    match place {
        "start" => script.imports += &format!("(func $start {code}) (start $start)"),
        "describe" => script.before[0] = code.into(),
        "bind" => script.before[1] = code.into(),
        "process" => script.before[2] += code,
        "cabi_realloc" => script.realloc = code.into(),
        "post-return" => script.post = code.into(),
        _ => panic!("{place}"),
    }
    script
}

fn prepared(runtime: &Runtime, script: &Script, wasi: bool) -> Prepared<Guest> {
    let component = Component::from_binary(runtime.engine(), &script.component()).unwrap();
    let linkers = runtime.linkers();
    let linker = if wasi { &linkers.wasi } else { &linkers.plain };
    Prepared::new(linker.instantiate_pre(&component).unwrap(), wasi).unwrap()
}

/// Calls everything of a guest, one after the other; the call that failed, with its error.
fn run(pre: &Prepared<Guest>, wasi: bool) -> Result<(), (&'static str, TransformError)> {
    let limits = Limits {
        batch_deadline: Duration::from_millis(100),
        memory_bytes: 4 << 20,
        ..Limits::default()
    };
    let terms = Terms {
        limits,
        ..Terms::default()
    };
    let (site, table) = (Site::default(), numbers());
    let mut instance = Instance::new(pre, wasi, &terms, &site).map_err(|e| ("start", e))?;
    instance.describe(&site).map_err(|e| ("describe", e))?;
    table
        .with_contract_form(&site, |form| instance.bind(&site, form, "{}"))
        .and_then(|answer| answer)
        .map_err(|e| ("bind", e))?;
    let batch = rows(5);
    let column = LoweredColumn::new(batch.column(1)).unwrap();
    instance
        .process(&site, 0, 5, &[column.lend()])
        .map_err(|e| ("process", e))?;
    Ok(())
}

#[test]
fn every_way_to_end_badly_is_an_error_in_every_function() {
    let trap = |error: &TransformError| matches!(error, TransformError::Trapped { .. });
    let limit = |wanted: LimitKind| move |error: &TransformError| matches!(error, TransformError::Limit { kind, .. } if *kind == wanted);
    type Check = Box<dyn Fn(&TransformError) -> bool>;
    let ways: [(&str, &str, Check); 6] = [
        ("a trap", "unreachable", Box::new(trap)),
        (
            "a write beyond memory",
            "(i32.store (i32.const -4) (i32.const 1))",
            Box::new(trap),
        ),
        (
            "a division by zero",
            "(drop (i32.rem_s (memory.size) (i32.const 0)))",
            Box::new(trap),
        ),
        ("recursion without end", "(call $deeper)", Box::new(trap)),
        (
            "a loop without end",
            "(loop $again (br $again))",
            Box::new(limit(LimitKind::Deadline)),
        ),
        (
            "a memory bomb",
            "(loop $more (drop (memory.grow (i32.const 16))) (br $more))",
            Box::new(limit(LimitKind::Memory)),
        ),
    ];
    let runtime = runtime();
    for wasi in [false, true] {
        for place in PLACES {
            let honest = prepared(&runtime, &script(place, "", wasi), wasi);
            assert!(run(&honest, wasi).is_ok(), "{place}: it behaves");
            for (way, code, expected) in &ways {
                let pre = prepared(&runtime, &script(place, code, wasi), wasi);
                let (call, error) = run(&pre, wasi).unwrap_err();
                // The allocator is first needed for the table's names; what comes after an answer belongs to its call.
                let meant = match place {
                    "cabi_realloc" => "bind",
                    "post-return" => "process",
                    place => place,
                };
                assert_eq!(call, meant, "{way} in {place}: {error}");
                assert!(expected(&error), "{way} in {place}: {error}");
            }
        }
    }
}

#[test]
fn sleep_in_the_host_ends_at_the_deadline_in_every_function() {
    let sleep = "(call $block (call $subscribe (i64.const 600000000000)))";
    for place in ["start", "describe", "bind", "process"] {
        let pre = prepared(&runtime(), &script(place, sleep, true), true);
        let (call, error) = run(&pre, true).unwrap_err();
        assert_eq!(call, place, "{error}");
        assert!(
            error.to_string().contains("still waiting in the host"),
            "{place}: {error}"
        );
    }
    // Where the host hands over, nothing of it can be called.
    for place in ["cabi_realloc", "post-return"] {
        let pre = prepared(&runtime(), &script(place, sleep, true), true);
        let (_, error) = run(&pre, true).unwrap_err();
        assert!(
            matches!(
                error,
                TransformError::Trapped { .. } | TransformError::Breach { .. }
            ),
            "{place}: {error}"
        );
    }
}

#[test]
fn recursion_is_told_as_what_it_is() {
    let error = apply(
        &Script {
            imports: "(func $deeper (call $deeper))".into(),
            before: [String::new(), String::new(), "(call $deeper)".into()],
            ..answering(three())
        },
        Limits::default(),
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "plugin `scripted`, table `shop.numbers`, chunk 7: it crashed: wasm trap: call stack exhausted"
    );
}

#[test]
fn room_that_is_none_is_not_written_to() {
    // What the allocator answers is a guest's word, too: beyond memory, at its very end, and not aligned.
    for at in ["-8", "131072", "131064", "1"] {
        let script = script("cabi_realloc", &format!("(return (i32.const {at}))"), false);
        let (call, error) = run(&prepared(&runtime(), &script, false), false).unwrap_err();
        assert_eq!(call, "bind", "{error}");
        assert!(
            matches!(error, TransformError::Breach { .. }),
            "{at}: {error}"
        );
    }
}

#[test]
fn the_host_can_t_be_called_while_it_hands_over() {
    // An allocator that logs would be called back in the midst of a call.
    let log = "(call $log (i32.const 1) (i32.const 0) (i32.const 4))";
    for place in ["cabi_realloc", "post-return"] {
        let script = script(place, log, false);
        let (_, error) = run(&prepared(&runtime(), &script, false), false).unwrap_err();
        assert!(
            matches!(
                error,
                TransformError::Trapped { .. } | TransformError::Breach { .. }
            ),
            "{place}: {error}"
        );
    }
}
