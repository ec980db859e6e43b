//! Pipes whose plugins come from a registry, or are files that the policy wants a signature for.

use std::fs;
use std::path::PathBuf;

use super::machine::{Machine, change, plugin_file};
use crate::shop;
use crate::support::{Flavor, Following, World};

/// The shop's tables, with `orders` filtered by the plugin of this name.
fn filtered(machine: &Machine, world: World, plugin: &str) -> World {
    shop::fill(&world);
    machine.host(
        world
            .settings(shop::SMALL_CHUNKS)
            .table("orders", &filter(plugin)),
    )
}

/// The same with a file of the pipe's own, and the file.
fn of_own_file(machine: &Machine, world: World) -> (World, PathBuf) {
    let world = filtered(machine, world, "./own.wasm");
    let own = world.folder().join("own.wasm");
    fs::copy(plugin_file("filter"), &own).unwrap();
    (world, own)
}

fn filter(plugin: &str) -> String {
    format!(
        "[[table.transform]]\nplugin = \"{plugin}\"\nconfig = {{ where = \"status <> 'test'\" }}"
    )
}

#[track_caller]
fn assert_filtered(world: &World) {
    world.assert_same_rows(
        "SELECT id, status, total FROM orders WHERE status <> 'test' ORDER BY id",
        "SELECT id, status, toDecimalString(total, 2) FROM {db}.orders FINAL ORDER BY id",
    );
}

#[test]
fn a_pipe_needs_the_registry_once() {
    let machine = Machine::alone("");
    let reference = machine.push("filter", "1", &[]);
    let world = filtered(&machine, World::new(Flavor::MySql), &reference);
    world.tidemill(&["check"]).ok();
    machine.stop_registry();
    let plan = world.tidemill(&["plan"]).ok();
    assert_eq!(
        plan.json["result"]["tables"][0]["transforms"][0]["plugin"],
        "filter"
    );
    world.tidemill(&["run"]).ok();
    assert_filtered(&world);
    let status = world.tidemill(&["status"]).ok();
    assert_eq!(status.json["result"]["drift"], serde_json::json!([]));
    world.tidemill(&["resync", "--yes"]).ok();
    assert_filtered(&world);
    fs::remove_dir_all(machine.path("store")).unwrap();
    world.tidemill(&["resync", "--yes"]).fails(
        5,
        &[
            "pipe.toml:",
            "table[0].transform[0].plugin",
            "can't be reached",
        ],
    );
    assert_filtered(&world);
}

#[test]
fn a_pipe_that_follows_needs_neither_registry_nor_store() {
    let machine = Machine::alone("");
    let reference = machine.push("filter", "1", &[]);
    let world = filtered(
        &machine,
        World::new(Flavor::MySql).with_sentinel(""),
        &reference,
    );
    let mut pipe = Following::start(&world);
    pipe.pause(&world);
    machine.stop_registry();
    let store = machine.path("store");
    let aside = machine.path("aside");
    fs::rename(&store, &aside).unwrap();
    world.mysql.run(
        "INSERT INTO orders VALUES (9001, 'paid', NULL, 1, NULL), (9002, 'test', NULL, 1, NULL);\n",
    );
    pipe.go_on(&world, "resume");
    pipe.caught_up(&world);
    assert_filtered(&world);
    pipe.pause(&world);

    // The pipe's own copy was changed: the store's takes its place, or nothing does.
    let copies = world.folder().join(".tidemill/test/pinned/plugins");
    let copy = fs::read_dir(&copies)
        .unwrap()
        .flatten()
        .map(|file| file.path());
    let copy = copy
        .into_iter()
        .find(|path| path.extension().is_some_and(|end| end == "wasm"))
        .unwrap();
    change(&copy);
    world.tidemill(&["resume"]).fails(5, &["can't be reached"]);
    fs::rename(&aside, &store).unwrap();
    pipe.go_on(&world, "resume");
    world
        .mysql
        .run("INSERT INTO orders VALUES (9003, 'paid', NULL, 1, NULL);\n");
    pipe.caught_up(&world);
    assert_filtered(&world);
    assert!(fs::read(&copy).unwrap() == fs::read(plugin_file("filter")).unwrap());
}

