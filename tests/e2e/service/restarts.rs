//! The service ends and is started again, in whatever way: what should run runs again, and ends as if nothing had been.

use std::time::{Duration, Instant};

use serde_json::json;

use super::pipes::{SECRETS, shop};
use crate::support::service::POLICY;
use crate::support::{Client, Flavor, Service, World};

/// A world with a table of so many rows, cut into chunks of 1,000.
fn world(rows: u32, settings: &str) -> World {
    let world = World::new(Flavor::MySql)
        .with_sentinel("")
        .settings(&format!(
            "[snapshot]\nchunk_rows = 1000\nparallel_chunks = 1\n{settings}\n"
        ))
        .table("numbers", "");
    world.mysql.run(&format!(
        "CREATE TABLE numbers (id INT PRIMARY KEY, text VARCHAR(40)); \
         SET SESSION cte_max_recursion_depth = 1000000; \
         INSERT INTO numbers WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) \
         SELECT i, HEX(i * 7919) FROM n;\n"
    ));
    world
}

fn start(client: &Client, name: &str, world: &World) {
    client.create(&world.pipe_text(name)).is(201);
    client.order(name, &json!({ "state": "start" })).is(202);
}

/// Waits until the last resync of a pipe is this one or a later one, and follows.
fn await_resynced(client: &Client, name: &str, id: &str) {
    client.await_pipe(name, "resynced", |pipe| {
        pipe["last_resync"]["id"] == *id && pipe["last_resync"]["phase"] == "running"
    });
}

