//! What a tenant uses takes nothing from the others beyond its share, and no more than its quotas.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Flavor, Service, World};

/// A table of so many rows, whose transform is the hostile plugin in this mode.
fn world(rows: u32, mode: &str, settings: &str) -> World {
    let world = World::new(Flavor::MySql).settings(settings).table(
        "t",
        &format!(
            "[[table.transform]]\nplugin = \"hostile\"\nconfig = {{ mode = \"{mode}\" }}\nlimits = {{ deadline = \"60s\" }}\n"
        ),
    );
    world.mysql.run(&format!(
        "CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(20)); \
         SET SESSION cte_max_recursion_depth = 1000000; \
         INSERT INTO t WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) \
         SELECT i, CONCAT('row ', i) FROM n;\n"
    ));
    world
}

/// Eight chunks at a time, in batches that take about a second.
const BURNING: &str = "[snapshot]\nparallel_chunks = 8\nchunk_rows = 1000\nbatch_rows = 100\n";

/// The CPU time that a process has used.
fn cpu(process: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("it runs");
    let (_, fields) = stat.rsplit_once(')').expect("its name");
    let ticks: Vec<u64> = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|ticks| ticks.parse().expect("a number"))
        .collect();
    // Linux shows hundredths of a second, whatever its clock.
    Duration::from_millis(10 * ticks.iter().sum::<u64>())
}

#[test]
fn a_load_is_done_while_another_tenant_s_plugin_burns_all_that_it_gets() {
    let (burning, honest) = (world(40_000, "burn", BURNING), world(20_000, "honest", ""));
    let service = Service::start();
    let (burner, other) = (service.tenant("burner"), service.tenant("other"));
    for (client, world) in [(&burner, &burning), (&other, &honest)] {
        client.upload("hostile");
        client.create(&world.pipe_text("load")).is(201);
    }
    burner.order("load", &json!({ "state": "start" })).is(202);
    // It has every place that there is for chunks, and is at work.
    let begun = cpu(service.process());
    let deadline = Instant::now() + Duration::from_secs(60);
    while cpu(service.process()) < begun + Duration::from_secs(3) {
        assert!(Instant::now() < deadline, "nothing burns");
        std::thread::sleep(Duration::from_millis(100));
    }
    other.order("load", &json!({ "state": "start" })).is(202);
    let slowest = std::cell::Cell::new(Duration::ZERO);
    other.await_pipe("load", "loaded", |pipe| {
        let asked = Instant::now();
        burner.get("/v1/pipes/load").is(200);
        slowest.set(slowest.get().max(asked.elapsed()));
        pipe["last_resync"]["phase"] == "completed"
    });
    assert!(slowest.get() < Duration::from_secs(2), "{slowest:?}");
    let count = |world: &World| world.clickhouse.query("SELECT count() FROM {db}.t");
    assert_eq!(count(&honest), "20000");
    let still = burner.get("/v1/pipes/load").is(200).json;
    assert_eq!(still["last_resync"]["phase"], "snapshot", "{still}");
    burner.order("load", &json!({ "state": "stop" })).is(202);
    burner.await_state("load", "stopped");
}

#[test]
fn plugins_use_no_more_cpu_than_the_quota_and_another_quota_is_in_force_at_once() {
    let burning = world(2_000, "burn", BURNING);
    let service = Service::start();
    let client = service.tenant("acme");
    let quota = |milliseconds: &str| {
        service.tenant_command(&["set", "acme", "--plugin-cpu", milliseconds]);
    };
    quota("1000");
    client.upload("hostile");
    client.create(&burning.pipe_text("load")).is(201);
    client.order("load", &json!({ "state": "start" })).is(202);
    client.await_pipe("load", "loading", |pipe| {
        pipe["last_resync"]["phase"] == "snapshot"
    });
    // The batches under way may overdraw it: one for each of the cores.
    std::thread::sleep(Duration::from_secs(8));
    let before = cpu(service.process());
    std::thread::sleep(Duration::from_secs(10));
    let used = cpu(service.process()) - before;
    assert!(used < Duration::from_secs(3), "{used:?}");
    let still = client.get("/v1/pipes/load").is(200).json;
    assert_eq!(still["last_resync"]["phase"], "snapshot", "{still}");
    // Who waits can be stopped, and goes on.
    client.order("load", &json!({ "state": "stop" })).is(202);
    client.await_state("load", "stopped");
    quota("0");
    client.order("load", &json!({ "state": "start" })).is(202);
    client.await_pipe("load", "loaded", |pipe| {
        pipe["last_resync"]["phase"] == "completed"
    });
    let count = burning.clickhouse.query("SELECT count() FROM {db}.t");
    assert_eq!(count, "2000");
}

#[test]
fn plugins_have_no_more_memory_than_the_quota_and_the_error_names_it() {
    let world = world(10, "memory", "");
    let service = Service::start();
    let client = service.tenant("acme");
    service.tenant_command(&["set", "acme", "--plugin-memory", "16MiB"]);
    client.upload("hostile");
    client.create(&world.pipe_text("load")).is(201);
    client.order("load", &json!({ "state": "start" })).is(202);
    let ended = client.await_pipe("load", "ended", |pipe| pipe["error"].is_string());
    let error = ended["error"].as_str().unwrap_or_default();
    for words in ["tenant's memory limit of 16", "plugin_memory", "`hostile`"] {
        assert!(error.contains(words), "{words}: {ended}");
    }
}

#[test]
fn rows_a_second_are_counted_over_all_pipes_of_a_tenant() {
    let settings = "[snapshot]\nbatch_rows = 500\n";
    let worlds = [
        world(3_000, "honest", settings),
        world(3_000, "honest", settings),
    ];
    let service = Service::start();
    let client = service.tenant("acme");
    service.tenant_command(&["set", "acme", "--rows-per-second", "1000"]);
    client.upload("hostile");
    let begun = Instant::now();
    for (world, pipe) in worlds.iter().zip(["one", "two"]) {
        client.create(&world.pipe_text(pipe)).is(201);
        client.order(pipe, &json!({ "state": "start" })).is(202);
    }
    for pipe in ["one", "two"] {
        client.await_pipe(pipe, "loaded", |pipe| {
            pipe["last_resync"]["phase"] == "completed"
        });
    }
    assert!(
        begun.elapsed() > Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
}
