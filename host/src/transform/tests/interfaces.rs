//! Imports of everything in WASI: what shows nothing of the machine is given, what shows something must be granted, and the rest (HTTP, other
//! versions, what there isn't) is refused when the plugin is loaded, by its name.

use super::super::contract;
use super::*;
use crate::schema::Grant;

/// A function of an interface: its name, its type in the core module, and a call that is sure to end.
type Function = (&'static str, &'static str, &'static str, &'static str);

const POINTER: &str = "(param i32)";
const CALL: &str = "(call $f (i32.const 0))";
const DROP: &str = "(drop (call $f))";
/// Of a resource that can't be had without another function: it is imported, and not called.
const NONE: &str = "";

/// Given to all.
const FREE: [Function; 17] = [
    ("io/error", "[resource-drop]error", POINTER, NONE),
    ("io/poll", "[resource-drop]pollable", POINTER, NONE),
    ("io/streams", "[resource-drop]input-stream", POINTER, NONE),
    ("clocks/wall-clock", "now", POINTER, CALL),
    ("clocks/monotonic-clock", "now", "(result i64)", DROP),
    ("random/random", "get-random-u64", "(result i64)", DROP),
    (
        "random/insecure",
        "get-insecure-random-u64",
        "(result i64)",
        DROP,
    ),
    ("random/insecure-seed", "insecure-seed", POINTER, CALL),
    ("cli/exit", "exit", POINTER, NONE),
    ("cli/stdin", "get-stdin", "(result i32)", DROP),
    ("cli/stdout", "get-stdout", "(result i32)", DROP),
    ("cli/stderr", "get-stderr", "(result i32)", DROP),
    (
        "cli/terminal-input",
        "[resource-drop]terminal-input",
        POINTER,
        NONE,
    ),
    (
        "cli/terminal-output",
        "[resource-drop]terminal-output",
        POINTER,
        NONE,
    ),
    ("cli/terminal-stdin", "get-terminal-stdin", POINTER, CALL),
    ("cli/terminal-stdout", "get-terminal-stdout", POINTER, CALL),
    ("cli/terminal-stderr", "get-terminal-stderr", POINTER, CALL),
];

/// Given where it is granted.
const GRANTED: [(Grant, Function); 10] = [
    (
        Grant::Environment,
        ("cli/environment", "get-environment", POINTER, CALL),
    ),
    (
        Grant::Files,
        (
            "filesystem/types",
            "[resource-drop]descriptor",
            POINTER,
            NONE,
        ),
    ),
    (
        Grant::Files,
        ("filesystem/preopens", "get-directories", POINTER, CALL),
    ),
    (
        Grant::Network,
        ("sockets/network", "[resource-drop]network", POINTER, NONE),
    ),
    (
        Grant::Network,
        (
            "sockets/instance-network",
            "instance-network",
            "(result i32)",
            DROP,
        ),
    ),
    (
        Grant::Network,
        ("sockets/tcp", "[resource-drop]tcp-socket", POINTER, NONE),
    ),
    (
        Grant::Network,
        (
            "sockets/tcp-create-socket",
            "create-tcp-socket",
            "(param i32 i32)",
            "(call $f (i32.const 0) (i32.const 0))",
        ),
    ),
    (
        Grant::Network,
        ("sockets/udp", "[resource-drop]udp-socket", POINTER, NONE),
    ),
    (
        Grant::Network,
        (
            "sockets/udp-create-socket",
            "create-udp-socket",
            "(param i32 i32)",
            "(call $f (i32.const 0) (i32.const 0))",
        ),
    ),
    (
        Grant::Network,
        (
            "sockets/ip-name-lookup",
            "[resource-drop]resolve-address-stream",
            POINTER,
            NONE,
        ),
    ),
];

/// Given to nobody: HTTP, what of WASI 0.2 is not for plugins or not settled, other versions, other worlds.
const NEVER: [&str; 26] = [
    "wasi:http/types@0.2.0",
    "wasi:http/outgoing-handler@0.2.0",
    "wasi:http/incoming-handler@0.2.0",
    "wasi:http/outgoing-handler@0.2.12",
    "wasi:http/client@0.3.0",
    "wasi:cli/run@0.2.0",
    "wasi:cli/imports@0.2.0",
    "wasi:clocks/timezone@0.2.0",
    "wasi:random/dice@0.2.0",
    "wasi:io/pipes@0.2.0",
    "wasi:filesystem/mounts@0.2.0",
    "wasi:sockets/raw@0.2.0",
    "wasi:keyvalue/store@0.2.0",
    "wasi:config/store@0.2.0",
    "wasi:logging/logging@0.1.0",
    "wasi:nn/inference@0.2.0",
    "wasi:random/random@0.1.0",
    "wasi:random/random@0.2.0-rc-2023-11-10",
    "wasi:random/random@0.3.0",
    "wasi:random/random@1.2.0",
    "wasi:random/random",
    "wasi:clocks/system-clock@0.3.0",
    "wasi:cli/stdout@0.3.0",
    "tidemill:transform/log@0.2.0",
    "acme:secrets/vault@0.2.0",
    "env",
];

