//! What a person at a prompt does and reads.

use std::process::{Command, Output};

use crate::shop;
use crate::support::{Flavor, World, tidemill};

fn text(world: &World, arguments: &[&str]) -> Output {
    let mut command = Command::new(tidemill());
    command
        .arg("--pipe")
        .arg(world.write_pipe())
        .args(arguments);
    command.env(
        "TIDEMILL_PLUGIN_PATH",
        crate::support::root().join("target/plugins"),
    );
    command.output().unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_pipe_is_written_by_looking_at_a_source_and_it_works() {
    let world = World::new(Flavor::MySql);
    shop::fill(&world);
    let path = world.folder().join("new.toml");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(tidemill());
        command
            .args(["--output", "json", "--pipe"])
            .arg(&path)
            .args(arguments)
            .env("TIDEMILL_TEST_PASSWORD", "");
        crate::support::world::answer(command.output().unwrap())
    };
    let port = world.mysql.port().to_string();
    let init = [
        "init",
        "--port",
        &port,
        "--user",
        "root",
        "--database",
        &world.mysql.database,
        "--destination",
        &world.clickhouse.url(),
    ];
    run(&init).ok();
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(
        written.contains(&format!("{}.orders", world.mysql.database)),
        "{written}"
    );
    assert!(
        written
            .lines()
            .filter(|line| line.trim_start().starts_with('#'))
            .count()
            > 10,
        "it is commented"
    );
    run(&["check"]).ok();
    run(&init).fails(2, &["exists"]);
    let ca = world.mysql.server.get("ca");
    run(&[
        &init[..],
        &["--force", "--tls", "verify_identity", "--ca", ca],
    ]
    .concat())
    .ok();
    run(&["check"]).ok();
    run(&[&init[..], &["--force", "--tls", "perhaps"]].concat())
        .fails(2, &["`perhaps`", "verify_identity"]);
}

#[test]
fn looking_changes_nothing() {
    let world = shop::shop(Flavor::MySql);
    for command in [
        &["check"][..],
        &["plan"],
        &[
            "preview",
            &format!("{}.orders", world.mysql.database),
            "--rows",
            "2",
        ],
        &["status"],
        &["tables"],
        &["history"],
    ] {
        world.tidemill(command).ok();
    }
    assert_eq!(
        world
            .clickhouse
            .query("SELECT count() FROM system.databases WHERE name = '{db}'"),
        "0"
    );
    let plan = stdout(&text(&world, &["plan"]));
    for words in [
        "CREATE OR REPLACE TABLE",
        "ReplacingMergeTree",
        "ORDER BY (`id`)",
        "filter 0.1.0: reads status; filters\n",
        "mask 0.1.0: reads email; computes email\n",
    ] {
        assert!(plan.contains(words), "{words}: {plan}");
    }
    // An estimate of the optimizer's, or the planner's where statistics lag behind.
    let about = plan.split_once("about ").unwrap().1;
    let rows: u64 = about.split_once(" rows").unwrap().0.parse().unwrap();
    assert!((4_000..=6_000).contains(&rows), "{plan}");
    let preview = stdout(&text(
        &world,
        &[
            "preview",
            &format!("{}.orders", world.mysql.database),
            "--rows",
            "3",
        ],
    ));
    assert!(preview.contains("c1@example.com"), "{preview}");
    assert!(preview.lines().count() > 5, "{preview}");
}

#[test]
fn progress_is_lines_where_there_is_no_terminal() {
    let world = shop::shop(Flavor::MySql);
    let loaded = text(&world, &["run"]);
    let shown = stdout(&loaded) + &String::from_utf8_lossy(&loaded.stderr);
    for words in ["Snapshot", "Completed", "orders", "4,750"] {
        assert!(
            shown.contains(words) || shown.contains(&words.replace(',', "")),
            "{words}: {shown}"
        );
    }
    assert!(!shown.contains('\u{1b}'), "no colours: {shown}");
    let tables = stdout(&text(&world, &["tables"]));
    assert!(
        tables.contains("swapped") && tables.contains("orders"),
        "{tables}"
    );
}

#[test]
fn a_resync_asks_and_without_a_terminal_wants_yes() {
    let world = shop::loaded(shop::shop(Flavor::MySql));
    let asked = text(&world, &["resync"]);
    assert_eq!(asked.status.code(), Some(2), "{asked:?}");
    assert!(
        String::from_utf8_lossy(&asked.stderr).contains("--yes"),
        "{asked:?}"
    );
    world
        .tidemill(&["resync", "--yes", "--table", "nowhere.nothing"])
        .fails(9, &["nowhere.nothing"]);
}

#[test]
fn the_first_load_replaces_nothing() {
    let world = shop::loaded(shop::shop(Flavor::MySql));
    world.tidemill(&["run"]).fails(9, &["loaded already"]);
    let other = World::of(
        crate::support::MySql::new(Flavor::MySql),
        crate::support::ClickHouse::new(),
    );
    shop::fill(&other);
    other
        .clickhouse
        .run("CREATE DATABASE {db};\nCREATE TABLE {db}.items (x UInt8) ENGINE = Memory;\n");
    let other = other.table("items", "");
    other.tidemill(&["run"]).fails(9, &["`items` already"]);
    assert_eq!(other.clickhouse.query("SHOW TABLES FROM {db}"), "items");
}

#[test]
fn commands_that_need_no_pipe() {
    let run = |arguments: &[&str]| Command::new(tidemill()).args(arguments).output().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        assert!(stdout(&run(&["completions", shell])).contains("resync"));
    }
    assert!(stdout(&run(&["--help"])).contains("rollback"));
    assert_eq!(run(&["resinc"]).status.code(), Some(2));
    let wasm = crate::support::root().join("target/plugins/mask.wasm");
    let inspected = stdout(&run(&["plugin", "inspect", wasm.to_str().unwrap()]));
    for words in ["mask", "contract 0.1.0", "\"hash\""] {
        assert!(inspected.contains(words), "{words}: {inspected}");
    }
}
