//! What is refused before a table is known, and what a second load finds.

use super::super::contract;
use super::super::scripted::{contract_text, encode};
use super::*;

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
    let cases: [(&str, Vec<u8>, &str); 10] = [
        ("empty", vec![], "is no WebAssembly component: the file is empty; build it with `tidemill plugin build`"),
        ("text", b"hello".to_vec(), "it doesn't begin like WebAssembly"),
        ("core", wat::parse_str("(module)").unwrap(), "it is a core module"),
        ("cut", Script::default().component()[..400].to_vec(), "is a damaged or unsupported component"),
        ("fetch", wat::parse_str(r#"(component (import "wasi:http/outgoing-handler@0.2.0" (instance (export "handle" (func)))) (instance (export "tidemill:transform/transform@0.1.0")))"#).unwrap(), "imports `wasi:http/outgoing-handler@0.2.0`, which no plugin is given"),
        ("nothing", wat::parse_str("(component)").unwrap(), "is a component but no Tidemill plugin: it exports nothing, and not `tidemill:transform/transform@0.1.0`"),
        ("newer", encode(&stubs("0.2.0"), &old_contract), "was built for `tidemill:transform/transform@0.2.0`, and this Tidemill supports version 0.1.0 of the contract: use a later Tidemill"),
        ("older", encode(&stubs("0.0.9"), &contract_text().replace("transform@0.1.0", "transform@0.0.9")), "and this Tidemill supports version 0.1.0 of the contract: rebuild the plugin"),
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
        ..RuntimeSettings::default()
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
    assert_eq!(plugin.imports(), [contract::LOG, contract::TYPES]);
    let again = Runtime::new(settings()).unwrap().load(&path).unwrap();
    assert_eq!(again.digest(), plugin.digest());
}

#[test]
fn what_is_no_plugin_takes_no_room_among_the_compiled_ones() {
    let dir = tempfile::tempdir().unwrap();
    let compiled = dir.path().join("compiled");
    let runtime = Runtime::new(RuntimeSettings {
        cache_dir: Some(compiled.clone()),
        max_instances: 4,
        ..RuntimeSettings::default()
    });
    let trap = Script {
        before: ["unreachable".into(), String::new(), String::new()],
        ..Script::default()
    };
    runtime.unwrap().load(&trap.write(&dir)).unwrap_err();
    assert_eq!(std::fs::read_dir(compiled).unwrap().count(), 0);
}

#[test]
fn another_contract_is_refused_with_what_to_do() {
    let load = |exports: &[&str]| {
        let exports = exports.iter().map(|version| {
            format!(r#"(instance (export "tidemill:transform/transform@{version}"))"#)
        });
        let text = format!("(component {})", exports.collect::<String>());
        let path = std::path::Path::new("other.wasm");
        runtime().load_bytes(path, &wat::parse_str(text).unwrap())
    };
    let this = env!("CARGO_PKG_VERSION");
    for (version, remedy) in [
        ("0.0.1", "rebuild the plugin with the SDK"),
        ("0.0.99", "rebuild the plugin with the SDK"),
        (
            "0.1.1",
            "use a later Tidemill, or rebuild the plugin with the SDK",
        ),
        (
            "0.2.0",
            "use a later Tidemill, or rebuild the plugin with the SDK",
        ),
        (
            "0.10.0",
            "use a later Tidemill, or rebuild the plugin with the SDK",
        ),
        (
            "1.0.0",
            "use a later Tidemill, or rebuild the plugin with the SDK",
        ),
    ] {
        let text = load(&[version]).unwrap_err().to_string();
        let expected = format!(
            "`other.wasm` was built for `tidemill:transform/transform@{version}`, and this Tidemill supports version 0.1.0 of the contract: {remedy} of Tidemill {this}"
        );
        assert!(text.starts_with(&expected), "{text}");
    }
    // One of several versions is taken by the one that is known: here it fails at what comes after that.
    for several in [["0.2.0", "0.1.0"], ["0.1.0", "0.0.9"]] {
        let error = load(&several).unwrap_err();
        assert!(
            matches!(error, TransformError::ContractShape { .. }),
            "{error}"
        );
    }
}

/// One plugin of each contract that was released, as it was built then: `<version>.wasm`, a pass-through plugin of the SDK of that time.
const RELEASED: [&str; 1] = ["0.1.0"];

#[test]
fn plugins_of_every_released_contract_are_still_at_work() {
    let folder = std::path::Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src/transform/tests/contracts"
    ));
    for version in RELEASED {
        let plugin = runtime()
            .load(&folder.join(format!("{version}.wasm")))
            .unwrap();
        let chain = Chain::bind(&runtime(), &numbers(), &[Step::new(plugin, json!({}))]).unwrap();
        let applied = chain.instance().apply(rows(100), &"1").unwrap();
        assert_eq!(applied.batch, rows(100), "{version}");
    }
    assert_eq!(RELEASED.last(), Some(&contract::VERSION));
}

#[test]
fn the_documented_contract_versions_are_the_accepted_ones() {
    let readme = include_str!("../../../../plugins/README.md");
    let (_, section) = readme.split_once("\n## Contract versions\n").unwrap();
    let rows = section
        .lines()
        .skip_while(|line| !line.starts_with("| --- "));
    let versions: Vec<&str> = rows
        .skip(1)
        .map_while(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(version, _)| version)
        .collect();
    assert_eq!(versions, RELEASED);
}
