//! What a component can ask of the engine that no plugin has: threads, shared memory, asynchronous functions, a share of the pool that
//! is the neighbours'. It is refused when it is loaded, with what it was.

use super::super::contract;
use super::*;

/// A component that is nothing but this.
fn component(parts: &str) -> Vec<u8> {
    let export = contract::TRANSFORM;
    wat::parse_str(format!(
        r#"(component {parts} (instance (export "{export}")))"#
    ))
    .unwrap()
}

fn refusal(bytes: &[u8]) -> String {
    runtime()
        .load_bytes(std::path::Path::new("asks.wasm"), bytes)
        .unwrap_err()
        .to_string()
}

#[test]
fn threads_shared_memory_and_asynchronous_functions_are_refused() {
    let asks = [
        ("(core module (memory 1 1 shared))", "shared"),
        (
            r#"(core module (import "env" "memory" (memory 1 4 shared)))"#,
            "shared",
        ),
        (
            "(core module (memory 1) (func (drop (i32.atomic.rmw.add (i32.const 0) (i32.const 1)))))",
            "threads",
        ),
        (
            "(core module (memory 1) (func (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1)))))",
            "threads",
        ),
        ("(core module (func atomic.fence))", "threads"),
        (
            "(core type $start (shared (func (param i32)))) (core func (canon thread.spawn-ref $start))",
            "shared-everything-threads",
        ),
        (
            "(core func (canon thread.available_parallelism))",
            "shared-everything-threads",
        ),
        ("(core func (canon thread.yield))", "async"),
        ("(core func (canon task.return))", "async"),
        ("(core func (canon backpressure.inc))", "async"),
        ("(type (future u8))", "async"),
        ("(type (stream u8))", "async"),
        ("(type (func async))", "async"),
    ];
    for (parts, word) in asks {
        let text = refusal(&component(parts));
        assert!(
            text.starts_with("`asks.wasm` is a damaged or unsupported component: ")
                && text.contains(word)
                && text.contains(
                    "; build it again, without threads, shared memory, asynchronous functions or "
                ),
            "{parts}: {text}"
        );
    }
}

/// The sections of a component or module behind its header: their kinds.
fn sections(bytes: &[u8]) -> Vec<u8> {
    let (mut at, mut kinds) = (8, Vec::new());
    while at < bytes.len() {
        kinds.push(bytes[at]);
        let (mut size, mut shift) = (0, 0);
        loop {
            at += 1;
            size |= usize::from(bytes[at] & 0x7f) << shift;
            shift += 7;
            if bytes[at] & 0x80 == 0 {
                break;
            }
        }
        at += 1 + size;
    }
    kinds
}

/// A plugin that works, and has so many instances of this module beside.
fn with_instances(module: &str, count: u32) -> Vec<u8> {
    let leb = |mut number: u32| {
        let mut bytes = Vec::new();
        while number > 0x7f {
            bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        bytes.push(number as u8);
        bytes
    };
    let mut bytes = answering(three()).component();
    let module = wat::parse_str(module).unwrap();
    let number = sections(&bytes).iter().filter(|kind| **kind == 1).count() as u32;
    // Section 1 is a core module, section 2 are core instances: a module's number and what it is given.
    let mut instances = leb(count);
    for _ in 0..count {
        instances.extend([vec![0], leb(number), vec![0]].concat());
    }
    for (kind, content) in [(1, module), (2, instances)] {
        bytes.push(kind);
        bytes.extend(leb(content.len() as u32));
        bytes.extend(content);
    }
    bytes
}

#[test]
fn no_plugin_takes_the_neighbours_share_of_the_pool() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = Runtime::new(RuntimeSettings {
        max_instances: 2,
        ..RuntimeSettings::default()
    })
    .unwrap();
    let neighbour = runtime.load(&answering(three()).write(&dir)).unwrap();
    for (what, module, few, many) in [
        ("instances", "(module)", 40, 200),
        ("memories", "(module (memory 0))", 3, 5),
        ("tables", "(module (table 1 funcref))", 3, 9),
    ] {
        let path = |count: u32| std::path::PathBuf::from(format!("{what}-{count}.wasm"));
        let bytes = with_instances(module, many);
        let text = runtime
            .load_bytes(&path(many), &bytes)
            .unwrap_err()
            .to_string();
        assert!(text.contains("exceeds the"), "{what}: {text}");
        let greedy = runtime
            .load_bytes(&path(few), &with_instances(module, few))
            .unwrap();
        // As many as the pool has, whatever each of them takes.
        let chains = [greedy, neighbour.clone()]
            .map(|plugin| Chain::bind(&runtime, &numbers(), &[Step::new(plugin, json!({}))]));
        for chain in &chains {
            let chain = chain.as_ref().unwrap();
            let batch = rows(3).project(chain.input_columns()).unwrap();
            chain.instance().apply(batch, &"1").unwrap();
        }
    }
}

#[test]
fn nesting_without_measure_is_refused() {
    let nested = |depth: usize| {
        format!(
            "(component {} {})",
            "(component ".repeat(depth),
            ")".repeat(depth)
        )
    };
    let types = |depth: usize| {
        let chain: String = (1..depth)
            .map(|n| format!("(type $t{n} (list $t{}))", n - 1))
            .collect();
        component(&format!("(type $t0 (list u8)) {chain}"))
    };
    let deep = wat::parse_str(nested(80)).unwrap();
    assert!(refusal(&deep).len() < 4096);
    assert!(refusal(&types(2000)).len() < 4096);
}