#[test]
fn a_pipe_s_copy_of_a_file_that_was_changed_is_told() {
    let machine = Machine::new();
    let (world, own) = of_own_file(&machine, World::new(Flavor::MySql).with_sentinel(""));
    let mut pipe = Following::start(&world);
    pipe.pause(&world);
    // The file that the pipe names is nobody's concern by now.
    fs::copy(plugin_file("mask"), &own).unwrap();
    pipe.go_on(&world, "resume");
    pipe.caught_up(&world);
    assert_filtered(&world);
    let drift = world.tidemill(&["status"]).ok().json["result"]["drift"].to_string();
    assert!(drift.contains("own.wasm"), "{drift}");
    pipe.pause(&world);
    let copies = world.folder().join(".tidemill/test/pinned/plugins");
    for copy in fs::read_dir(&copies).unwrap().flatten() {
        change(&copy.path());
    }
    world
        .tidemill(&["resume"])
        .fails(5, &["own.wasm", "missing or was changed", "sha256:"]);
}

#[test]
fn a_reference_that_a_pipe_can_t_use_is_told_with_its_line() {
    let machine = Machine::new();
    let pushed = machine.push("filter", "1", &[]);
    let (tag, _) = pushed.split_once('@').unwrap();
    let unknown = format!("{tag}@sha256:{}", "0".repeat(64));
    for (plugin, words) in [
        (tag, &["has no digest", "tidemill plugin pull"][..]),
        (&unknown, &["there is no"]),
        ("oci://filter", &["oci://host/repository:tag"]),
        ("oci://127.0.0.1:1/filter@", &["oci://host/repository:tag"]),
    ] {
        let world = filtered(&machine, World::new(Flavor::MySql), plugin);
        let words = [&["pipe.toml:", "table[0].transform[0].plugin"], words].concat();
        world.tidemill(&["check"]).fails(5, &words);
    }
}

#[test]
fn the_policy_holds_for_files_and_names_too() {
    let machine = Machine::new();
    machine.keys("release");
    let (world, own) = of_own_file(&machine, World::new(Flavor::MySql));
    machine.policy("paths = false");
    world.tidemill(&["check"]).fails(
        5,
        &["pipe.toml:", "own.wasm", "from a registry", "policy.toml"],
    );
    machine.policy("require_signature = true\nkeys = [\"release.pub\"]");
    world
        .tidemill(&["check"])
        .fails(5, &["pipe.toml:", "own.wasm", "it has none"]);
    let key = machine.path("release.key");
    machine
        .tidemill(&[
            "sign",
            own.to_str().unwrap(),
            "--key",
            key.to_str().unwrap(),
        ])
        .ok();
    world.tidemill(&["run"]).ok();
    assert_filtered(&world);
    fs::copy(plugin_file("mask"), &own).unwrap();
    world
        .tidemill(&["resync", "--yes"])
        .fails(5, &["own.wasm", "of another file"]);
    fs::write(machine.path("policy.toml"), "plugins = 1").unwrap();
    world.tidemill(&["check"]).fails(3, &["policy.toml:1"]);
}

#[test]
fn a_policy_that_grew_stricter_holds_for_a_pipe_that_goes_on() {
    let machine = Machine::alone("");
    machine.keys("release");
    let key = machine.path("release.key");
    let reference = machine.push("filter", "1", &[]);
    let world = filtered(
        &machine,
        World::new(Flavor::MySql).with_sentinel(""),
        &reference,
    );
    let mut pipe = Following::start(&world);
    pipe.pause(&world);
    machine.policy("require_signature = true\nkeys = [\"release.pub\"]");
    world
        .tidemill(&["resume"])
        .fails(5, &["needs a signature", "it has none"]);
    // It is signed later, and proves itself from then on without the registry.
    assert_eq!(
        machine.push("filter", "1", &["--sign", key.to_str().unwrap()]),
        reference
    );
    for stopped in [false, true] {
        if stopped {
            machine.stop_registry();
            fs::remove_dir_all(machine.path("store")).unwrap();
        }
        pipe.go_on(&world, "resume");
        pipe.caught_up(&world);
        pipe.pause(&world);
    }
    assert_filtered(&world);
}

#[test]
fn a_file_that_is_signed_later_is_believed_by_a_pipe_that_goes_on() {
    let machine = Machine::new();
    machine.keys("release");
    let (world, own) = of_own_file(&machine, World::new(Flavor::MySql).with_sentinel(""));
    let mut pipe = Following::start(&world);
    pipe.pause(&world);
    machine.policy("require_signature = true\nkeys = [\"release.pub\"]");
    world
        .tidemill(&["resume"])
        .fails(5, &["own.wasm", "it has none", "tidemill plugin sign"]);
    let (file, key) = (own.to_str().unwrap(), machine.path("release.key"));
    machine
        .tidemill(&["sign", file, "--key", key.to_str().unwrap()])
        .ok();
    // The copy proves itself from then on, without the file.
    for gone in [false, true] {
        if gone {
            fs::remove_file(&own).unwrap();
        }
        pipe.go_on(&world, "resume");
        pipe.caught_up(&world);
        pipe.pause(&world);
    }
    assert_filtered(&world);
}