/// Passes the table on and calls this function for each batch; it answers with the first byte of what is left at 0.
fn guest((interface, name, types, call): Function) -> Script {
    let imports = format!(r#"(import "wasi:{interface}@0.2.0" "{name}" (func $f {types}))"#);
    let first = "(i64.store (i32.load offset=20 (local.get 1)) (i64.load8_u (i32.const 0)))";
    Script {
        reads: vec![1],
        output: vec![Out::Pass(0, None), computed("c", 4)],
        imports,
        before: [String::new(), String::new(), format!("{call} {first}")],
        process: Answer::Echo,
        ..Script::default()
    }
}

fn first_of(script: &Script, grants: Grants) -> Result<i64, TransformError> {
    let step = Step {
        grants,
        ..step(script)
    };
    let chain = Chain::bind(&runtime(), &numbers(), &[step])?;
    let batch = rows(3).project(chain.input_columns()).unwrap();
    let applied = chain.instance().apply(batch, &"7")?;
    Ok(applied.batch.column(1).as_primitive::<Int64Type>().value(0))
}

/// Grants this, and nothing of it.
fn empty(grant: Grant) -> Grants {
    let mut grants = Grants::default();
    match grant {
        Grant::Environment => grants.environment = Some(Vec::new()),
        Grant::Files => grants.files = Some(Vec::new()),
        Grant::Network => grants.network = Some(Vec::new()),
    }
    grants
}

#[test]
fn what_shows_nothing_of_the_machine_is_given() {
    for function in FREE {
        let script = guest(function);
        let imports = load(&script).unwrap().imports();
        let name = format!("wasi:{}@0.2.0", function.0);
        assert!(imports.contains(&name), "{name}: {imports:?}");
        first_of(&script, Grants::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn what_shows_the_machine_is_given_where_it_is_granted() {
    for (grant, function) in GRANTED {
        let script = guest(function);
        let name = format!("wasi:{}@0.2.0", function.0);
        assert!(load(&script).unwrap().imports().contains(&name), "{name}");
        for grants in [Grants::default(), empty(other_than(grant))] {
            let error = first_of(&script, grants).unwrap_err();
            let TransformError::NotGranted {
                import,
                grant: needed,
                ..
            } = &error
            else {
                panic!("{name}: {error}")
            };
            let package = name.split_once('/').unwrap().0;
            assert!(
                import.starts_with(package) && *needed == grant,
                "{name}: {error}"
            );
            assert!(
                error
                    .to_string()
                    .contains(&format!("`grants.{grant} = []`")),
                "{error}"
            );
        }
        first_of(&script, empty(grant)).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

fn other_than(grant: Grant) -> Grant {
    match grant {
        Grant::Files => Grant::Network,
        _ => Grant::Files,
    }
}

#[test]
fn the_rest_is_refused_by_its_name() {
    let export = contract::TRANSFORM;
    let refused = |import: &str, of: &str| {
        let text =
            format!(r#"(component (import "{import}" {of}) (instance (export "{export}")))"#);
        let bytes = wat::parse_str(text).unwrap();
        let path = std::path::Path::new("asks.wasm");
        let error = runtime().load_bytes(path, &bytes).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("`asks.wasm` imports `{import}`, which no plugin is given; build it without")
        );
    };
    for import in NEVER {
        refused(import, "(instance)");
    }
    // What is known by name, and is something else.
    refused("now", "(func)");
    refused("code", "(core module)");
    refused("wasi:random/random@0.2.0", "(func)");
}

#[test]
fn modules_for_earlier_interfaces_are_no_components() {
    // WASI 0.1 ("preview 1") and its predecessor, and what Emscripten and Go import: all of them imports of core modules.
    for import in ["wasi_snapshot_preview1", "wasi_unstable", "env", "gojs"] {
        let core = format!(
            r#"(module (import "{import}" "fd_write" (func (param i32 i32 i32 i32) (result i32))))"#
        );
        let load = |text: &str| {
            let path = std::path::Path::new("old.wasm");
            let bytes = wat::parse_str(text).unwrap();
            runtime().load_bytes(path, &bytes).unwrap_err().to_string()
        };
        let text = load(&core);
        assert!(
            text.contains("it is a core module") && text.contains("wasm-tools component new"),
            "{text}"
        );
        // One that was put into a component as it is: nobody gives it what it imports.
        let text = load(&format!(
            "(component (core {} (core instance (instantiate 0)))",
            core.trim_start_matches('(')
        ));
        assert!(text.contains("old.wasm") && text.contains(import), "{text}");
    }
}

#[test]
fn an_empty_grant_of_the_network_has_no_sockets() {
    for number in [6, 8] {
        let (grant, function) = GRANTED[number];
        assert_eq!(
            first_of(&guest(function), empty(grant)).unwrap(),
            1,
            "{function:?}: an error"
        );
    }
}

#[test]
fn what_wasi_keeps_for_a_guest_is_bounded() {
    let pollables = r#"(import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $f (param i64) (result i32)))"#;
    let bytes =
        r#"(import "wasi:random/random@0.2.0" "get-random-bytes" (func $f (param i64 i32)))"#;
    let zeroes = r#"
      (import "wasi:cli/stdout@0.2.0" "get-stdout" (func $stdout (result i32)))
      (import "wasi:io/streams@0.2.0" "[method]output-stream.write-zeroes" (func $f (param i32 i64 i32)))"#;
    for (what, imports, code, reason) in [
        (
            "handles without end",
            pollables,
            "(loop $more (drop (call $f (i64.const 1))) (br $more))",
            "it crashed: it holds more than 1024 handles of WASI at one time",
        ),
        (
            "random bytes without end",
            bytes,
            "(call $f (i64.const -1) (i32.const 0))",
            "",
        ),
        (
            "zeroes without end",
            zeroes,
            "(call $f (call $stdout) (i64.const -1) (i32.const 0))",
            "",
        ),
    ] {
        let script = Script {
            imports: imports.into(),
            before: [String::new(), String::new(), code.into()],
            ..answering(three())
        };
        let error = apply(&script, Limits::default()).unwrap_err();
        assert!(
            matches!(
                error,
                TransformError::Trapped { .. } | TransformError::Breach { .. }
            ),
            "{what}: {error}"
        );
        assert!(error.to_string().contains(reason), "{what}: {error}");
    }
}
