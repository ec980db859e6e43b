//! What a person can get wrong: one clear error each, before anything is created.

use crate::shop;
use crate::support::{ClickHouse, Flavor, MySql, World};

/// Expects that nothing was created at the destination.
#[track_caller]
fn assert_untouched(world: &World) {
    assert_eq!(
        world
            .clickhouse
            .query("SELECT count() FROM system.tables WHERE database = '{db}'"),
        "0"
    );
}

/// A world whose pipe file is changed before each command.
fn run_with(world: &World, from: &str, to: &str) -> crate::support::world::Answer {
    let mut command = world.command(&["run"]);
    let path = world.folder().join("pipe.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from} is not in {text}");
    std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
    crate::support::world::answer(command.output().unwrap())
}

#[test]
fn a_wrong_pipe_file_is_told_with_file_line_and_key() {
    let world = shop::shop(Flavor::MySql);
    for (from, to, code, words) in [
        (
            "user = \"root\"",
            "usr = \"root\"",
            3,
            &["pipe.toml:5:1", "unknown field `usr`"][..],
        ),
        (
            ".items\"",
            ".itemz\"",
            4,
            &["pipe.toml:", "table[1].source", "itemz", "items"],
        ),
        (
            "plugin = \"filter\"",
            "plugin = \"filtre\"",
            5,
            &["pipe.toml:", "table[0].transform[0].plugin", "filtre"],
        ),
        (
            "where = \"status",
            "wehre = \"status",
            5,
            &["pipe.toml:", "table[0].transform[0].config", "wehre"],
        ),
        (
            "where = \"status <> 'test'\"",
            "where = \"stattus <> 'test'\"",
            5,
            &["pipe.toml:", "table[0].transform[0].config", "stattus"],
        ),
        (
            "user = \"root\"",
            "user = \"root\"\npassword = \"wrong-secret\"",
            4,
            &["root", "denied"],
        ),
        (
            "user = \"root\"",
            "user = \"nobody\"",
            4,
            &["nobody", "denied"],
        ),
    ] {
        let failed = run_with(&world, from, to);
        assert!(
            !format!("{failed:?}").contains("wrong-secret"),
            "{failed:#?}"
        );
        failed.fails(code, words);
        assert_untouched(&world);
    }
}

#[test]
fn a_server_that_does_not_answer_is_told_with_its_address() {
    let world = shop::shop(Flavor::MySql).source_through(1);
    world.tidemill(&["run"]).fails(4, &["127.0.0.1:1"]);
    assert_untouched(&world);
    let world = shop::with_mappings(
        World::of(MySql::new(Flavor::MySql), ClickHouse::new()).destination_through(1),
    );
    world.tidemill(&["run"]).fails(7, &["127.0.0.1:1"]);
}

#[test]
fn a_plugin_that_is_none_is_told() {
    let future = r#"(component (component $c) (instance $i (instantiate $c)) (export "tidemill:transform/transform@0.9.0" (instance $i)))"#;
    let compiled = |text: &str| wat::parse_str(text).unwrap();
    for (file, bytes, words) in [
        (
            "text.wasm",
            b"no plugin".to_vec(),
            &["no WebAssembly component"][..],
        ),
        (
            "core.wasm",
            compiled("(module)"),
            &["no WebAssembly component", "core module"],
        ),
        (
            "foreign.wasm",
            compiled("(component)"),
            &["no Tidemill plugin"],
        ),
        ("future.wasm", compiled(future), &["0.9.0", "rebuild"]),
    ] {
        let mut world = World::new(Flavor::MySql);
        shop::fill(&world);
        std::fs::write(world.folder().join(file), bytes).unwrap();
        world.add_table(
            "orders",
            &format!("[[table.transform]]\nplugin = \"./{file}\""),
        );
        world.tidemill(&["run"]).fails(5, words);
        assert_untouched(&world);
    }
}

#[test]
fn a_transform_that_drops_a_key_column_is_refused() {
    let mut world = World::new(Flavor::MySql);
    shop::fill(&world);
    world.add_table(
        "orders",
        "[[table.transform]]\nplugin = \"columns\"\nconfig = { drop = [\"id\"] }",
    );
    world
        .tidemill(&["run"])
        .fails(5, &["table[0].transform[0]", "id", "key"]);
    assert_untouched(&world);
}