/// Waits until a resync has loaded something, and not all.
fn await_loading(client: &Client, name: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline {
        let tables = client.get(&format!("/v1/pipes/{name}/tables")).is(200).json;
        let tables = tables["items"].as_array().cloned().unwrap_or_default();
        let is_loading = |table: &serde_json::Value| {
            table["state"] == "loading" && table["chunks_done"].as_u64() > Some(0)
        };
        if tables.iter().any(is_loading) {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!(
        "`{name}` does not load: {:#?}",
        client.get(&format!("/v1/pipes/{name}/status"))
    );
}

#[test]
fn ten_resyncs_go_on_after_a_kill_and_end_as_if_undisturbed() {
    let mut service = Service::start();
    let client = service.tenant("acme");
    let worlds: Vec<World> = (0..10).map(|_| world(20_000, "")).collect();
    let names: Vec<String> = (0..10).map(|i| format!("pipe-{i}")).collect();
    for (name, world) in names.iter().zip(&worlds) {
        start(&client, name, world);
    }
    for name in &names {
        client.await_state(name, "running");
    }
    let mut ids = Vec::new();
    for name in &names {
        let ordered = client
            .order(name, &json!({ "state": "resync" }))
            .is(202)
            .json;
        ids.push(ordered["resync"].as_str().expect("its id").to_owned());
    }
    await_loading(&client, names.last().expect("ten"));
    service.kill();
    for (i, world) in worlds.iter().enumerate() {
        world.mysql.run(&format!(
            "DELETE FROM numbers WHERE id = {}; UPDATE numbers SET text = 'changed' WHERE id = 77; INSERT INTO numbers VALUES (50000, 'new');\n",
            i + 1
        ));
    }
    service.start_again();
    for ((name, id), world) in names.iter().zip(&ids).zip(&worlds) {
        await_resynced(&client, name, id);
        let changed = "SELECT count() FROM {db}.numbers FINAL WHERE text IN ('changed', 'new')";
        world.clickhouse.await_query(changed, "2");
        world.assert_same_cells(&["numbers"]);
        let left =
            "SELECT count() FROM system.tables WHERE database = '{db}' AND name LIKE '%\\_resync'";
        assert_eq!(world.clickhouse.query(left), "0");
    }
    // And none was done twice.
    for name in &names {
        let resyncs = client
            .get(&format!("/v1/pipes/{name}/resyncs"))
            .is(200)
            .json;
        assert_eq!(resyncs["items"].as_array().map(Vec::len), Some(2));
    }
}

#[test]
fn a_stop_comes_at_a_batch_boundary_and_all_goes_on_with_the_next_start() {
    let mut service = Service::start();
    let client = service.tenant("acme");
    let slow = world(30_000, "rows_per_second = 5000");
    let idle = world(100, "");
    let stopped = world(100, "");
    start(&client, "idle", &idle);
    start(&client, "stopped", &stopped);
    client.await_state("idle", "running");
    client.await_state("stopped", "running");
    client.order("stopped", &json!({ "state": "stop" })).is(202);
    client.await_state("stopped", "stopped");
    start(&client, "slow", &slow);
    await_loading(&client, "slow");
    assert_eq!(service.terminate(), Some(0));
    service.start_again();
    client.await_state("idle", "running");
    client.await_state("slow", "running");
    slow.assert_same_cells(&["numbers"]);
    let resyncs = client.get("/v1/pipes/slow/resyncs").is(200).json;
    assert_eq!(resyncs["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(client.get("/v1/pipes/stopped").json["state"], "stopped");
}

#[test]
fn a_service_that_drains_finishes_its_loads_before_it_ends() {
    let mut service = Service::start_with(POLICY, &["--drain"], &[]);
    let client = service.tenant("acme");
    let slow = world(15_000, "rows_per_second = 5000");
    start(&client, "slow", &slow);
    await_loading(&client, "slow");
    assert_eq!(service.terminate(), Some(0));
    slow.assert_same_cells(&["numbers"]);
    let live = "SELECT count() FROM system.tables WHERE database = '{db}' AND name = 'numbers'";
    assert_eq!(slow.clickhouse.query(live), "1");
}

#[test]
fn the_key_is_asked_for_and_known_again() {
    let mut service = Service::start();
    service.terminate();
    let run = |key: Option<&str>| {
        let mut command = std::process::Command::new(crate::support::tidemill());
        command.args([
            "--output",
            "json",
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--data",
        ]);
        command.arg(service.data()).env_remove("TIDEMILL_KEY");
        if let Some(key) = key {
            command.env("TIDEMILL_KEY", key);
        }
        let output = command.output().expect("it ends");
        assert_eq!(output.status.code(), Some(9), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(run(None).contains("openssl rand -hex 32"));
    assert!(run(Some("short")).contains("64 hexadecimal digits"));
    assert!(run(Some(&"00".repeat(32))).contains("another key"));
}

#[test]
fn secrets_are_encrypted_with_another_key_while_no_service_runs() {
    let keys = tempfile::tempdir().expect("a folder");
    let key = |name: &str, digits: &str| {
        let file = keys.path().join(name);
        std::fs::write(&file, digits.repeat(32)).expect("it is writable");
        file.to_str().expect("UTF-8").to_owned()
    };
    let (now, next) = (key("now", "1a"), key("next", "2b"));
    let mut service = Service::start_with(POLICY, &["--key-file", &now], &[]);
    let client = service.tenant("acme");
    let world = shop(100);
    client.create(&(world.pipe_text("shop") + SECRETS)).is(201);
    client.order("shop", &json!({ "state": "start" })).is(202);
    client.await_state("shop", "running");
    let masked = "SELECT groupBitXor(cityHash64(id, email)) FROM {db}.orders FINAL";
    let before = world.clickhouse.query(masked);

    let rekey = |service: &Service, old: &str| {
        service.run(&["rekey", "--key-file", old, "--new-key-file", &next])
    };
    rekey(&service, &now).fails(9, &["another service is at work"]);
    service.terminate();
    rekey(&service, &next).fails(9, &["another key"]);
    assert_eq!(rekey(&service, &now).ok().json["result"]["secrets"], 1);
    // The old key is known no more.
    rekey(&service, &now).fails(9, &["another key"]);

    std::fs::copy(&next, &now).expect("it is writable");
    service.start_again();
    client.await_state("shop", "running");
    let ordered = client.order("shop", &json!({ "state": "resync" })).is(202);
    await_resynced(
        &client,
        "shop",
        ordered.json["resync"].as_str().expect("an id"),
    );
    assert_eq!(world.clickhouse.query(masked), before);
}
